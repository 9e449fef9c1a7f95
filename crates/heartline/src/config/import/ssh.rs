//! Nodes from ssh_config.
//!
//! Settings are read by heartline's own parser and not by `ssh -G`, which would run what a `Match exec` of somebody's file asks
//! for.

use std::path::Path;

use heartline_ssh::settings::{
    Family, HostLine, Invocation, Proxy, Resolver, Settings, SettingsError, Strict,
};

use super::found::{Import, Line, Node};

/// The hosts of this file, written out; or of the user's own files, by name.
pub(super) async fn import(file: Option<&Path>) -> anyhow::Result<Import> {
    let resolver = Resolver::with_parser();
    let lines = resolver.host_lines(file).await?;
    let mut reading = Reading {
        resolver,
        file,
        import: Import::default(),
        patterns: 0,
    };
    for line in &lines {
        reading.host_line(line).await;
    }
    Ok(reading.finish())
}

struct Reading<'a> {
    resolver: Resolver,
    file: Option<&'a Path>,
    import: Import,
    patterns: usize,
}

impl Reading<'_> {
    /// One `Host` line. Of several names that lead to one place the first is the node.
    async fn host_line(&mut self, line: &HostLine) {
        self.patterns += line.patterns.len();
        let mut places = Vec::new();
        for name in &line.names {
            if self.import.nodes.iter().any(|node| node.name == *name) {
                continue;
            }
            let settings = match self.settings_of(name, "Host").await {
                Ok(settings) => settings,
                Err(error) => {
                    self.by_name(name, line, &error.to_string());
                    continue;
                }
            };
            let place = (settings.host.clone(), settings.port, settings.user.clone());
            if let Some((first, _)) = places.iter().find(|(_, known)| *known == place) {
                let what = format!("{name}: left out: it is {first} by another name");
                self.warn(&what);
                continue;
            }
            places.push((name.clone(), place));
            let node = match self.file {
                None => Node {
                    name: name.clone(),
                    ..Node::default()
                },
                Some(_) => self.written_out(name, &settings).await,
            };
            self.import.nodes.push(node);
        }
    }

    /// A node whose settings cannot be read here: in the user's own files ssh may know better.
    fn by_name(&mut self, name: &str, line: &HostLine, why: &str) {
        let place = format!("{}:{}", line.file.display(), line.line);
        if self.file.is_some() {
            self.warn(&format!("{name}: left out ({place}): {why}"));
            return;
        }
        self.warn(&format!("{name} ({place}): taken by its name alone: {why}"));
        self.import.nodes.push(Node {
            name: name.to_owned(),
            ..Node::default()
        });
    }

    fn warn(&mut self, what: &str) {
        self.import.warnings.push(what.to_owned());
    }

    async fn settings_of(
        &self,
        name: &str,
        keyword: &'static str,
    ) -> Result<Settings, SettingsError> {
        let destination = name.parse();
        let destination =
            destination.map_err(|source| SettingsError::Destination { keyword, source })?;
        let mut invocation = Invocation::new(destination);
        invocation.config_file = self.file.map(Path::to_owned);
        self.resolver.resolve(&invocation).await
    }

    /// All that heartline.toml has room for.
    async fn written_out(&mut self, name: &str, settings: &Settings) -> Node {
        let mut keys = settings.identity.files.iter().filter(|key| key.explicit);
        let mut node = Node {
            name: name.to_owned(),
            host: (settings.host != name).then(|| settings.host.clone()),
            user: Some(settings.user.clone()),
            port: (settings.port != 22).then_some(settings.port),
            identity_file: keys.next().map(|key| key.path.display().to_string()),
            interval: settings.server_alive_interval.map(seconds),
            count: settings.server_alive_count_max,
            connect_timeout: settings.connect_timeout.map(seconds),
            ..Node::default()
        };
        if keys.next().is_some() {
            self.warn(&format!(
                "{name}: IdentityFile: only the first is carried over"
            ));
        }
        let jump = self.jump(name, settings).await;
        let src = settings.bind_address.clone();
        let dev = settings.bind_interface.clone();
        if jump.is_some() || src.is_some() || dev.is_some() {
            node.lines.push(Line {
                host: settings.host.clone(),
                dev,
                src,
                jump,
                port: None,
            });
        }
        for what in left_behind(settings) {
            self.warn(&format!("{name}: {what} is not carried over"));
        }
        node
    }

    /// The jump hosts as they are to be dialed, nearest to us first: this file's names for them mean nothing elsewhere.
    async fn jump(&mut self, name: &str, settings: &Settings) -> Option<String> {
        let mut hops = match &settings.proxy {
            Proxy::Jump(hops) => hops.clone(),
            Proxy::None | Proxy::Command(_) => return None,
        };
        let mut written = Vec::new();
        while let Some(hop) = hops.pop() {
            if written.len() >= MOST_HOPS {
                self.warn(&format!(
                    "{name}: ProxyJump: more than {MOST_HOPS} in a row"
                ));
                return None;
            }
            let found = match self.settings_of(&hop, "ProxyJump").await {
                Ok(found) => found,
                Err(error) => {
                    self.warn(&format!("{name}: ProxyJump {hop}: {error}"));
                    return None;
                }
            };
            let host = if found.host.contains(':') {
                format!("[{}]", found.host)
            } else {
                found.host.clone()
            };
            let port = match found.port {
                22 => String::new(),
                port => format!(":{port}"),
            };
            written.push(format!("{}@{host}{port}", found.user));
            if found.identity.files.iter().any(|key| key.explicit) {
                self.warn(&format!(
                    "{name}: the key for its jump host {hop} is not carried over; an agent or ~/.ssh must have it"
                ));
            }
            match found.proxy {
                // What the first hop is reached by stands with that hop.
                Proxy::Jump(before) if hops.is_empty() => hops = before,
                Proxy::Command(_) if hops.is_empty() => {
                    self.warn(&format!(
                        "{name}: ProxyCommand of its jump host {hop} is not carried over"
                    ));
                }
                _ => {}
            }
        }
        written.reverse();
        Some(written.join(","))
    }

    fn finish(mut self) -> Import {
        let from = match self.file {
            Some(file) => file.display().to_string(),
            None => "your ssh_config".to_owned(),
        };
        let mut heading = vec![format!("Nodes from the Host entries of {from}.")];
        if self.file.is_none() {
            heading.push(
                "Addresses, users, ports, keys and jump hosts stay in ssh_config: heartline reads it as ssh does.".to_owned(),
            );
        }
        if self.patterns > 0 {
            heading.push(format!(
                "Patterns ({}) are no nodes; what they say holds for the nodes they match.",
                self.patterns
            ));
        }
        self.import.heading = heading;
        self.import
    }
}

/// What a node has no field for.
fn left_behind(settings: &Settings) -> Vec<&'static str> {
    let algorithms = &settings.algorithms;
    let is_picky = algorithms.kex.is_some()
        || algorithms.ciphers.is_some()
        || algorithms.macs.is_some()
        || settings.host_key.algorithms.is_some()
        || settings.identity.accepted_algorithms.is_some();
    let all = [
        (matches!(settings.proxy, Proxy::Command(_)), "ProxyCommand"),
        (settings.host_key.port.is_none(), "HostKeyAlias"),
        (
            settings.host_key.strict != Strict::default(),
            "StrictHostKeyChecking",
        ),
        (settings.host_key.revoked.is_some(), "RevokedHostKeys"),
        (
            !settings.identity.certificates.is_empty(),
            "CertificateFile",
        ),
        (is_picky, "a list of algorithms"),
        (settings.family != Family::Any, "AddressFamily"),
        (!settings.forwarding.forwards.is_empty(), "a forward"),
    ];
    let left = all.into_iter().filter(|(is_set, _)| *is_set);
    left.map(|(_, what)| what).collect()
}

fn seconds(time: std::time::Duration) -> String {
    format!("{}s", time.as_secs())
}

const MOST_HOPS: usize = 8;
