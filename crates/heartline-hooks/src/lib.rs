//! What is run, called or written to when something changes.
//!
//! ```text
//!  event ─→ journal's thread: rules (pure) ─→ messages ─→ disk's thread: one transaction with the event
//!                                                          └─ written, or 2 s ─→ outbox ─→ deliverer's thread: program, webhook, mail
//! ```
//!
//! * **Once a transition.** A hook is told what it asked for when it comes to be so, and of the return of what it was told had fallen. It is not told the same state twice in a row, also
//!   not by the next run: what it knows is in the journal.
//! * **At least once, and recognisable.** A message is in the journal with its event, and leaves it when it was taken. Who is killed in between sends it again, under the same key; so a
//!   receiver that passes over keys it has had sees each once.
//! * **In order per node and hook.** None is begun before the one before it is done or given up. Hooks do not wait for each other, nor nodes.
//! * **After a while.** What is to be told only if it is still so is taken back when it is not. Whether it was begun by then is decided in one place, under one lock: so a return is told if
//!   and only if the fall was.
//! * **Flaps.** What falls again within `settle` is told of once as flapping, and then when it has stayed as it is for as long.
//! * **Token.** It grows with each verdict. Who acts on a message asks first whether it is still the last.
//!
//! Not here: what an event is (heartline-watch), what is written where (heartline-journal), what stands in the file (heartline-watch, `config`).

mod deliver;
mod hook;
mod letter;
mod limits;
mod mail;
mod outbox;
mod outcome;
mod program;
mod rules;
mod schedule;
mod start;
mod webhook;

pub use deliver::Deliverer;
pub use hook::{HookError, Hooks};
pub use limits::Limits;
pub use outbox::Outbox;
pub use rules::{HookRules, Tags};
pub use start::{Started, start};
