//! What each warning says, and its mend.

use std::time::Duration;

use super::banner::SshdRelease;
use super::engine::Explanation;
use super::lint::Lint;
use super::path::{man_page, setting_names};
use super::scene::{Scene, Side};
use super::spoken::spoken;

/// What is so, and what to do.
pub(super) fn of(lint: Lint, scene: &Scene, explanation: &Explanation) -> (String, String) {
    let teller = Teller { scene, explanation };
    (teller.text(lint), teller.fix(lint))
}

struct Teller<'a> {
    scene: &'a Scene,
    explanation: &'a Explanation,
}

impl Teller<'_> {
    fn text(&self, lint: Lint) -> String {
        let (interval_name, count_name) = setting_names(self.scene.side);
        let interval = self.interval();
        match lint {
            Lint::ManPageDiffers => self.man_page_differs(),
            Lint::CountZeroKills => format!(
                "{count_name} 0 does not mean off: it ends a session that is well, and idle, at the first tick, {} \
                 after its last data.",
                spoken(interval)
            ),
            Lint::CountZeroNeverEnds => format!(
                "{count_name} 0 sends probes every {} and never ends a session, whatever comes back.",
                spoken(self.explanation.probe_every.unwrap_or(interval))
            ),
            Lint::CountZeroRefused => {
                "asyncssh refuses keepalive_count_max 0 (ValueError).".to_owned()
            }
            Lint::BothEndsUnequal => self.both_ends_unequal(),
            Lint::LoginShorterThanAuth => {
                let limit = self.explanation.login_limit.unwrap_or_default();
                format!(
                    "Before there is a session, {interval_name} and {count_name} are a hard limit of {} on every wait \
                     (no probes, no interval more): a login that takes longer, as with a second factor on a phone, \
                     cannot succeed.",
                    spoken(limit)
                )
            }
            Lint::IntervalOverNatIdle => self.interval_over_nat_idle(),
            Lint::TcpOnlySpoofable => "Only TCPKeepAlive keeps watch. Its probes are neither encrypted nor \
                authenticated: anybody on the way can answer them, or end the connection with a reset, and a kernel \
                answers them for an sshd that hangs."
                .to_owned(),
            Lint::TcpKeepAliveTwoHours => "TCPKeepAlive sends its first probe after two hours of silence (the \
                kernel's tcp_keepalive_time): too late for any firewall, and for you."
                .to_owned(),
            Lint::MuxOptionsIgnored => self.mux_options_ignored(),
            Lint::ServerStarvedByOutput => self.starved(),
            Lint::ServerTwiceAsSlow => format!(
                "sshd 9.2 to 9.4 probe at every second interval only, every {}: its end comes twice as late as set.",
                spoken(interval.saturating_mul(2))
            ),
            Lint::UnusedConnectionTimeoutKillsIdleTunnel => {
                let limit = self.scene.unused_connection_timeout.unwrap_or_default();
                format!(
                    "UnusedConnectionTimeout {limit} ends a connection without channels after {limit} to {} s, \
                     `ssh -N` with idle forwards among them; no keepalive holds it off.",
                    limit.saturating_add(1)
                )
            }
            Lint::ChannelTimeoutSpelling => "ChannelTimeout session=… has no effect: by the time it is looked up the \
                channel is called session:command, session:shell or session:subsystem:…, whatever the manual's example \
                says."
                .to_owned(),
            Lint::IdleTimeoutIgnoresKeepalives => {
                let healthy = self.explanation.healthy_ending.as_ref();
                let after = healthy.map(|ending| ending.after_last_data.max());
                format!(
                    "A session that is well ends after {} without data; keepalives of either end do not hold that off.",
                    spoken(after.unwrap_or_default())
                )
            }
            Lint::OverflowNeverProbes => format!(
                "An interval of {} sends its first probe after {}: none, in practice. (It is not the same as 0, as some \
                 say; it is only as good as 0.)",
                interval.as_secs(),
                spoken(interval)
            ),
            Lint::BatchModeDebian300 => "Debian's ssh turns an unset ServerAliveInterval into 300 where BatchMode is \
                on; OpenSSH as it is released does not."
                .to_owned(),
            Lint::GhostWithoutClientAlive => self.ghost(),
            Lint::SendsNeverDetects => {
                let name = &self.scene.software.name;
                format!(
                    "{name} sends something every {} and wants no answer: it keeps a firewall open, but never notices \
                     by itself that the other end is gone.",
                    spoken(interval)
                )
            }
            Lint::RttOverLimit => format!(
                "A round trip of {} is not under {}: a connection that is well will be ended.",
                spoken(self.scene.rtt()),
                spoken(self.explanation.rtt_limit.unwrap_or_default())
            ),
            Lint::ImplementationUnknown => {
                let name = &self.scene.software.name;
                format!("Nothing is known of {name:?} at this end, so nothing is said of when it ends.")
            }
            Lint::ReleaseUnknown => "The release of this sshd decides and is not known: 9.2 to 9.4 take twice as long \
                as the others. What is said covers both."
                .to_owned(),
        }
    }

    fn fix(&self, lint: Lint) -> String {
        let (interval_name, count_name) = setting_names(self.scene.side);
        match lint {
            Lint::ManPageDiffers => self.reckon(count_name),
            Lint::CountZeroKills => {
                format!("To switch it off set {interval_name} 0; else give {count_name} 1 or more.")
            }
            Lint::CountZeroNeverEnds | Lint::CountZeroRefused => {
                format!("Set {count_name} to 1 or more.")
            }
            Lint::BothEndsUnequal => {
                "Give both ends the same interval and count, so that neither is left with a ghost.".to_owned()
            }
            Lint::LoginShorterThanAuth => format!(
                "Raise {interval_name} or {count_name} until interval·count is over the longest login, {}.",
                spoken(self.scene.auth)
            ),
            Lint::IntervalOverNatIdle => format!(
                "Set {interval_name} to less than {}, better a third of it.",
                spoken(self.scene.nat.unwrap_or_default())
            ),
            Lint::TcpOnlySpoofable | Lint::TcpKeepAliveTwoHours => {
                format!("Set {interval_name} (15, say): those probes are encrypted, and answered by the program itself.")
            }
            Lint::MuxOptionsIgnored => "Set them where the master is started, or use -S none for a session with \
                settings of its own."
                .to_owned(),
            Lint::ServerStarvedByOutput => "End such sessions from the other side: ServerAliveInterval at the client, \
                a fuse in the session, or TCP_USER_TIMEOUT; or use sshd up to 9.1."
                .to_owned(),
            Lint::ServerTwiceAsSlow => {
                format!("Halve {interval_name}, or use sshd 9.5 or later.")
            }
            Lint::UnusedConnectionTimeoutKillsIdleTunnel => {
                "Run a command that stays (`cat`) instead of -N, or set UnusedConnectionTimeout none for such users."
                    .to_owned()
            }
            Lint::ChannelTimeoutSpelling => "Write session:*=….".to_owned(),
            Lint::IdleTimeoutIgnoresKeepalives => {
                "Send data rather than keepalives, or raise the timeout.".to_owned()
            }
            Lint::OverflowNeverProbes => format!("Set {interval_name} to minutes at most, or to 0."),
            Lint::BatchModeDebian300 => {
                "Set ServerAliveInterval yourself; an explicit 0 holds too.".to_owned()
            }
            Lint::GhostWithoutClientAlive => {
                "Set ClientAliveInterval 15 and ClientAliveCountMax 3 in sshd_config.".to_owned()
            }
            Lint::SendsNeverDetects => "Set it at the server (ClientAlive), or give the socket a TCP_USER_TIMEOUT."
                .to_owned(),
            Lint::RttOverLimit => {
                format!("Raise {interval_name} or {count_name} until interval·count is well over it.")
            }
            Lint::ImplementationUnknown => {
                "Measure it: docs/keepalive.md says how.".to_owned()
            }
            Lint::ReleaseUnknown => "Name it: --peer OpenSSH_9.2p1, or --connect.".to_owned(),
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.explanation.pair.interval.into())
    }

    fn man_page_differs(&self) -> String {
        let product = spoken(man_page(self.scene));
        let start = format!("The manual's interval·count, {product}, is not when it ends:");
        let ending = self.explanation.ending.as_ref();
        let alive = ending.filter(|ending| !ending.by.is_tcp());
        let Some(ending) = alive else {
            return match ending {
                Some(_) => format!("{start} TCP ends it before."),
                None => format!("{start} it never does."),
            };
        };
        let (fault, data) = (ending.after_fault, ending.after_last_data);
        format!(
            "{start} it ends {} to {} after a fault, {} after the last data at the latest.",
            spoken(fault.min()),
            spoken(fault.max()),
            spoken(data.max())
        )
    }

    fn reckon(&self, count_name: &str) -> String {
        let Some(ending) = &self.explanation.ending else {
            return "Do not rely on it where output flows.".to_owned();
        };
        let once = self.interval();
        let once = once.saturating_mul(self.explanation.pair.count.saturating_add(1));
        let times = if ending.after_last_data.max() >= once.saturating_mul(2) {
            "twice "
        } else {
            ""
        };
        format!("Reckon with {times}interval·(count+1), or lower {count_name} by 1.")
    }

    fn both_ends_unequal(&self) -> String {
        let said = |side: Side, interval: u32, count: u32| {
            let (name, _) = setting_names(side);
            format!("{} ({name} {interval}, count {count})", side.word())
        };
        let (own, other) = (self.explanation.pair, self.scene.other_end);
        let other = other.unwrap_or(own);
        format!(
            "The two ends do not go away together: {}, {}. Until the slower one has gone, its session, its files and its \
             forwarded ports stay.",
            said(self.scene.side, own.interval, own.count),
            said(self.scene.side.other(), other.interval, other.count)
        )
    }

    fn interval_over_nat_idle(&self) -> String {
        let Some(nat) = self.explanation.nat else {
            return String::new();
        };
        let forgets = spoken(nat.forgets_after);
        match nat.longest_silence {
            None => format!(
                "Nothing is sent on an idle connection, so a firewall that forgets after {forgets} forgets it."
            ),
            Some(silence) => format!(
                "A firewall that forgets after {forgets} forgets this connection: the first thing sent, by {}, comes \
                 after {}.",
                nat.by,
                spoken(silence)
            ),
        }
    }

    fn mux_options_ignored(&self) -> String {
        match self.scene.master {
            Some(_) => "The session rides on a master's connection: only the master's settings count, and ssh ends \
                without a word."
                .to_owned(),
            None => "A ControlPath is set: if a master runs there already, only the settings it was started with \
                count, not these."
                .to_owned(),
        }
    }

    fn starved(&self) -> String {
        let every = spoken(self.scene.traffic.remote_writes.unwrap_or_default());
        let release = match self.scene.software.implementation {
            super::banner::Implementation::Sshd(SshdRelease::Unknown) => {
                "from 9.2 on (this release is not known) "
            }
            _ => "",
        };
        let until = match self.scene.traffic.remote_rate {
            Some(_) => "until the channel's window is full",
            None => "and the session stays until TCP gives up",
        };
        format!(
            "Output every {every} keeps sshd {release}from ever probing ({}): every wake-up starts its wait anew, {until}.",
            spoken(self.interval())
        )
    }

    fn ghost(&self) -> String {
        let tcp = match (self.scene.side, &self.explanation.backstop) {
            (Side::Server, Some(backstop)) => {
                format!(
                    " until TCP ends it, {} later at the latest",
                    spoken(backstop.after_fault.max())
                )
            }
            (Side::Server, None) => " for ever".to_owned(),
            (Side::Client, _) => {
                " for 15 minutes where it writes, for hours where it is idle".to_owned()
            }
        };
        format!(
            "Without ClientAliveInterval, sshd does not notice that a client is gone: session, files and forwarded ports \
             stay{tcp}."
        )
    }
}
