//! Hooks as a watcher has them: a journal on disk, the thread that sends, and real receivers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it needs has failed"
)]

mod disk;
mod load;
mod mail;
mod programs;
mod receiver;
mod restart;
mod watcher;
mod webhooks;
