//! The endpoint seen from outside: by OpenSSH's own client, by russh's, and by hostile strangers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it needs has failed"
)]

mod alive;
mod beats;
mod log;
mod logs;
mod openssh;
mod shutdown;
mod strangers;
mod support;
