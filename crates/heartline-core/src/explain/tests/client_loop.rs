//! OpenSSH's own client loop, in milliseconds, against the formulas: clientloop.c, `client_wait_until_can_do_something`
//! and `server_alive_check`, written down anew from what section 1 of the facts quotes.

use proptest::prelude::*;

use super::*;

/// Runs the loop: replies come at once up to the fault, data comes every `writes` up to the fault. Gives the times of
/// the last data and of the exit.
fn run(
    interval: u64,
    count: u64,
    start: u64,
    writes: Option<u64>,
    fault: u64,
) -> Option<(u64, u64)> {
    let monotime = |ms: u64| ms / 1_000;
    let mut now = start;
    let mut last_data = start;
    let mut unanswered = 0;
    let mut due = monotime(now) + interval;
    let mut next_write = writes.map(|every| start + every);
    loop {
        // ptimeout_deadline_monotime: until that second begins.
        let ran_out = now.max(due * 1_000);
        let data = next_write.filter(|at| *at <= ran_out && *at < fault);
        if let Some(at) = data {
            now = at;
            last_data = at;
            unanswered = 0;
            due = monotime(now) + interval;
            next_write = writes.map(|every| at + every);
            continue;
        }
        now = ran_out;
        if monotime(now) < due {
            continue;
        }
        unanswered += 1;
        if unanswered > count {
            return Some((last_data, now));
        }
        due = monotime(now) + interval;
        if now < fault {
            last_data = now;
            unanswered = 0;
        }
        if now > fault + (interval + 1) * (count + 3) * 1_000 {
            return None;
        }
    }
}

proptest! {
    #[test]
    fn the_formulas_hold_for_the_loop(
        interval in 1_u32..20,
        count in 1_u32..6,
        start in 0_u64..3_000,
        writes in proptest::option::of(1_u64..30_000),
        healthy in 1_u64..60_000,
    ) {
        let fault = start + healthy;
        let (last, exit) = run(interval.into(), count.into(), start, writes, fault).unwrap();
        let scene = with(client(interval, count), |scene| {
            scene.traffic.remote_writes = writes.map(Duration::from_millis);
        });
        let ending = explain(&scene).ending.unwrap();
        let data = Duration::from_millis(exit - last);
        prop_assert!(ending.after_last_data.holds(data, Duration::ZERO), "{data:?} {ending:?}");
        let lasted = Duration::from_millis(exit - fault);
        prop_assert!(ending.after_fault.holds(lasted, Duration::ZERO), "{lasted:?} {ending:?}");
    }
}
