//! What to warn of.

use std::time::Duration;

use super::banner::{Implementation, SshdRelease};
use super::ending::Mechanism;
use super::engine::{Explanation, INT_MAX_MS};
use super::lint_text;
use super::scene::{KeepAliveSetting, Pair, Scene, Side};

/// A warning: the code, what is so, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What kind.
    pub lint: Lint,
    /// What is so, with the numbers of this case.
    pub text: String,
    /// What to do.
    pub fix: String,
}

/// Everything that is warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lint {
    /// The manual's figure is not what happens.
    ManPageDiffers,
    /// A count of 0 ends sessions that are well.
    CountZeroKills,
    /// A count of 0 never ends anything.
    CountZeroNeverEnds,
    /// The program refuses a count of 0.
    CountZeroRefused,
    /// One end goes away while the other stays.
    BothEndsUnequal,
    /// A login may take longer than the settings allow.
    LoginShorterThanAuth,
    /// A firewall forgets the connection before anything is sent.
    IntervalOverNatIdle,
    /// Only TCP keeps watch, which anybody on the way can answer or cut.
    TcpOnlySpoofable,
    /// The kernel's keepalive begins after two hours.
    TcpKeepAliveTwoHours,
    /// Only the master's settings count.
    MuxOptionsIgnored,
    /// Output keeps sshd from probing.
    ServerStarvedByOutput,
    /// sshd 9.2 to 9.4 take twice as long.
    ServerTwiceAsSlow,
    /// `UnusedConnectionTimeout` ends `ssh -N`.
    UnusedConnectionTimeoutKillsIdleTunnel,
    /// `session=` has no effect.
    ChannelTimeoutSpelling,
    /// `ChannelTimeout` or dropbear's `-I` end sessions that are well, whatever is probed.
    IdleTimeoutIgnoresKeepalives,
    /// The first probe is further off than any connection lives.
    OverflowNeverProbes,
    /// Debian turns `BatchMode` into an interval of 300 s.
    BatchModeDebian300,
    /// sshd never notices that a client is gone.
    GhostWithoutClientAlive,
    /// It sends and never notices that nothing comes back.
    SendsNeverDetects,
    /// The round-trip time is over what the settings allow.
    RttOverLimit,
    /// Nothing is known of this program.
    ImplementationUnknown,
    /// The release decides, and is not known.
    ReleaseUnknown,
}

impl Lint {
    /// The code in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ManPageDiffers => "man_page_differs",
            Self::CountZeroKills => "count_zero_kills",
            Self::CountZeroNeverEnds => "count_zero_never_ends",
            Self::CountZeroRefused => "count_zero_refused",
            Self::BothEndsUnequal => "both_ends_unequal",
            Self::LoginShorterThanAuth => "login_shorter_than_auth",
            Self::IntervalOverNatIdle => "interval_over_nat_idle",
            Self::TcpOnlySpoofable => "tcp_only_spoofable",
            Self::TcpKeepAliveTwoHours => "tcp_keepalive_two_hours",
            Self::MuxOptionsIgnored => "mux_options_ignored",
            Self::ServerStarvedByOutput => "server_starved_by_output",
            Self::ServerTwiceAsSlow => "server_twice_as_slow",
            Self::UnusedConnectionTimeoutKillsIdleTunnel => {
                "unused_connection_timeout_kills_idle_tunnel"
            }
            Self::ChannelTimeoutSpelling => "channel_timeout_spelling",
            Self::IdleTimeoutIgnoresKeepalives => "idle_timeout_ignores_keepalives",
            Self::OverflowNeverProbes => "overflow_never_probes",
            Self::BatchModeDebian300 => "batchmode_debian_300",
            Self::GhostWithoutClientAlive => "ghost_without_client_alive",
            Self::SendsNeverDetects => "sends_never_detects",
            Self::RttOverLimit => "rtt_over_limit",
            Self::ImplementationUnknown => "implementation_unknown",
            Self::ReleaseUnknown => "release_unknown",
        }
    }

    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 22] = [
        Self::ImplementationUnknown,
        Self::ReleaseUnknown,
        Self::CountZeroKills,
        Self::CountZeroNeverEnds,
        Self::CountZeroRefused,
        Self::OverflowNeverProbes,
        Self::SendsNeverDetects,
        Self::MuxOptionsIgnored,
        Self::ManPageDiffers,
        Self::ServerTwiceAsSlow,
        Self::ServerStarvedByOutput,
        Self::GhostWithoutClientAlive,
        Self::BothEndsUnequal,
        Self::LoginShorterThanAuth,
        Self::RttOverLimit,
        Self::IntervalOverNatIdle,
        Self::TcpOnlySpoofable,
        Self::TcpKeepAliveTwoHours,
        Self::ChannelTimeoutSpelling,
        Self::IdleTimeoutIgnoresKeepalives,
        Self::UnusedConnectionTimeoutKillsIdleTunnel,
        Self::BatchModeDebian300,
    ];
}

/// What there is to warn of.
pub(super) fn warnings(scene: &Scene, explanation: &Explanation) -> Vec<Warning> {
    let case = Case { scene, explanation };
    let applying = Lint::ALL.into_iter().filter(|lint| case.applies(*lint));
    let warning = |lint| {
        let (text, fix) = lint_text::of(lint, scene, explanation);
        Warning { lint, text, fix }
    };
    applying.map(warning).collect()
}

struct Case<'a> {
    scene: &'a Scene,
    explanation: &'a Explanation,
}

