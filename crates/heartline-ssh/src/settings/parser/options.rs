//! The values gathered so far; the first to speak wins. Source: OpenSSH `readconf.c`
//! (`process_config_line`, `fill_default_options`).

use crate::settings::destination::Destination;
use crate::settings::found::{Files, Found, FoundProxy};
use crate::settings::invocation::Invocation;
use crate::settings::jump::Jump;
use crate::settings::{Family, Flag, Forwarding, Spec, Strict};

use super::algorithms::{CA, CIPHERS, KEX, KEYS, Kind, MACS};
use super::error::{ParseError, ParseErrorKind};
use super::keywords::is_passed_over;
use super::pattern::matches_list_in_any_case;
use super::values::Values;
use super::words::{is_space, next_word, split};

/// One line of a file or one `-o`, cut into keyword and rest.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// In lower case.
    pub(super) keyword: String,
    /// Everything behind it, never empty.
    pub(super) rest: &'a str,
}

impl<'a> Line<'a> {
    /// `None` for an empty line or a comment.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, ParseErrorKind> {
        let mut rest = text
            .trim_end_matches(|c| is_space(c) || c == '\u{c}')
            .trim_start_matches(is_space);
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(None);
        }
        let keyword = next_word(&mut rest)?
            .unwrap_or_default()
            .to_ascii_lowercase();
        if keyword.is_empty() {
            return Ok(None);
        }
        if rest.is_empty() {
            return Err(ParseErrorKind::NoValue {
                keyword: crate::settings::destination::shown(&keyword),
            });
        }
        Ok(Some(Self { keyword, rest }))
    }
}

#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) host_name: Option<String>,
    pub(super) user: Option<String>,
    port: Option<u16>,
    family: Option<Family>,
    bind_address: Option<String>,
    bind_interface: Option<String>,
    connect_timeout: Option<u32>,
    alive_interval: Option<u32>,
    alive_count: Option<u32>,
    tcp_keep_alive: Option<bool>,
    identity_files: Vec<String>,
    certificate_files: Vec<String>,
    identities_only: Option<bool>,
    identity_agent: Option<String>,
    batch_mode: Option<bool>,
    pubkey: Option<bool>,
    accepted_algorithms: Option<String>,
    host_key_alias: Option<String>,
    user_known_hosts: Option<Vec<String>>,
    global_known_hosts: Option<Vec<String>>,
    strict: Option<Strict>,
    hash_known_hosts: Option<bool>,
    host_key_algorithms: Option<String>,
    ca_algorithms: Option<String>,
    revoked: Option<String>,
    kex: Option<String>,
    ciphers: Option<String>,
    macs: Option<String>,
    compression: Option<bool>,
    jump: Option<Jump>,
    command: Option<String>,
    ignore_unknown: Option<String>,
    canonicalize: Option<bool>,
    canonical_domains: Option<Vec<String>>,
    forwards: Vec<Spec>,
    clear_forwards: Option<bool>,
    exit_on_failure: Option<bool>,
    gateway_ports: Option<bool>,
    bind_unlink: Option<bool>,
    bind_mask: Option<u32>,
}

impl Options {
    /// What the flags say; it goes before everything else.
    pub(super) fn set_flags(&mut self, inv: &Invocation) {
        self.port = inv.port;
        self.user.clone_from(&inv.user);
        self.jump.clone_from(&inv.jump);
        self.bind_address.clone_from(&inv.bind_address);
        self.bind_interface.clone_from(&inv.bind_interface);
        self.family = (inv.family != Family::Any).then_some(inv.family);
    }

    /// One `-o`.
    pub(super) fn set_command_line(&mut self, text: &str) -> Result<(), ParseError> {
        self.set_option(text).map_err(ParseError::command_line)
    }

    fn set_option(&mut self, text: &str) -> Result<(), ParseErrorKind> {
        if text.contains(|c: char| c.is_control() && c != '\t') {
            return Err(ParseErrorKind::NotText);
        }
        let Some(line) = Line::parse(text)? else {
            return Ok(());
        };
        if matches!(line.keyword.as_str(), "host" | "match" | "include") {
            return Err(ParseErrorKind::NotHere {
                keyword: line.keyword,
            });
        }
        self.set(&line, true)
    }

