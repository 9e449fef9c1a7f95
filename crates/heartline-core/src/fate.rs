//! What falls together: the watcher itself, or what several lines share.
//!
//! A node is called down for its own silence alone. Before it is, somebody else has to have been heard since the node owed an answer: another
//! node, or a reference. If all fell together, it is us. That two nodes that share a rack and its power look the same from here is what
//! references are for.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::cause::{Cause, Says};
use crate::line::LineState;
use crate::time::Moment;

/// A line of another node, when one falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// What it shows.
    pub state: LineState,
    /// Since when.
    pub since: Moment,
    /// Its last sign of life.
    pub heard: Option<Moment>,
}

/// What is known of the references: what answers there proves that our own side reaches something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// There are none.
    #[default]
    None,
    /// They are being asked.
    Asked,
    /// One has answered since.
    Answers,
    /// None has.
    Silent,
}

/// Whose fault a silence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Something else was heard: it is the node, or its line.
    Theirs,
    /// Nothing was heard of anybody.
    Ours,
    /// Others have been asked, and may still answer.
    Open,
}

/// Whether a cause is a silence, of which both ends may be guilty.
pub const fn is_silence(cause: Cause) -> bool {
    matches!(cause, Cause::Silent | Cause::LinkDown | Cause::NoRoute)
}

/// Whose fault it is that a node has owed an answer since `asked`. `others` are the lines of all other nodes; those that were down
/// long before say nothing. `is_over`: they have had time enough to answer.
pub fn fate(
    asked: Moment,
    together: Duration,
    others: impl IntoIterator<Item = Other>,
    reference: Reference,
    is_over: bool,
) -> Fate {
    if reference == Reference::Answers {
        return Fate::Theirs;
    }
    let (mut fell, mut open) = (0_u32, 0_u32);
    for other in others {
        match other.state {
            _ if other.heard.is_some_and(|heard| heard > asked) => return Fate::Theirs,
            LineState::Down(_) if other.since + together < asked => {}
            LineState::Down(cause) if cause.says() == Says::HostLives => return Fate::Theirs,
            // One that was never heard proves something only by what our own side lacks.
            LineState::Down(Cause::Silent | Cause::JumpDown) if other.heard.is_none() => {}
            LineState::Down(cause) if is_silence(cause) || cause == Cause::JumpDown => fell += 1,
            LineState::Up | LineState::Suspect(_) => open += 1,
            LineState::Down(_) | LineState::Idle | LineState::Dialing | LineState::Paused => {}
        }
    }
    match (reference, fell, open) {
        (Reference::None, 0, 0) => Fate::Theirs,
        (Reference::Asked, ..) if !is_over => Fate::Open,
        (_, _, 0) => Fate::Ours,
        _ if is_over => Fate::Ours,
        _ => Fate::Open,
    }
}

/// What several lines may share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tie {
    /// An interface of ours.
    Interface(Arc<str>),
    /// A jump host.
    Jump(Arc<str>),
    /// A source address of ours.
    Source(IpAddr),
    /// The network of the nodes' addresses: its first address, and how many bits of it count.
    Subnet(IpAddr, u8),
}

impl Tie {
    /// The network that an address is taken to be in: 256 addresses of IPv4, 64 bits of IPv6.
    pub fn subnet_of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::Subnet(IpAddr::V4((v4.to_bits() & !0xff).into()), 24),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits() & !u128::from(u64::MAX);
                Self::Subnet(IpAddr::V6(bits.into()), 64)
            }
        }
    }

    /// The word in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Interface(_) => "interface",
            Self::Jump(_) => "jump",
            Self::Source(_) => "source",
            Self::Subnet(..) => "subnet",
        }
    }
}

/// Its name alone.
impl fmt::Display for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) | Self::Jump(name) => f.write_str(name),
            Self::Source(address) => address.fmt(f),
            Self::Subnet(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// A line that shares something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// Which node's.
    pub node: usize,
    /// What it shows.
    pub state: LineState,
    /// When it was last up; none, if it never was.
    pub up_until: Option<Moment>,
}