impl Case<'_> {
    fn applies(&self, lint: Lint) -> bool {
        let scene = self.scene;
        let Pair { interval, count } = self.explanation.pair;
        let is_sshd = matches!(scene.software.implementation, Implementation::Sshd(_));
        match lint {
            Lint::ManPageDiffers => self.is_openssh() && interval > 0 && count > 0,
            Lint::CountZeroKills => interval > 0 && count == 0 && self.kills_at_zero(),
            Lint::CountZeroNeverEnds => {
                is_sshd && interval > 0 && count == 0 && !self.kills_at_zero()
            }
            Lint::CountZeroRefused => {
                scene.software.implementation == Implementation::AsyncSsh && count == 0
            }
            Lint::BothEndsUnequal => self.is_unequal(),
            Lint::LoginShorterThanAuth => {
                let limit = self.explanation.login_limit;
                limit.is_some_and(|limit| limit < scene.auth)
            }
            Lint::IntervalOverNatIdle => self.explanation.nat.is_some_and(|nat| !nat.is_kept()),
            Lint::TcpOnlySpoofable => self.is_tcp_only(),
            Lint::TcpKeepAliveTwoHours => {
                let time = self.keep_alive_time();
                self.is_tcp_only() && time.is_some_and(|time| time >= TWO_HOURS)
            }
            Lint::MuxOptionsIgnored => scene.control_master || scene.master.is_some(),
            Lint::ServerStarvedByOutput => self.is_starved(),
            Lint::ServerTwiceAsSlow => self.is_release(SshdRelease::From92To94) && interval > 0,
            Lint::UnusedConnectionTimeoutKillsIdleTunnel => scene
                .unused_connection_timeout
                .is_some_and(|limit| limit > 0),
            Lint::ChannelTimeoutSpelling => scene.channel_timeouts.is_misspelt(),
            Lint::IdleTimeoutIgnoresKeepalives => {
                let healthy = self.explanation.healthy_ending.as_ref();
                let by = healthy.map(|ending| ending.by);
                matches!(by, Some(Mechanism::IdleTimeout | Mechanism::ChannelTimeout))
            }
            Lint::OverflowNeverProbes => {
                Duration::from_secs(interval.into()) > INT_MAX_MS && self.explanation.probes
            }
            Lint::BatchModeDebian300 => scene.is_debian_batch(),
            Lint::GhostWithoutClientAlive => self.is_ghostly(),
            Lint::SendsNeverDetects => {
                let implementation = scene.software.implementation;
                let never = [Implementation::Putty, Implementation::Paramiko];
                interval > 0 && never.contains(&implementation)
            }
            Lint::RttOverLimit => {
                let limit = self.explanation.rtt_limit.filter(|limit| !limit.is_zero());
                limit
                    .zip(scene.rtt)
                    .is_some_and(|(limit, rtt)| rtt >= limit)
            }
            Lint::ImplementationUnknown => scene.software.implementation == Implementation::Unknown,
            Lint::ReleaseUnknown => self.is_release(SshdRelease::Unknown) && interval > 0,
        }
    }

    fn is_openssh(&self) -> bool {
        matches!(
            self.scene.software.implementation,
            Implementation::OpenSshClient | Implementation::Sshd(_)
        )
    }

    fn is_release(&self, release: SshdRelease) -> bool {
        self.scene.software.implementation == Implementation::Sshd(release)
    }

    fn kills_at_zero(&self) -> bool {
        matches!(
            self.scene.software.implementation,
            Implementation::OpenSshClient | Implementation::Sshd(SshdRelease::Before82)
        )
    }

    /// Nothing of the SSH layer is set, so that TCP is all there is.
    fn is_tcp_only(&self) -> bool {
        let is_known = self.scene.software.implementation != Implementation::Unknown;
        let is_ended = self.explanation.healthy_ending.is_some();
        is_known && !self.explanation.probes && !is_ended && self.keep_alive_time().is_some()
    }

    fn keep_alive_time(&self) -> Option<u32> {
        match self.scene.tcp.keep_alive {
            KeepAliveSetting::Unsaid => Some(self.scene.kernel.keep_alive.time),
            KeepAliveSetting::No => None,
            KeepAliveSetting::Yes(kernel) => Some(kernel.time),
        }
    }

    fn is_starved(&self) -> bool {
        let every = self.scene.traffic.remote_writes;
        let interval = Duration::from_secs(self.explanation.pair.interval.into());
        let is_starvable = match self.scene.software.implementation {
            Implementation::Sshd(release) => release.is_starved_by_output(),
            _ => false,
        };
        is_starvable && !interval.is_zero() && every.is_some_and(|every| every <= interval)
    }

    fn is_ghostly(&self) -> bool {
        match self.scene.side {
            Side::Server => {
                matches!(self.scene.software.implementation, Implementation::Sshd(_))
                    && self.explanation.pair.interval == 0
            }
            Side::Client => self.scene.other_end.is_some_and(|pair| pair.interval == 0),
        }
    }

    /// Both ends are known, at least one of them ends by probes, and not both in the same time.
    fn is_unequal(&self) -> bool {
        let Some(other) = self.scene.other_end else {
            return false;
        };
        let ends = |side: Side, pair: Pair| {
            let never = pair.interval == 0 || (side == Side::Server && pair.count == 0);
            (!never).then_some((pair.interval, pair.count))
        };
        let own = ends(self.scene.side, self.explanation.pair);
        own != ends(self.scene.side.other(), other)
    }
}

/// `tcp_keepalive_time` as Linux has it, in seconds.
const TWO_HOURS: u32 = 7_200;