    /// What the destination itself names; it goes after the options.
    pub(super) fn set_destination(&mut self, destination: &Destination) {
        self.port = self.port.or(destination.port());
        if self.user.is_none() {
            self.user = destination.user().map(str::to_owned);
        }
    }

    /// One line that is no `Host`, `Match` or `Include`. An inactive one is checked, and says nothing.
    pub(super) fn set(&mut self, line: &Line<'_>, active: bool) -> Result<(), ParseErrorKind> {
        if line.keyword == "proxycommand" || line.keyword == "proxyjump" {
            return self.set_proxy(line, active);
        }
        let mut values = Values::new(&line.keyword, split(line.rest)?);
        let known = self.set_way(&mut values, active)?
            || self.set_forwards(&mut values, active)?
            || self.set_identity(&mut values, active)?
            || self.set_host_key(&mut values, active)?
            || self.set_algorithms(&mut values, active)?;
        if !known {
            let ignored = self.ignore_unknown.as_deref();
            let ignored = ignored.is_some_and(|list| matches_list_in_any_case(&line.keyword, list));
            if !ignored && !is_passed_over(&line.keyword) {
                return Err(ParseErrorKind::UnknownKeyword {
                    came: crate::settings::destination::shown(&line.keyword),
                });
            }
            values.skip();
        }
        values.end()
    }

