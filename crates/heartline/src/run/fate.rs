//! What becomes of a command, and what is known of it when that is not certain.

use std::io::ErrorKind;
use std::time::Duration;

use heartline_ssh::{Ended, Ending, ExecError, FarSession, Guard};
use heartline_watch::{Lost, Solo};
use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::FAILED;
use super::streams::Drained;
use crate::words;

/// What became of it.
pub(super) enum Fate {
    /// It is over, and so is all that it started; the exit code.
    Ended(u8),
    /// Contact was lost.
    Lost(Box<Lost>),
}

/// What became of a command that was asked for and does not run.
pub(super) enum NotBegun {
    /// The node did not start it, or what it started is ended.
    Refused(String),
    /// Contact was lost before it was said to have begun; it may have.
    Lost(Box<(Lost, Left)>),
}

/// What is known of the far end when contact is lost.
#[derive(Default)]
pub(super) struct Left {
    /// Who it is there.
    pub(super) far: Option<FarSession>,
    /// The ids of the sessions that its processes had when they were last heard of; none: they never were.
    pub(super) sessions: Option<Vec<u32>>,
    /// The fuse burns so long after the last beat; none: there is no fuse.
    pub(super) burns_within: Option<Duration>,
    /// The command had ended with this code before, by itself.
    pub(super) code: Option<u8>,
}

impl Left {
    pub(super) fn new(guard: Option<&Guard>, code: Option<u8>) -> Self {
        let held = guard.filter(|guard| guard.holds());
        Self {
            far: guard.and_then(Guard::far),
            sessions: guard.and_then(Guard::sessions),
            burns_within: held.map(Guard::burns_within),
            code,
        }
    }
}

/// It was not said to have begun.
pub(super) async fn not_begun(why: ExecError, guard: Option<&Guard>, solo: &mut Solo) -> NotBegun {
    if matches!(why, ExecError::NoChannel { .. } | ExecError::Refused) {
        return NotBegun::Refused(format!("nothing was run: {why}"));
    }
    match end_all(guard).await {
        End::Done => {
            return NotBegun::Refused(format!("{why}; if the command had begun, it is ended"));
        }
        End::Living => return NotBegun::Refused(format!("{why}; the command had begun")),
        End::Unguarded | End::Unknown => {}
    }
    let lost = match timeout(A_MOMENT, solo.ended()).await {
        Ok(lost) => lost,
        // With the session the guard's input ends.
        Err(_) => solo.quit().await,
    };
    NotBegun::Lost(Box::new((lost, Left::new(guard, None))))
}

/// Its output is over: so is the command, or the session.
pub(super) async fn drained(
    drained: Drained,
    guard: Option<&Guard>,
    solo: &mut Solo,
) -> (Fate, Left) {
    let code = code_of(&drained);
    // The channel goes when the session does; what says so comes a moment later.
    if code.is_none()
        && let Ok(lost) = timeout(A_MOMENT, solo.ended()).await
    {
        return (Fate::Lost(Box::new(lost)), Left::new(guard, None));
    }
    let why = match drained {
        Drained::Failed(error) if error.kind() != ErrorKind::BrokenPipe => Some(format!(
            "what the command writes cannot be written here: {error}"
        )),
        Drained::Closed(None) | Drained::Cut => {
            Some("the node closed the command's channel without saying how it ended".to_owned())
        }
        Drained::Closed(Some(_)) | Drained::Failed(_) => None,
    };
    finish(code.unwrap_or(FAILED), why, guard, solo).await
}

/// Ends all that is left of it, as far as there is a guard, and says why, if there is something to say.
pub(super) async fn finish(
    code: u8,
    why: Option<String>,
    guard: Option<&Guard>,
    solo: &mut Solo,
) -> (Fate, Left) {
    let by_itself = by_itself(Some(code), guard);
    let end = end_all(guard).await;
    if let Some(why) = why {
        let and = match end {
            End::Done => "; the command is ended",
            End::Unguarded => "; there is no fuse, so the command may live on there",
            End::Living | End::Unknown => "",
        };
        words::complain(&anyhow::anyhow!("{why}{and}"));
    }
    if end == End::Unknown {
        if let Ok(lost) = timeout(A_MOMENT, solo.ended()).await {
            return (Fate::Lost(Box::new(lost)), Left::new(guard, by_itself));
        }
        let what_does = if guard.is_some_and(Guard::holds) {
            "its fuse ends that"
        } else {
            "nothing else ends that"
        };
        words::complain(&anyhow::anyhow!(
            "the guard does not say that all the command left behind is over; {what_does}"
        ));
    }
    (Fate::Ended(code), Left::default())
}

/// What had come before contact was lost is written, as far as it is taken soon; the code, if all of it was.
pub(super) async fn last_words(draining: JoinHandle<Drained>, guard: Option<&Guard>) -> Option<u8> {
    let drained = timeout(A_MOMENT, draining).await;
    by_itself(code_of(&drained.ok()?.ok()?), guard)
}

/// The code of a command that its fuse has not ended.
fn by_itself(code: Option<u8>, guard: Option<&Guard>) -> Option<u8> {
    code.filter(|_| guard.is_none_or(Guard::cannot_have_burnt))
}

/// What came of ending all that it had started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// Not all of it could be, which was said.
    Living,
    /// There is no guard.
    Unguarded,
    /// The session was over, or is in trouble.
    Unknown,
}

async fn end_all(guard: Option<&Guard>) -> End {
    let Some(guard) = guard else {
        return End::Unguarded;
    };
    match guard.end(END_PATIENCE).await {
        Ended::Done { left: 0 } => End::Done,
        Ended::Done { left } => {
            words::complain(&anyhow::anyhow!(
                "{left} of the processes it started cannot be ended by this user, and live on"
            ));
            End::Living
        }
        Ended::Over | Ended::Unanswered => End::Unknown,
    }
}

/// None, where it is not known.
fn code_of(drained: &Drained) -> Option<u8> {
    match drained {
        Drained::Closed(ending) => ending.as_ref().map(code),
        Drained::Cut => None,
        // As a program that nobody takes anything from.
        Drained::Failed(error) if error.kind() == ErrorKind::BrokenPipe => {
            Some(signal_code(Signal::SIGPIPE))
        }
        Drained::Failed(_) => Some(FAILED),
    }
}

/// As a shell shows it.
fn code(ending: &Ending) -> u8 {
    match ending {
        // Only a node that is no Unix has more than a byte of it; no part of it may pass for success.
        Ending::Status(status) => u8::try_from(*status).unwrap_or(FAILED),
        Ending::Signal(name) => format!("SIG{name}").parse().map_or(FAILED, signal_code),
    }
}

fn signal_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(FAILED)
}

/// Longer than any two things that happen at once are apart.
const A_MOMENT: Duration = Duration::from_secs(1);
/// The guard's own second, and the way there and back.
const END_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ending_passes_for_another() {
        for (ending, shown) in [
            (Ending::Status(0), 0),
            (Ending::Status(255), 255),
            (Ending::Status(256), FAILED),
            (Ending::Status(0xC000_0005), FAILED),
            (Ending::Signal("TERM".to_owned()), 143),
            (Ending::Signal("unheard@of".to_owned()), FAILED),
        ] {
            assert_eq!(code(&ending), shown, "{ending:?}");
        }
        let failed = |kind: ErrorKind| code_of(&Drained::Failed(kind.into()));
        assert_eq!(failed(ErrorKind::BrokenPipe), Some(141));
        assert_eq!(failed(ErrorKind::StorageFull), Some(FAILED));
        assert_eq!(code_of(&Drained::Cut), None);
    }
}
