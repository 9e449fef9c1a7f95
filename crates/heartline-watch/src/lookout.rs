//! Looks at sessions for drivers that have nothing to do.
//!
//! A session beats by itself. All that its driver would do in health is to wake once an interval, see that there was a
//! sign of life, and sleep again; for a thousand lines that is a thousand tasks and timers, each of whose memory has grown
//! cold. The look-out of a beating thread does that for all of them in one heap, and wakes a driver when its session has
//! been silent for as long as it said.

use std::cmp::{self, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartline_core::Moment;
use heartline_ssh::{Clock, Heard};
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

/// The look-out of one thread. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asleep: Mutex<BinaryHeap<Reverse<Sleeper>>>,
    /// By how much this thread is late, lately, in nanoseconds.
    lag: AtomicU64,
    /// One has come that is due before all others.
    sooner: Notify,
}

/// A driver that is to be woken.
#[derive(Debug)]
struct Sleeper {
    due: Moment,
    /// The sign of life that `due` counts from.
    life: Moment,
    heard: Arc<Heard>,
    wake: oneshot::Sender<()>,
}

impl Lookout {
    /// What is received when it is `due`, put off by as much as a sign of life comes after this one. Dropping it is
    /// forgotten about when that moment comes.
    pub(crate) fn wake_at(
        &self,
        due: Moment,
        life: Moment,
        heard: Arc<Heard>,
    ) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let mut asleep = self.lock();
        let is_next = asleep.peek().is_none_or(|Reverse(next)| due < next.due);
        asleep.push(Reverse(Sleeper {
            due,
            life,
            heard,
            wake,
        }));
        if is_next {
            self.0.sooner.notify_one();
        }
        woken
    }

    /// By how much this thread comes later than it wanted to, lately.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_nanos(self.0.lag.load(Ordering::Relaxed))
    }

    /// It has come so much later than it wanted to. What was before that counts for half.
    fn came_late(&self, by: Duration) {
        let lag = by.max(self.lag() / 2).min(MOST_LAG);
        let lag = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        self.0.lag.store(lag, Ordering::Relaxed);
    }

    /// Looks, for ever.
    pub(crate) async fn run(self, clock: Clock) {
        loop {
            match self.look(clock.now()) {
                Some(next) => tokio::select! {
                    () = sleep_until(clock.instant(next)) => {
                        self.came_late(clock.now().saturating_since(next));
                    }
                    () = self.0.sooner.notified() => {}
                },
                None => self.0.sooner.notified().await,
            }
        }
    }

    /// Wakes those whose time has come; when to look again.
    fn look(&self, now: Moment) -> Option<Moment> {
        let mut asleep = self.lock();
        while let Some(mut next) = asleep.peek_mut() {
            let sleeper = &mut next.0;
            if sleeper.due > now {
                return Some(sleeper.due);
            }
            let last = sleeper.heard.last();
            if last > sleeper.life && !sleeper.wake.is_closed() {
                sleeper.due = sleeper.due + last.saturating_since(sleeper.life);
                sleeper.life = last;
            } else {
                // A driver that is gone needs no waking.
                let _ = PeekMut::pop(next).0.wake.send(());
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Sleeper>>> {
        self.0.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Sleeper {}

/// More than this is no lag but a stall, which each line notices by itself.
const MOST_LAG: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    #[test]
    fn who_is_heard_is_left_asleep_for_as_much_longer() {
        let lookout = Lookout::default();
        let heard: Vec<_> = (0..3).map(|_| Arc::new(Heard::default())).collect();
        let mut woken: Vec<_> = heard
            .iter()
            .map(|heard| lookout.wake_at(at(150), at(0), Arc::clone(heard)))
            .collect();
        heard[0].hear(at(100));
        heard[1].hear(at(90));
        assert_eq!(lookout.look(at(149)), Some(at(150)));
        assert_eq!(lookout.look(at(160)), Some(at(240)));
        assert!(woken[2].try_recv().is_ok());
        assert!(woken[0].try_recv().is_err() && woken[1].try_recv().is_err());
        heard[0].hear(at(200));
        assert_eq!(lookout.look(at(240)), Some(at(250)));
        assert!(woken[1].try_recv().is_ok());
        assert_eq!(lookout.look(at(250)), Some(at(350)));
        drop(woken);
        assert_eq!(lookout.look(at(350)), None);
    }

    #[test]
    fn one_that_wakes_for_itself_is_forgotten_though_its_session_lives() {
        let (lookout, heard) = (Lookout::default(), Arc::<Heard>::default());
        drop(lookout.wake_at(at(150), at(0), Arc::clone(&heard)));
        heard.hear(at(100));
        assert_eq!(lookout.look(at(150)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_due_sooner_is_woken_sooner() {
        let (lookout, clock) = (Lookout::default(), Clock::start());
        let task = tokio::spawn(lookout.clone().run(clock));
        let begun = Instant::now();
        let _late = lookout.wake_at(at(10_000), at(0), Arc::default());
        sleep(Duration::from_millis(10)).await;
        let soon = lookout.wake_at(at(200), at(0), Arc::default());
        timeout(Duration::from_secs(5), soon)
            .await
            .unwrap()
            .unwrap();
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(210), "{took:?}");
        task.abort();
    }
}