    /// How to get there.
    fn set_way(&mut self, v: &mut Values<'_>, active: bool) -> Result<bool, ParseErrorKind> {
        match v.keyword {
            "hostname" => put(active, &mut self.host_name, v.one()?),
            "user" => put(active, &mut self.user, v.one()?),
            "port" => put(active, &mut self.port, v.port()?),
            "addressfamily" => put(active, &mut self.family, v.family()?),
            "bindaddress" => put(active, &mut self.bind_address, v.one()?),
            "bindinterface" => put(active, &mut self.bind_interface, v.one()?),
            "connecttimeout" => put_some(active, &mut self.connect_timeout, v.seconds()?),
            // The latter two are Debian's names from before ssh had one of its own.
            "serveraliveinterval" | "protocolkeepalives" | "setuptimeout" => {
                put_some(active, &mut self.alive_interval, v.seconds()?);
            }
            "serveralivecountmax" => put(active, &mut self.alive_count, v.count()?),
            "tcpkeepalive" | "keepalive" => put(active, &mut self.tcp_keep_alive, v.flag()?),
            "ignoreunknown" => put(active, &mut self.ignore_unknown, v.one()?),
            "canonicalizehostname" => put(active, &mut self.canonicalize, v.canonicalize()?),
            "canonicaldomains" => put(active, &mut self.canonical_domains, v.list(MAX_FILES)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is to be forwarded.
    fn set_forwards(&mut self, v: &mut Values<'_>, active: bool) -> Result<bool, ParseErrorKind> {
        if let Some(flag) = Flag::ALL
            .into_iter()
            .find(|flag| flag.keyword() == v.keyword)
        {
            let spec = v.forward(flag)?;
            if active && !self.forwards.contains(&spec) {
                if self.forwards.len() >= MAX_FORWARDS {
                    return Err(ParseErrorKind::TooMany {
                        keyword: v.keyword.to_owned(),
                        limit: MAX_FORWARDS,
                    });
                }
                self.forwards.push(spec);
            }
            return Ok(true);
        }
        match v.keyword {
            "clearallforwardings" => put(active, &mut self.clear_forwards, v.flag()?),
            "exitonforwardfailure" => put(active, &mut self.exit_on_failure, v.flag()?),
            "gatewayports" => put(active, &mut self.gateway_ports, v.flag()?),
            "streamlocalbindunlink" => put(active, &mut self.bind_unlink, v.flag()?),
            "streamlocalbindmask" => put(active, &mut self.bind_mask, v.octal()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_identity(&mut self, v: &mut Values<'_>, active: bool) -> Result<bool, ParseErrorKind> {
        match v.keyword {
            "identityfile" | "identityfile2" => {
                let file = v.one()?;
                add(active, &mut self.identity_files, file, v.keyword)?;
            }
            "certificatefile" => {
                let file = v.one()?;
                add(active, &mut self.certificate_files, file, v.keyword)?;
            }
            "identitiesonly" => put(active, &mut self.identities_only, v.flag()?),
            "identityagent" => put(active, &mut self.identity_agent, v.one()?),
            "batchmode" => put(active, &mut self.batch_mode, v.flag()?),
            "pubkeyauthentication" | "dsaauthentication" => {
                put(active, &mut self.pubkey, v.pubkey()?);
            }
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" => {
                put(active, &mut self.accepted_algorithms, list(v, KEYS)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_host_key(&mut self, v: &mut Values<'_>, active: bool) -> Result<bool, ParseErrorKind> {
        match v.keyword {
            "hostkeyalias" => put(active, &mut self.host_key_alias, v.one()?),
            "userknownhostsfile" => put(active, &mut self.user_known_hosts, v.list(MAX_FILES)?),
            "globalknownhostsfile" => put(active, &mut self.global_known_hosts, v.list(MAX_FILES)?),
            "stricthostkeychecking" => put(active, &mut self.strict, v.strict()?),
            "hashknownhosts" => put(active, &mut self.hash_known_hosts, v.flag()?),
            "revokedhostkeys" => put(active, &mut self.revoked, v.one()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_algorithms(&mut self, v: &mut Values<'_>, active: bool) -> Result<bool, ParseErrorKind> {
        match v.keyword {
            "kexalgorithms" => put(active, &mut self.kex, list(v, KEX)?),
            "ciphers" => put(active, &mut self.ciphers, list(v, CIPHERS)?),
            "macs" => put(active, &mut self.macs, list(v, MACS)?),
            "hostkeyalgorithms" => put(active, &mut self.host_key_algorithms, list(v, KEYS)?),
            "casignaturealgorithms" => put(active, &mut self.ca_algorithms, list(v, CA)?),
            "compression" => put(active, &mut self.compression, v.compression()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The first of the two wins, whatever the other says later. `ProxyJump none` stands against later
    /// `ProxyJump` lines only, `ProxyCommand none` against both (measured with OpenSSH 9.2).
    fn set_proxy(&mut self, line: &Line<'_>, active: bool) -> Result<(), ParseErrorKind> {
        let text = line.rest.trim_start_matches(|c| is_space(c) || c == '=');
        if line.keyword == "proxycommand" {
            let free = matches!(self.jump, None | Some(Jump::None));
            put(active && free, &mut self.command, text.to_owned());
            return Ok(());
        }
        let text = text.split(|c| is_space(c) || c == '#').next();
        let jump: Jump = text.unwrap_or_default().parse()?;
        put(active && self.command.is_none(), &mut self.jump, jump);
        Ok(())
    }

    /// Whether a second pass is due because of `CanonicalizeHostname`.
    pub(super) fn canonicalizes(&self) -> Result<bool, ParseError> {
        let domains = self.canonical_domains.as_deref().unwrap_or_default();
        let wanted = self.canonicalize.unwrap_or(false);
        if wanted && !is_none(domains) {
            return Err(ParseError::nowhere(ParseErrorKind::NeedsSsh {
                what: "CanonicalizeHostname with CanonicalDomains (it asks DNS)",
            }));
        }
        Ok(wanted)
    }

    /// Fills in ssh's defaults.
    pub(super) fn into_found(self, host: String) -> Found {
        let files = |given: Option<Vec<String>>, defaults: [&str; 2]| {
            given.unwrap_or_else(|| defaults.map(str::to_owned).to_vec())
        };
        let spelled = |written: Option<String>, kind: Kind| kind.spelled_out(&written?);
        Found {
            host,
            port: self.port,
            user: self.user,
            family: self.family.unwrap_or_default(),
            bind_address: self.bind_address,
            bind_interface: self.bind_interface,
            connect_timeout: self.connect_timeout,
            alive_interval: self.alive_interval,
            alive_count: self.alive_count,
            tcp_keep_alive: self.tcp_keep_alive.unwrap_or(true),
            identity_files: if self.identity_files.is_empty() {
                Files::Default(IDENTITY_FILES.map(str::to_owned).to_vec())
            } else {
                Files::Named(self.identity_files)
            },
            certificate_files: self.certificate_files,
            identities_only: self.identities_only.unwrap_or(false),
            identity_agent: self.identity_agent,
            batch_mode: self.batch_mode.unwrap_or(false),
            pubkey: self.pubkey.unwrap_or(true),
            accepted_algorithms: spelled(self.accepted_algorithms, KEYS),
            host_key_alias: self.host_key_alias.map(|alias| alias.to_ascii_lowercase()),
            user_known_hosts: files(self.user_known_hosts, USER_KNOWN_HOSTS),
            global_known_hosts: files(self.global_known_hosts, GLOBAL_KNOWN_HOSTS),
            strict: self.strict.unwrap_or_default(),
            hash_known_hosts: self.hash_known_hosts.unwrap_or(false),
            host_key_algorithms: spelled(self.host_key_algorithms, KEYS),
            ca_algorithms: spelled(self.ca_algorithms, CA),
            revoked: self.revoked,
            kex: spelled(self.kex, KEX),
            ciphers: spelled(self.ciphers, CIPHERS),
            macs: spelled(self.macs, MACS),
            compression: self.compression.unwrap_or(false),
            proxy: match (self.jump, self.command) {
                (Some(jump @ Jump::Through(_)), _) => FoundProxy::Jump(jump.to_string()),
                (_, Some(command)) if !command.eq_ignore_ascii_case("none") => {
                    FoundProxy::Command(command)
                }
                _ => FoundProxy::None,
            },
            forwarding: {
                let mut forwards = self.forwards;
                if self.clear_forwards == Some(true) {
                    forwards.clear();
                }
                // As -G prints them.
                forwards.sort_by_key(|spec| Flag::ALL.iter().position(|flag| *flag == spec.flag()));
                Forwarding {
                    forwards,
                    exit_on_failure: self.exit_on_failure.unwrap_or(false),
                    gateway_ports: self.gateway_ports.unwrap_or(false),
                    bind_unlink: self.bind_unlink.unwrap_or(false),
                    bind_mask: self.bind_mask.unwrap_or(Forwarding::default().bind_mask),
                }
            },
            files_expanded: false,
        }
    }
}

fn put<T>(active: bool, slot: &mut Option<T>, value: T) {
    if active && slot.is_none() {
        *slot = Some(value);
    }
}

fn put_some<T>(active: bool, slot: &mut Option<T>, value: Option<T>) {
    if let Some(value) = value {
        put(active, slot, value);
    }
}

/// These gather: each new one is added.
fn add(
    active: bool,
    list: &mut Vec<String>,
    file: String,
    keyword: &str,
) -> Result<(), ParseErrorKind> {
    if !active || list.contains(&file) {
        return Ok(());
    }
    if list.len() >= MAX_IDENTITIES {
        return Err(ParseErrorKind::TooMany {
            keyword: keyword.to_owned(),
            limit: MAX_IDENTITIES,
        });
    }
    list.push(file);
    Ok(())
}

fn list(values: &mut Values<'_>, kind: Kind) -> Result<String, ParseErrorKind> {
    let written = values.one()?;
    if kind.is_valid(&written) {
        return Ok(written);
    }
    Err(values.bad("names of algorithms with commas between", &written))
}

fn is_none(words: &[String]) -> bool {
    words.iter().all(|word| word.eq_ignore_ascii_case("none"))
}

/// OpenSSH `pathnames.h`, without DSA, which is gone since OpenSSH 10.
const IDENTITY_FILES: [&str; 5] = [
    "~/.ssh/id_rsa",
    "~/.ssh/id_ecdsa",
    "~/.ssh/id_ecdsa_sk",
    "~/.ssh/id_ed25519",
    "~/.ssh/id_ed25519_sk",
];

const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];

const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// Forwards of one host.
const MAX_FORWARDS: usize = 1_000;
/// `SSH_MAX_IDENTITY_FILES`, `SSH_MAX_CERTIFICATE_FILES`.
const MAX_IDENTITIES: usize = 100;

/// `SSH_MAX_HOSTS_FILES`, `MAX_CANON_DOMAINS`.
const MAX_FILES: usize = 32;
