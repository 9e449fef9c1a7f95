//! When Linux's timers fire.

use std::time::Duration;

use heartline_core::Moment;

/// When a timer fires that is set now, to go off `after` (`calc_wheel_index` and `calc_index` of `kernel/time/timer.c`): never early,
/// at least a tick late, and from 63 ticks on by up to eight of them, as its wheel grows coarser.
pub(super) fn fires(now: Moment, after: Duration) -> Moment {
    let ticks = nanos(after).div_ceil(TICK);
    let (mut shift, mut reach) = (0, FINEST);
    while ticks >= reach && shift < COARSEST {
        shift += 3;
        reach <<= 3;
    }
    let expires = nanos(now.since_start()) / TICK + ticks;
    let bucket = ((expires >> shift) + 1) << shift;
    Moment::at(Duration::from_nanos(bucket * TICK))
}

/// The tick of a moment, as the kernel's own clock has it.
pub(super) fn tick(at: Moment) -> Moment {
    at.floor_to(Duration::from_nanos(TICK))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// Nanoseconds, at 250 Hz.
const TICK: u64 = 4_000_000;
/// Ticks from which on the wheel is coarser.
const FINEST: u64 = 63;
const COARSEST: u32 = 21;
