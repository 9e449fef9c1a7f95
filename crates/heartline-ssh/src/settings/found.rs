//! What was found, by `ssh -G` or by the parser, before it is made [`Settings`].
//!
//! Both ways end in one [`Found`], and one function finishes it: a line's overrides are laid over it,
//! then tokens and `~` are expanded. So the two ways cannot drift apart in that.

use std::path::PathBuf;
use std::time::Duration;

use super::destination::{DestinationError, check_host, check_user};
use super::error::SettingsError;
use super::invocation::Invocation;
use super::jump::Jump;
use super::local::Local;
use super::tokens::{Rule, TokenError, Tokens, tilde};
use super::{
    Algorithms, Family, Forwarding, HostKeySettings, IdentityFile, IdentitySettings, Proxy,
    Settings, Strict,
};

/// Values of `ssh_config` with nothing expanded but `HostName`.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// `HostName`, expanded and lower-cased, or the destination.
    pub(super) host: String,
    /// `Port`; 22 where unset.
    pub(super) port: Option<u16>,
    /// `User`; the local user where unset.
    pub(super) user: Option<String>,
    pub(super) family: Family,
    pub(super) bind_address: Option<String>,
    pub(super) bind_interface: Option<String>,
    /// Seconds; `None` or 0 = unset.
    pub(super) connect_timeout: Option<u32>,
    /// Seconds; `None` or 0 = unset.
    pub(super) alive_interval: Option<u32>,
    pub(super) alive_count: Option<u32>,
    pub(super) tcp_keep_alive: bool,
    pub(super) identity_files: Files,
    pub(super) certificate_files: Vec<String>,
    pub(super) identities_only: bool,
    /// As written: a path, `none`, `SSH_AUTH_SOCK` or `$VARIABLE`.
    pub(super) identity_agent: Option<String>,
    pub(super) batch_mode: bool,
    pub(super) pubkey: bool,
    pub(super) accepted_algorithms: Option<Vec<String>>,
    /// Lower-cased, as ssh does.
    pub(super) host_key_alias: Option<String>,
    /// Empty or `none` = no files.
    pub(super) user_known_hosts: Vec<String>,
    pub(super) global_known_hosts: Vec<String>,
    pub(super) strict: Strict,
    pub(super) hash_known_hosts: bool,
    pub(super) host_key_algorithms: Option<Vec<String>>,
    pub(super) ca_algorithms: Option<Vec<String>>,
    pub(super) revoked: Option<String>,
    pub(super) kex: Option<Vec<String>>,
    pub(super) ciphers: Option<Vec<String>>,
    pub(super) macs: Option<Vec<String>>,
    pub(super) compression: bool,
    pub(super) proxy: FoundProxy,
    pub(super) forwarding: Forwarding,
    /// `UserKnownHostsFile` and `IdentityAgent` came with their tokens expanded, as `ssh -G` of
    /// OpenSSH 9.2 prints them.
    pub(super) files_expanded: bool,
}

/// `IdentityFile`s, and whether anybody named them.
#[derive(Clone, Debug)]
pub(super) enum Files {
    /// Nobody did: ssh's own names.
    Default(Vec<String>),
    /// Somebody did.
    Named(Vec<String>),
}

impl Default for Files {
    fn default() -> Self {
        Self::Default(Vec::new())
    }
}

/// `ProxyJump` or `ProxyCommand`, whichever came first, as written.
#[derive(Clone, Debug, Default)]
pub(super) enum FoundProxy {
    /// Neither, or `none`.
    #[default]
    None,
    /// `ProxyJump`.
    Jump(String),
    /// `ProxyCommand`.
    Command(String),
}