/// Why all that share something are down, if they fell together: within so long of each other, and of two nodes at least. Those that were
/// not up before that, and paused ones, count for nothing.
pub fn fell_together(
    sharers: impl IntoIterator<Item = Sharer> + Clone,
    together: Duration,
) -> Option<Cause> {
    let fell = |sharer: &Sharer| {
        sharer
            .up_until
            .filter(|_| matches!(sharer.state, LineState::Down(_)))
    };
    let last = sharers
        .clone()
        .into_iter()
        .filter_map(|sharer| fell(&sharer))
        .max()?;
    let (mut node, mut several) = (None, false);
    let mut common = None;
    for sharer in sharers {
        let cause = match sharer.state {
            LineState::Up | LineState::Suspect(_) => return None,
            LineState::Down(cause)
                if sharer.up_until.is_some_and(|fell| fell + together >= last) =>
            {
                cause
            }
            LineState::Down(_) | LineState::Paused | LineState::Idle | LineState::Dialing => {
                continue;
            }
        };
        if cause.says() == Says::HostLives {
            return None;
        }
        several |= *node.get_or_insert(sharer.node) != sharer.node;
        // Where they differ it is what the most telling of them says.
        common = match common {
            Some(Cause::LinkDown | Cause::NoRoute | Cause::JumpDown) => common,
            _ => Some(cause),
        };
    }
    common.filter(|_| several)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    const TOGETHER: Duration = Duration::from_secs(1);

    fn other(state: LineState, since: u64, heard: u64) -> Other {
        Other {
            state,
            since: at(since),
            heard: Some(at(heard)),
        }
    }

    fn of(others: &[Other], reference: Reference, is_over: bool) -> Fate {
        fate(
            at(10_000),
            TOGETHER,
            others.iter().copied(),
            reference,
            is_over,
        )
    }

    #[test]
    fn who_is_heard_later_proves_that_it_is_not_us() {
        use LineState::{Down, Suspect, Up};
        let silent = Down(Cause::Silent);
        for (others, wanted) in [
            (vec![other(Up, 0, 10_001)], Fate::Theirs),
            (vec![other(Up, 0, 9_999)], Fate::Open),
            (vec![other(Suspect(Cause::Silent), 0, 9_000)], Fate::Open),
            (vec![other(silent, 10_100, 9_500)], Fate::Ours),
            (
                vec![other(silent, 10_100, 9_500), other(Up, 0, 9_000)],
                Fate::Open,
            ),
            (
                vec![other(silent, 10_100, 9_500), other(Up, 0, 10_050)],
                Fate::Theirs,
            ),
            // It was down long before.
            (vec![other(silent, 5_000, 4_000)], Fate::Theirs),
            (
                vec![other(Down(Cause::Refused), 10_200, 9_000)],
                Fate::Theirs,
            ),
            (vec![other(LineState::Paused, 0, 0)], Fate::Theirs),
            (vec![], Fate::Theirs),
        ] {
            assert_eq!(of(&others, Reference::None, false), wanted, "{others:?}");
        }
        assert_eq!(
            of(&[other(Up, 0, 9_999)], Reference::None, true),
            Fate::Ours
        );
    }

    #[test]
    fn a_reference_decides_also_for_a_single_node() {
        let fell = [other(LineState::Down(Cause::Silent), 10_100, 9_500)];
        assert_eq!(of(&fell, Reference::Answers, false), Fate::Theirs);
        assert_eq!(of(&[], Reference::Asked, false), Fate::Open);
        assert_eq!(of(&[], Reference::Silent, false), Fate::Ours);
        assert_eq!(of(&fell, Reference::Silent, false), Fate::Ours);
    }

    #[test]
    fn only_what_falls_within_an_interval_and_of_two_nodes_falls_together() {
        let sharer = |node, cause, fell| Sharer {
            node,
            state: LineState::Down(cause),
            up_until: Some(at(fell)),
        };
        let of = |sharers: &[Sharer]| fell_together(sharers.iter().copied(), TOGETHER);
        let silent = Cause::Silent;
        assert_eq!(
            of(&[sharer(0, silent, 0), sharer(1, silent, 900)]),
            Some(silent)
        );
        assert_eq!(of(&[sharer(0, silent, 0), sharer(1, silent, 1_100)]), None);
        assert_eq!(of(&[sharer(0, silent, 0), sharer(0, silent, 10)]), None);
        let linked = [sharer(0, Cause::LinkDown, 0), sharer(1, silent, 10)];
        assert_eq!(of(&linked), Some(Cause::LinkDown));
        let up = Sharer {
            node: 2,
            state: LineState::Up,
            up_until: None,
        };
        assert_eq!(of(&[sharer(0, silent, 0), sharer(1, silent, 0), up]), None);
        // Who was down long before is no reason to say nothing.
        let old = sharer(3, Cause::Refused, 0);
        let fell = [sharer(0, silent, 9_000), sharer(1, silent, 9_100), old];
        assert_eq!(of(&fell), Some(silent));
        let refused = sharer(3, Cause::Refused, 9_050);
        assert_eq!(of(&[fell[0], fell[1], refused]), None);
    }

    #[test]
    fn a_subnet_is_what_people_take_for_one() {
        let of = |text: &str| Tie::subnet_of(text.parse().unwrap()).to_string();
        assert_eq!(of("10.0.1.77"), "10.0.1.0/24");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }
}
