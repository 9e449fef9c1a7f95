//! A plan to begin with: at boot a name may not resolve yet, and that is no reason to give up.

use std::time::Duration;

use heartline_watch::{Plan, PlanError};
use tokio::time::{Instant, sleep};

use super::args::StayingFlags;
use crate::asked::Asked;
use crate::watch::Ends;
use crate::words;

/// Looks up everything; none, when told to end meanwhile. What is wrong with usage or configuration is an error at once, and so is
/// a name that does not resolve when the gate time is over, or after so many tries.
pub(super) async fn plan(
    asked: &Asked,
    staying: &StayingFlags,
    ends: &mut Ends,
) -> anyhow::Result<Option<Plan>> {
    let begun = Instant::now();
    let mut tries = 0;
    loop {
        let error = tokio::select! {
            plan = asked.plan() => match plan {
                Ok(plan) => return Ok(Some(plan)),
                Err(error) => error,
            },
            () = ends.next() => return Ok(None),
        };
        tries += 1;
        let may_pass = matches!(error.downcast_ref(), Some(PlanError::Resolve { .. }));
        let gate = staying.gate_time;
        let is_late = !gate.is_zero() && begun.elapsed() >= gate && !staying.never_give_up;
        let was_enough = staying.max_tries > 0 && tries >= staying.max_tries;
        if !may_pass || is_late || was_enough {
            return Err(error);
        }
        if tries == 1 {
            words::complain(&error.context("tried again until it resolves"));
        }
        tokio::select! {
            () = sleep(AGAIN) => {}
            () = ends.next() => return Ok(None),
        }
    }
}

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(2);