impl Found {
    /// Lays `inv`'s line over what was found, expands everything, and gives the finished product.
    pub(super) fn finish(
        &self,
        inv: &Invocation,
        local: &Local,
    ) -> Result<Settings, SettingsError> {
        let typed = inv.destination.host();
        let node_port = self.port.unwrap_or(SSH_PORT);
        let host = inv.line.host.as_deref().unwrap_or(&self.host);
        let user = self.user.as_deref().unwrap_or(&local.user);
        check_host(host).map_err(|source| refused("HostName", source))?;
        check_user(user).map_err(|source| refused("User", source))?;
        let mut tokens = Tokens {
            local,
            host,
            typed,
            port: inv.line.port.unwrap_or(node_port),
            user,
            key_alias: self.host_key_alias.as_deref().unwrap_or(typed),
            jump: String::new(),
        };
        let jump = self.jump(inv, &tokens)?;
        tokens.jump = jump.join(",");
        let line = &inv.line;
        Ok(Settings {
            typed: typed.to_owned(),
            host: host.to_owned(),
            port: tokens.port,
            user: user.to_owned(),
            family: self.family,
            bind_address: match line.bind_address {
                Some(address) => Some(address.to_string()),
                None => self.bind_address.clone(),
            },
            bind_interface: line
                .bind_interface
                .clone()
                .or_else(|| self.bind_interface.clone()),
            connect_timeout: seconds(self.connect_timeout),
            server_alive_interval: seconds(self.alive_interval),
            server_alive_count_max: self.alive_count.filter(|n| *n != SSH_COUNT_MAX),
            tcp_keep_alive: self.tcp_keep_alive,
            identity: self.identity(inv, &tokens)?,
            host_key: self.host_key(&tokens, node_port)?,
            algorithms: Algorithms {
                kex: self.kex.clone(),
                ciphers: self.ciphers.clone(),
                macs: self.macs.clone(),
                compression: self.compression,
            },
            proxy: self.proxy(inv, jump, &tokens)?,
            forwarding: self.forwarding.clone(),
        })
    }

    /// The jump hosts, nearest to us first; empty for none.
    fn jump(&self, inv: &Invocation, tokens: &Tokens<'_>) -> Result<Vec<String>, SettingsError> {
        let jump = match (&inv.line.jump, &self.proxy) {
            (Some(jump), _) => jump.clone(),
            (None, FoundProxy::Jump(written)) => tokens
                .expand(Rule::proxy("ProxyJump"), written)?
                .parse()
                .map_err(|source| refused("ProxyJump", source))?,
            (None, _) => Jump::None,
        };
        let Jump::Through(hops) = jump else {
            return Ok(Vec::new());
        };
        // OpenSSH ssh.c compares the last hop too, as written.
        if let Some(last) = hops.last()
            && last.host() == tokens.host
            && last.port().unwrap_or(SSH_PORT) == tokens.port
            && last.user().unwrap_or(tokens.user) == tokens.user
        {
            return Err(SettingsError::JumpLoop {
                host: last.host().to_owned(),
            });
        }
        Ok(hops.iter().map(ToString::to_string).collect())
    }

    fn proxy(
        &self,
        inv: &Invocation,
        jump: Vec<String>,
        tokens: &Tokens<'_>,
    ) -> Result<Proxy, SettingsError> {
        Ok(match &self.proxy {
            _ if !jump.is_empty() => Proxy::Jump(jump),
            FoundProxy::Command(command) if inv.line.jump.is_none() => {
                Proxy::Command(tokens.expand(Rule::proxy("ProxyCommand"), command)?)
            }
            _ => Proxy::None,
        })
    }

    fn identity(
        &self,
        inv: &Invocation,
        tokens: &Tokens<'_>,
    ) -> Result<IdentitySettings, SettingsError> {
        let rule = Rule::file("IdentityFile");
        let mut files: Vec<IdentityFile> = Vec::new();
        let mut add = |path, explicit| {
            if !files.iter().any(|file| file.path == path) {
                files.push(IdentityFile { path, explicit });
            }
        };
        for given in &inv.identity_files {
            match given.to_str() {
                Some(text) => add(tokens.path(rule, text)?, true),
                None => add(Local::absolute(given), true),
            }
        }
        match &self.identity_files {
            Files::Named(named) => {
                for text in named.iter().filter(|text| !is_none(text)) {
                    add(tokens.path(rule, text)?, true);
                }
            }
            Files::Default(names) if inv.identity_files.is_empty() => {
                for text in names {
                    add(tokens.path(rule, text)?, false);
                }
            }
            Files::Default(_) => {}
        }
        let certificate = Rule::file("CertificateFile");
        Ok(IdentitySettings {
            files,
            certificates: self
                .certificate_files
                .iter()
                .filter(|text| !is_none(text))
                .map(|text| tokens.path(certificate, text))
                .collect::<Result<_, _>>()?,
            identities_only: self.identities_only,
            agent: self.agent(tokens)?,
            batch_mode: self.batch_mode,
            pubkey: self.pubkey,
            accepted_algorithms: self.accepted_algorithms.clone(),
        })
    }

