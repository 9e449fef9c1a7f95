//! Failure detectors: from the arrivals of a peer's beats, the moment from which it is suspected.
//!
//! Each is one rule from its paper, as it stands there; what differs between them is nothing but the deadline. Their quality is
//! measured as in Chen, Toueg and Aguilera (2002) by the `qos` program of the test bed: over SSH beats come late and never get lost, so
//! most of what these were made for is another weather than ours.
//!
//! * [`Fixed`]: so long after the last beat. OpenSSH's count is this, with interval · (count + 1).
//! * [`Chen`]: NFD-E of W. Chen, S. Toueg and M. K. Aguilera, "On the Quality of Service of Failure Detectors", IEEE Transactions on
//!   Computers 51(5), 2002: the expected arrival of the next beat, and a margin.
//! * [`TwoWindow`]: 2W-FD of A. Tomsic, P. Sens, J. Garcia, L. Arantes and J. Sopena, "2W-FD: A Failure Detector Algorithm with `QoS`",
//!   IPDPS 2015: the later of two such expectations, one of them made from the last beat alone.
//! * [`Bertier`]: M. Bertier, O. Marin and P. Sens, "Implementation and Performance Evaluation of an Adaptable Failure Detector", DSN
//!   2002: the margin follows the error of the expectation, as TCP's timeout follows its round trips.
//! * [`Phi`]: N. Hayashibara, X. Défago, R. Yared and T. Katayama, "The φ Accrual Failure Detector", SRDS 2004: interarrival times
//!   taken for normal.
//! * [`Exponential`]: the same, taken for exponential; Cassandra's variant of it.
//! * [`Akka`]: Akka's variant of φ.
//! * [`Lifeguard`]: A. Dadgar, J. Phillips and J. Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection",
//!   DSN 2018, for a watcher that pings.
//! * [`Adaptive`]: ours, for SSH over TCP; it asks the kernel, and sends beats out of turn.

mod accrual;
mod adaptive;
mod expected;
mod lifeguard;
mod window;

use std::fmt::Debug;
use std::time::Duration;

use crate::time::Moment;

pub use accrual::{Akka, Exponential, Phi};
pub use adaptive::{Adaptive, Doubt, Kernel};
pub use expected::{Bertier, Chen, TwoWindow};
pub use lifeguard::Lifeguard;

/// A rule by which a peer is suspected.
pub trait Detector: Debug + Send {
    /// A beat came that is newer than all before.
    fn arrived(&mut self, beat: Beat);

    /// The peer is suspected from this moment on, until the next beat; none, before the first.
    fn deadline(&self) -> Option<Moment>;
}

/// A beat that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Which: the beats of a peer are numbered in the order of their sending, and one is due an interval after another.
    pub number: u64,
    /// When the question that it answers was sent; where nobody asks, when it was sent itself.
    pub sent: Moment,
    /// When the next is due to be sent.
    pub next: Moment,
    /// When it came.
    pub at: Moment,
}

/// So long after the last beat.
#[derive(Clone, Debug)]
pub struct Fixed {
    after: Duration,
    last: Option<Moment>,
}

impl Fixed {
    /// Suspects the peer `after` its last beat.
    pub const fn new(after: Duration) -> Self {
        Self { after, last: None }
    }
}

impl Detector for Fixed {
    fn arrived(&mut self, beat: Beat) {
        self.last = Some(beat.at);
    }

    fn deadline(&self) -> Option<Moment> {
        self.last.map(|last| last + self.after)
    }
}

/// Beats that are looked back on.
const WINDOW: usize = 1_000;
