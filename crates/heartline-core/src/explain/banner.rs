//! Whose rules hold, told by the identification a program sends.

use super::scene::Side;

/// A program as its SSH banner names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Software {
    /// The name and release, as `OpenSSH_9.2p1`; without protocol and comment.
    pub name: String,
    /// Whose rules hold.
    pub implementation: Implementation,
    /// Whether it is Debian's OpenSSH (the comment says so), which has defaults of its own.
    pub is_debian: bool,
}

impl Software {
    /// Reads a banner, with or without `SSH-2.0-` before it: `OpenSSH_9.2p1 Debian-2+deb12u10`, `dropbear_2022.83`,
    /// `AsyncSSH_2.24.1`, `paramiko_5.1.0`, `PuTTY_Release_0.78`. `autossh` is taken too, though it sends none.
    ///
    /// What is not known, or was never measured on this side, is [`Implementation::Unknown`]. The text must be fit to be
    /// shown: escaped and cut by the caller.
    pub fn from_banner(banner: &str, side: Side) -> Self {
        let banner = banner.trim();
        let protocol = ["SSH-2.0-", "SSH-1.99-"];
        let banner = protocol
            .iter()
            .find_map(|prefix| banner.strip_prefix(prefix))
            .unwrap_or(banner);
        let (name, comment) = banner.split_once(' ').unwrap_or((banner, ""));
        Self {
            name: name.to_owned(),
            implementation: implementation(name, side),
            is_debian: name.starts_with("OpenSSH") && comment.contains("Debian"),
        }
    }

    /// OpenSSH of no stated release.
    pub fn openssh(side: Side) -> Self {
        Self::from_banner("OpenSSH", side)
    }
}

/// Programs whose keepalives were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// OpenSSH's `ssh`; the rule is the same in every release.
    OpenSshClient,
    /// OpenSSH's `sshd`.
    Sshd(SshdRelease),
    /// `dbclient` or the dropbear server: `-K` as the interval, `-I` as the idle timeout.
    Dropbear,
    /// `PuTTY` and plink: `PingIntervalSecs` as the interval.
    Putty,
    /// paramiko, as client: `set_keepalive` as the interval.
    Paramiko,
    /// asyncssh, as client: `keepalive_interval` and `keepalive_count_max`.
    AsyncSsh,
    /// autossh with a monitoring port (`-M port`): `AUTOSSH_POLL` as the interval. With `-M 0` it is ssh itself that
    /// notices.
    Autossh,
    /// None of these; nothing is predicted.
    Unknown,
}

/// sshd by the rule of its release (facts/keepalive.md, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshdRelease {
    /// Before 8.2: as the next, but a count of 0 ends sessions (8.2's release notes; not measured).
    Before82,
    /// 8.2 to 9.1: probes also while the remote command writes.
    From82To91,
    /// 9.2 to 9.4: twice as slow, and starved by output.
    From92To94,
    /// 9.5 and 9.6: starved by output.
    From95To96,
    /// 9.7 and later: as before, and `ChannelTimeout` knows `global`.
    From97,
    /// Not stated: anything from the fastest to the slowest of them.
    Unknown,
}

impl SshdRelease {
    /// Whether a remote command that writes keeps this sshd from probing (it may, where the release is not stated).
    pub const fn is_starved_by_output(self) -> bool {
        !matches!(self, Self::Before82 | Self::From82To91)
    }

    fn of(version: Option<(u32, u32)>) -> Self {
        let Some(version) = version else {
            return Self::Unknown;
        };
        match version {
            version if version < (8, 2) => Self::Before82,
            version if version < (9, 2) => Self::From82To91,
            version if version < (9, 5) => Self::From92To94,
            version if version < (9, 7) => Self::From95To96,
            _ => Self::From97,
        }
    }
}