    /// `ssh_config(5)`, `IdentityAgent`; OpenSSH `ssh.c`: an unset variable means no agent.
    fn agent(&self, tokens: &Tokens<'_>) -> Result<Option<PathBuf>, SettingsError> {
        let from = |name: &str| {
            let socket = tokens.local.variable(name).filter(|text| !text.is_empty());
            socket.map(|text| Local::absolute(text.as_ref()))
        };
        Ok(match self.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => from("SSH_AUTH_SOCK"),
            Some("none") => None,
            Some(text) => match text.strip_prefix('$') {
                Some(name) if !name.starts_with('{') => from(name),
                _ => Some(self.maybe_expanded(Rule::file("IdentityAgent"), text, tokens)?),
            },
        })
    }

    fn host_key(
        &self,
        tokens: &Tokens<'_>,
        node_port: u16,
    ) -> Result<HostKeySettings, SettingsError> {
        let lower = |host: &str| host.to_lowercase();
        let mut also = Vec::new();
        let (name, port) = if let Some(alias) = &self.host_key_alias {
            (alias.clone(), None)
        } else {
            let name = (lower(tokens.host), Some(tokens.port));
            let node = (lower(&self.host), Some(node_port));
            if node != name {
                also.push(node);
            }
            name
        };
        let user_rule = Rule::file("UserKnownHostsFile");
        Ok(HostKeySettings {
            name,
            port,
            also,
            user_files: real(&self.user_known_hosts)
                .map(|text| self.maybe_expanded(user_rule, text, tokens))
                .collect::<Result<_, _>>()?,
            global_files: real(&self.global_known_hosts)
                .map(|text| {
                    let path = tilde("GlobalKnownHostsFile", text, tokens.local)?;
                    Ok(Local::absolute(path.as_ref()))
                })
                .collect::<Result<_, TokenError>>()?,
            strict: self.strict,
            hash_new: self.hash_known_hosts,
            algorithms: self.host_key_algorithms.clone(),
            ca_algorithms: self.ca_algorithms.clone(),
            revoked: self
                .revoked
                .as_deref()
                .filter(|text| !is_none(text))
                .map(|text| tokens.path(Rule::file("RevokedHostKeys"), text))
                .transpose()?,
        })
    }

    fn maybe_expanded(
        &self,
        rule: Rule,
        text: &str,
        tokens: &Tokens<'_>,
    ) -> Result<PathBuf, TokenError> {
        if self.files_expanded {
            return Ok(Local::absolute(text.as_ref()));
        }
        tokens.path(rule, text)
    }
}

fn refused(keyword: &'static str, source: DestinationError) -> SettingsError {
    SettingsError::Destination { keyword, source }
}

/// `none` may only stand alone, and means: no file.
fn real(files: &[String]) -> impl Iterator<Item = &String> {
    files.iter().filter(|text| !is_none(text))
}

fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

/// 0 means what unset means.
fn seconds(value: Option<u32>) -> Option<Duration> {
    value
        .filter(|n| *n > 0)
        .map(|n| Duration::from_secs(n.into()))
}

/// What `Port` is where nobody says otherwise (RFC 4253, section 4.1).
const SSH_PORT: u16 = 22;

/// What `ServerAliveCountMax` is where nobody says otherwise.
const SSH_COUNT_MAX: u32 = 3;
