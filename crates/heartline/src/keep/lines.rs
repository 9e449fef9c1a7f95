//! Which of a node's lines carries new connections.

use std::collections::HashMap;
use std::sync::Arc;

use heartline_keep::Carrier;
use heartline_ssh::Forwards;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lines {
    known: HashMap<Arc<str>, LineNow>,
    current: Option<Carrier>,
    next: u64,
}

#[derive(Debug, Default)]
struct LineNow {
    is_up: bool,
    /// Of its last answered beat, in milliseconds.
    rtt: Option<f64>,
    carrier: Option<Carrier>,
}

impl Lines {
    /// A session of this line stands.
    pub(super) fn stands(&mut self, line: &Arc<str>, forwards: Forwards) {
        let now = self.known.entry(Arc::clone(line)).or_default();
        let is_same = now
            .carrier
            .as_ref()
            .is_some_and(|carrier| carrier.forwards.is_same(&forwards));
        if !is_same {
            self.next += 1;
            now.carrier = Some(Carrier {
                line: Arc::clone(line),
                forwards,
                number: self.next,
            });
        }
    }

    /// It went up, or is up no longer.
    pub(super) fn is(&mut self, line: &Arc<str>, up: bool, rtt: Option<f64>) {
        let now = self.known.entry(Arc::clone(line)).or_default();
        now.is_up = up;
        now.rtt = rtt.or(now.rtt);
    }

    /// Whether any is up.
    pub(super) fn any_is_up(&self) -> bool {
        self.known.values().any(|line| line.is_up)
    }

    /// The one that carries.
    pub(super) fn current(&self) -> Option<&Carrier> {
        self.current.as_ref()
    }

    /// Chooses anew; whether it is another.
    ///
    /// Whoever carries goes on while its line is up, however fast the others are: to move costs the ports that the node
    /// listens on. When it is up no longer, the fastest of the others takes over; if none is up, it stays until its session ends, since
    /// that may come back.
    pub(super) fn choose(&mut self) -> bool {
        let now = self.current.as_ref().map(|carrier| carrier.number);
        let lives = |carrier: &Carrier| !carrier.forwards.is_over();
        let of = |number: u64| {
            self.known.values().find(|line| {
                line.carrier
                    .as_ref()
                    .is_some_and(|carrier| carrier.number == number && lives(carrier))
            })
        };
        let still = now.and_then(of);
        if still.is_some_and(|line| line.is_up) {
            return false;
        }
        let candidates = self.known.values().filter(|line| line.is_up);
        let candidates = candidates.filter(|line| line.carrier.as_ref().is_some_and(lives));
        let rtt = |line: &&LineNow| line.rtt.unwrap_or(f64::MAX);
        let best = candidates.min_by(|one, two| rtt(one).total_cmp(&rtt(two)));
        let chosen = best.or(still).and_then(|line| line.carrier.clone());
        let is_other = chosen.as_ref().map(|carrier| carrier.number) != now;
        self.current = chosen;
        is_other
    }
}
