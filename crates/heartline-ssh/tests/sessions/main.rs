//! Whole dials and sessions by the public face, against real sshd and heartline-serve, some of them behind a relay that
//! freezes them: every trap of russh that this layer must keep from its callers has its test here.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it needs has failed"
)]

mod beats;
mod bed;
mod blocked;
mod client;
mod exec;
mod forwards;
mod frozen;
mod guarded;
mod guards;
mod heavy;
mod last_words;
mod lateness;
mod login;
mod rekey;
