//! Tunnels that stay: what `ssh -L -R -D` carries, over whichever session stands.
//!
//! ```text
//!  Spec (-L -R -D) ─→ Tunnels ─┬─ bind + local: our sockets, bound once, SOCKS
//!                              └─ remote: the node's, asked for at each session
//!                                   │ a connection
//!  carry(Some(Carrier)) ─→ carrier ─┴─→ splice ─→ heartline-ssh's FarStream
//! ```
//!
//! Sockets of ours stay bound while sessions come and go. A connection that comes while there is none waits, as long as
//! [`Rules::hold`]. Which session carries is told from outside ([`Tunnels::carry`]); when it is another, new connections take
//! that, and those that stand stay where they are.
//!
//! Not here: sessions, how they are kept, and whose fault it is when they are not.

mod bind;
mod carrier;
mod local;
mod remote;
mod socks;
mod splice;
mod state;

use std::sync::Arc;
use std::time::Duration;

use heartline_ssh::settings::{Side, Spec};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use bind::{BindError, BindRules};
pub use carrier::Carrier;
pub use remote::Rescue;
pub use state::{ForwardState, Stand};

use carrier::Current;
use local::Local;
use remote::Remote;
use state::Board;

/// How connections are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long one that comes while no line is up may wait for one.
    pub hold: Duration,
    /// How long the node, and whatever is connected to, may take to answer.
    pub patience: Duration,
    /// How many there may be at once, of all forwards together; on our side more wait, on the node's they are refused.
    pub most: usize,
    /// Of sockets on our side.
    pub bind: BindRules,
}

/// Forwards that are served. When this is dropped all of them are over.
pub struct Tunnels {
    carry: watch::Sender<Option<Carrier>>,
    board: Board,
    tasks: JoinSet<()>,
}

/// One that cannot be served.
#[derive(Debug)]
pub struct Unbound {
    /// Which.
    pub spec: Spec,
    /// Why.
    pub why: BindError,
}

impl Tunnels {
    /// Binds what is on our side, and serves all of it, on the caller's runtime. What cannot be bound is given, and not served.
    pub async fn start(specs: &[Spec], rules: Rules, rescue: &Rescue) -> (Self, Vec<Unbound>) {
        let (carry, current) = watch::channel(None);
        let current = Current::new(current);
        let board = Board::new(specs);
        // A listener that waits for its next holds one.
        let waiting = specs.iter().filter(|spec| spec.side == Side::Here);
        let room = Arc::new(Semaphore::new(rules.most.saturating_add(waiting.count())));
        let mut tasks = JoinSet::new();
        let mut unbound = Vec::new();
        for (at, spec) in specs.iter().enumerate() {
            let place = board.place(at);
            match spec.side {
                Side::Here => match bind::bind(&spec.listen, rules.bind).await {
                    Ok(listener) => {
                        place.set(Stand::Stands, None);
                        let local = Local {
                            spec: spec.clone(),
                            rules,
                            current: current.clone(),
                            place,
                            room: Arc::clone(&room),
                        };
                        tasks.spawn(local.serve(listener));
                    }
                    Err(why) => {
                        place.set(Stand::Fails(why.to_string()), None);
                        let spec = spec.clone();
                        unbound.push(Unbound { spec, why });
                    }
                },
                Side::There => {
                    let remote = Remote {
                        spec: spec.clone(),
                        rules,
                        current: current.clone(),
                        place,
                        room: Arc::clone(&room),
                        rescue: Arc::clone(rescue),
                    };
                    tasks.spawn(remote.serve());
                }
            }
        }
        let tunnels = Self {
            carry,
            board,
            tasks,
        };
        (tunnels, unbound)
    }

    /// This carries from now on; none: nothing does.
    pub fn carry(&self, carrier: Option<Carrier>) {
        self.carry.send_replace(carrier);
    }

    /// What is known of each, in the order given.
    pub fn states(&self) -> Vec<ForwardState> {
        self.board.all()
    }

    /// Returns when one stands that did not, or does not that did. Losing the future loses nothing.
    pub async fn changed(&self) {
        self.board.changed().await;
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}
