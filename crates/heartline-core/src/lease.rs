//! By when a command whose session is lost cannot be alive any more.
//!
//! Every beat that ever reaches the guard has left us before our end of the connection was gone: what the kernel had still
//! queued is thrown away with it. A beat that had left may be on its way for a while yet. From its arrival the guard waits for
//! its fuse by its own clock, which may be slower than ours, and then needs a moment to end what runs. So, with every term
//! at its worst:
//!
//! ```text
//!  dead by = our end gone + flight + fuse · (1 + drift) + end
//! ```
//!
//! What this cannot see is a node whose clocks stand still: a virtual machine that is paused holds the command and its fuse
//! alike, and both go on when it does. Only a look at the node tells then.

use std::time::Duration;

use crate::time::Moment;

/// The moment from which on a command is dead, whatever the network did: our end of its connection was gone at `closed`, and
/// its guard ends it within `burns_within` of the last beat that reached it.
pub fn dead_by(closed: Moment, burns_within: Duration) -> Moment {
    closed + FLIGHT + burns_within.saturating_add(burns_within / ONE_IN) + END
}

/// How long a segment may be on its way. RFC 9293 reckons with two minutes; queues of today's networks hold a second at most.
pub const FLIGHT: Duration = Duration::from_secs(1);
/// One in so many is how much slower the node's clock may run than ours: 500 ppm for either, as NTP corrects at most.
const ONE_IN: u32 = 1_000;
/// From the moment the fuse has burnt until all that it ends is gone.
pub const END: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Beats that leave at any time and arrive late, and two clocks that differ by 1000 ppm.
        #[test]
        fn nothing_outlives_it(
            beats in proptest::collection::vec((0_u64..100_000, 0_u64..=1_000), 1..50),
            fuse in 2_u64..1_000,
            ppm in -500_i64..=500,
            our_ppm in -500_i64..=500,
            ending in 0_u64..=1_000,
        ) {
            // Real microseconds; each clock counts its own.
            let real = |us: i128, ppm: i64| us * i128::from(1_000_000 - ppm) / 1_000_000;
            let closed = beats.iter().map(|(left, _)| *left).max().unwrap_or_default();
            let last = beats.iter().map(|(left, flight)| left + flight).max().unwrap_or_default();
            let dead = i128::from(last + ending) * 1_000 + real(i128::from(fuse) * 1_000_000, ppm);
            let bound = dead_by(Moment::START, Duration::from_secs(fuse));
            let waited = i128::try_from(bound.since_start().as_micros()).unwrap();
            let judged = i128::from(closed) * 1_000 + real(waited, our_ppm);
            // By so much our own clock may be off in the second of flight and that of ending.
            prop_assert!(judged >= dead - 1_500, "{judged} {dead}");
        }
    }
}