fn implementation(name: &str, side: Side) -> Implementation {
    if let Some(release) = name.strip_prefix("OpenSSH") {
        let version = match release.strip_prefix('_').unwrap_or(release) {
            "" => None,
            // `OpenSSH_for_Windows_9.5` and the like are other programs, and were not measured.
            text => match version(text) {
                Some(version) => Some(version),
                None => return Implementation::Unknown,
            },
        };
        return match side {
            Side::Client => Implementation::OpenSshClient,
            Side::Server => Implementation::Sshd(SshdRelease::of(version)),
        };
    }
    // A name ends where its release begins.
    let word = name.split(['_', '-']).next().unwrap_or(name);
    let is = |other: &str| word.eq_ignore_ascii_case(other);
    match side {
        _ if is("dropbear") => Implementation::Dropbear,
        Side::Client if is("dbclient") => Implementation::Dropbear,
        Side::Client if is("PuTTY") || is("plink") => Implementation::Putty,
        Side::Client if is("paramiko") => Implementation::Paramiko,
        Side::Client if is("AsyncSSH") => Implementation::AsyncSsh,
        Side::Client if is("autossh") => Implementation::Autossh,
        _ => Implementation::Unknown,
    }
}

/// `9.2p1`, `10.5`: the two numbers it begins with.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..end)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(banner: &str, side: Side) -> Implementation {
        Software::from_banner(banner, side).implementation
    }

    #[test]
    fn banners_seen_in_the_wild() {
        let debian =
            Software::from_banner("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n", Side::Server);
        assert_eq!(debian.name, "OpenSSH_9.2p1");
        assert!(debian.is_debian);
        for (banner, release) in [
            ("OpenSSH_7.4", SshdRelease::Before82),
            ("OpenSSH_8.1p1", SshdRelease::Before82),
            ("OpenSSH_8.2p1 Ubuntu-4", SshdRelease::From82To91),
            ("OpenSSH_9.1", SshdRelease::From82To91),
            ("OpenSSH_9.2p1 Debian-2+deb12u10", SshdRelease::From92To94),
            ("SSH-2.0-OpenSSH_9.4", SshdRelease::From92To94),
            ("OpenSSH_9.5", SshdRelease::From95To96),
            ("OpenSSH_9.6p1", SshdRelease::From95To96),
            ("OpenSSH_9.7", SshdRelease::From97),
            ("OpenSSH_10.5p1", SshdRelease::From97),
            ("OpenSSH", SshdRelease::Unknown),
        ] {
            assert_eq!(
                of(banner, Side::Server),
                Implementation::Sshd(release),
                "{banner}"
            );
            assert_eq!(
                of(banner, Side::Client),
                Implementation::OpenSshClient,
                "{banner}"
            );
        }
        assert_eq!(
            of("dropbear_2022.83", Side::Server),
            Implementation::Dropbear
        );
        assert_eq!(
            of("dropbear_2022.83", Side::Client),
            Implementation::Dropbear
        );
        assert_eq!(
            of("AsyncSSH_2.24.1", Side::Client),
            Implementation::AsyncSsh
        );
        assert_eq!(of("paramiko_5.1.0", Side::Client), Implementation::Paramiko);
        assert_eq!(
            of("PuTTY_Release_0.78", Side::Client),
            Implementation::Putty
        );
    }

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        for banner in [
            "",
            "libssh_0.9.6",
            "Go",
            "OpenSSH_for_Windows_9.5",
            "OpenSSH_x",
            "OpenSSH_9",
            "dropbears",
            "babeld-1",
            "\u{e9}",
        ] {
            assert_eq!(
                of(banner, Side::Client),
                Implementation::Unknown,
                "{banner}"
            );
            assert_eq!(
                of(banner, Side::Server),
                Implementation::Unknown,
                "{banner}"
            );
        }
        for banner in [
            "PuTTY_Release_0.78",
            "paramiko_5.1.0",
            "AsyncSSH_2.24.1",
            "autossh",
        ] {
            assert_eq!(
                of(banner, Side::Server),
                Implementation::Unknown,
                "{banner}"
            );
        }
    }
}
