//! The output of `ssh -G`: `keyword value` lines, keywords in lower case.

use std::collections::HashMap;

use crate::settings::destination::shown;
use crate::settings::error::SettingsError;
use crate::settings::found::{Files, Found, FoundProxy};
use crate::settings::{Family, Flag, Forwarding, Spec, Strict};

/// What one run printed.
#[derive(Debug, Default)]
pub(super) struct Dump {
    values: HashMap<String, Vec<String>>,
}

impl Dump {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SettingsError> {
        let mut dump = Self::default();
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let Ok(text) = str::from_utf8(line) else {
                return Err(SettingsError::BadOutput {
                    keyword: shown(&String::from_utf8_lossy(line)),
                    expected: "UTF-8 text",
                    came: String::new(),
                });
            };
            let (keyword, value) = text.split_once(' ').unwrap_or((text, ""));
            dump.values
                .entry(keyword.to_ascii_lowercase())
                .or_default()
                .push(value.to_owned());
        }
        Ok(dump)
    }

    /// The values as they bear on a connection.
    pub(super) fn found(&self, baseline: &Baseline) -> Result<Found, SettingsError> {
        let host = self.text("hostname").ok_or(SettingsError::BadOutput {
            keyword: "hostname".to_owned(),
            expected: "a host name",
            came: String::new(),
        })?;
        let list = |keyword| self.changed(keyword, baseline);
        Ok(Found {
            host: host.to_owned(),
            port: self.number("port")?,
            user: self.text("user").map(str::to_owned),
            family: self.family()?,
            bind_address: self.text("bindaddress").map(str::to_owned),
            bind_interface: self.text("bindinterface").map(str::to_owned),
            connect_timeout: self.seconds("connecttimeout")?,
            alive_interval: self.seconds("serveraliveinterval")?,
            alive_count: self.number("serveralivecountmax")?,
            tcp_keep_alive: self.flag("tcpkeepalive", true)?,
            identity_files: self.identity_files(baseline),
            certificate_files: self.all("certificatefile").to_vec(),
            identities_only: self.flag("identitiesonly", false)?,
            identity_agent: self.text("identityagent").map(str::to_owned),
            batch_mode: self.flag("batchmode", false)?,
            pubkey: self.pubkey()?,
            accepted_algorithms: list("pubkeyacceptedalgorithms")
                // Its name before OpenSSH 8.5.
                .or_else(|| list("pubkeyacceptedkeytypes")),
            host_key_alias: self.text("hostkeyalias").map(str::to_owned),
            user_known_hosts: self.words("userknownhostsfile"),
            global_known_hosts: self.words("globalknownhostsfile"),
            strict: self.strict()?,
            hash_known_hosts: self.flag("hashknownhosts", false)?,
            host_key_algorithms: list("hostkeyalgorithms"),
            ca_algorithms: list("casignaturealgorithms"),
            revoked: self.text("revokedhostkeys").map(str::to_owned),
            kex: list("kexalgorithms"),
            ciphers: list("ciphers"),
            macs: list("macs"),
            compression: self.flag("compression", false)?,
            proxy: self.proxy(),
            forwarding: self.forwarding()?,
            files_expanded: baseline.files_expanded,
        })
    }

    fn all(&self, keyword: &str) -> &[String] {
        self.values.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// The value of a keyword that stands once; `None` where it is missing or empty.
    fn text(&self, keyword: &str) -> Option<&str> {
        let first = self.all(keyword).first()?;
        (!first.is_empty()).then_some(first.as_str())
    }

    /// Names in one line. ssh does not quote them: a path with a space in it comes apart here.
    fn words(&self, keyword: &str) -> Vec<String> {
        let text = self.text(keyword).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// A list of algorithms, unless it is the one ssh has by itself.
    fn changed(&self, keyword: &str, baseline: &Baseline) -> Option<Vec<String>> {
        let came = self.all(keyword).first()?;
        if Some(came) == baseline.dump_value(keyword) {
            return None;
        }
        Some(
            came.split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    fn identity_files(&self, baseline: &Baseline) -> Files {
        let came = self.all("identityfile").to_vec();
        if came == baseline.identity_files {
            Files::Default(came)
        } else {
            Files::Named(came)
        }
    }

    fn number<T: std::str::FromStr>(&self, keyword: &str) -> Result<Option<T>, SettingsError> {
        let Some(text) = self.text(keyword) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(bad(keyword, "a number", text)),
        }
    }

    fn seconds(&self, keyword: &str) -> Result<Option<u32>, SettingsError> {
        if self.text(keyword) == Some("none") {
            return Ok(None);
        }
        self.number(keyword)
    }

    fn flag(&self, keyword: &str, default: bool) -> Result<bool, SettingsError> {
        match self.text(keyword) {
            None => Ok(default),
            Some("yes" | "true") => Ok(true),
            Some("no" | "false") => Ok(false),
            Some(text) => Err(bad(keyword, "yes or no", text)),
        }
    }

    fn family(&self) -> Result<Family, SettingsError> {
        match self.text("addressfamily") {
            None | Some("any") => Ok(Family::Any),
            Some("inet") => Ok(Family::V4),
            Some("inet6") => Ok(Family::V6),
            Some(text) => Err(bad("addressfamily", "any, inet or inet6", text)),
        }
    }

    fn pubkey(&self) -> Result<bool, SettingsError> {
        match self.text("pubkeyauthentication") {
            // These say which form of it, not whether.
            Some("unbound" | "host-bound") => Ok(true),
            _ => self.flag("pubkeyauthentication", true),
        }
    }

    /// Releases print `ask` or `true`, `false` or `no`; nobody is there to be asked, so `ask` is `yes`.
    fn strict(&self) -> Result<Strict, SettingsError> {
        match self.text("stricthostkeychecking") {
            None | Some("ask" | "yes" | "true") => Ok(Strict::Yes),
            Some("accept-new") => Ok(Strict::AcceptNew),
            Some("no" | "off" | "false") => Ok(Strict::No),
            Some(text) => Err(bad(
                "stricthostkeychecking",
                "yes, ask, accept-new or no",
                text,
            )),
        }
    }

    fn forwarding(&self) -> Result<Forwarding, SettingsError> {
        let mask = self.text("streamlocalbindmask").unwrap_or("0177");
        let bind_mask = u32::from_str_radix(mask, 8)
            .map_err(|_| bad("streamlocalbindmask", "an octal number", mask))?;
        let mut forwards = Vec::new();
        // -G prints a LocalForward to a socket as a DynamicForward, too (OpenSSH 9.2, `dump_cfg_forwards`).
        let to_sockets = self.all(Flag::Local.keyword()).iter();
        let to_sockets = to_sockets.filter_map(|value| value.split_once(" /"));
        let echoes: Vec<_> = to_sockets.map(|(listen, _)| listen).collect();
        for flag in Flag::ALL {
            let keyword = flag.keyword();
            for value in self.all(keyword) {
                if flag == Flag::Dynamic && echoes.contains(&value.as_str()) {
                    continue;
                }
                let spec = Spec::parse_config(flag, value);
                forwards.push(spec.map_err(|_| bad(keyword, "a forward", value))?);
            }
        }
        Ok(Forwarding {
            forwards,
            exit_on_failure: self.flag("exitonforwardfailure", false)?,
            gateway_ports: self.flag("gatewayports", false)?,
            bind_unlink: self.flag("streamlocalbindunlink", false)?,
            bind_mask,
        })
    }

    fn proxy(&self) -> FoundProxy {
        let given = |keyword| {
            self.text(keyword)
                .filter(|text| !text.eq_ignore_ascii_case("none"))
                .map(str::to_owned)
        };
        // ssh keeps only one of the two.
        match (given("proxyjump"), given("proxycommand")) {
            (Some(jump), _) => FoundProxy::Jump(jump),
            (None, Some(command)) => FoundProxy::Command(command),
            (None, None) => FoundProxy::None,
        }
    }
}

/// What this `ssh` prints where nobody has set anything.
#[derive(Debug)]
pub(super) struct Baseline {
    lists: HashMap<String, String>,
    identity_files: Vec<String>,
    files_expanded: bool,
}

impl Baseline {
    /// `dump` is the answer to [`PROBE`] with no file read; `None` where it is not an OpenSSH's.
    pub(super) fn new(dump: &Dump) -> Option<Self> {
        dump.text("hostname")?;
        let first = |(keyword, values): (&String, &Vec<String>)| {
            Some((keyword.clone(), values.first()?.clone()))
        };
        Some(Self {
            lists: dump.values.iter().filter_map(first).collect(),
            identity_files: dump.all("identityfile").to_vec(),
            files_expanded: dump.text("userknownhostsfile") == Some("/%"),
        })
    }

    fn dump_value(&self, keyword: &str) -> Option<&String> {
        self.lists.get(keyword)
    }
}

/// An option whose echo tells whether `-G` expands tokens in the names of files: it comes back as `/%`
/// where it does (OpenSSH 9.2), as it was where it does not.
pub(super) const PROBE: &str = "UserKnownHostsFile=/%%";

fn bad(keyword: &str, expected: &'static str, came: &str) -> SettingsError {
    SettingsError::BadOutput {
        keyword: keyword.to_owned(),
        expected,
        came: shown(came),
    }
}
