//! An SSH endpoint that authenticates and answers beats, and nothing else.
//!
//! A line can be held to a machine that runs no sshd, or whose sshd one rather leaves alone: the
//! endpoint lets in who is named in an `authorized_keys` file, answers every global request with
//! `REQUEST_FAILURE` (which is what `keepalive@openssh.com` gets from sshd as well, and proves life
//! just the same), and refuses everything a session could do: no channel is ever opened, no port
//! is ever forwarded, in neither direction. Nothing is executed, read or written for a client.
//!
//! * [`ServeConfig`] says where to listen, with which keys, whom to let in, and every limit.
//! * [`Server`] listens and serves until told to stop.
//! * [`AuthorizedKeys`] reads `authorized_keys`; a restriction it cannot honour refuses its line.
//! * [`host_key`] loads host keys from OpenSSH files, or makes one.
//!
//! A client that falls silent is asked for a sign of life, and its session ends when none has come for
//! `interval · (count + 1)` ([`ServeConfig::interval`], [`ServeConfig::count`]): sshd's `ClientAlive`
//! with core's rule, also where sshd is wrong (facts/keepalive.md, section 2). What the endpoint
//! itself sends puts nothing off; output that the client does not take does not hold up the end;
//! a frozen process is noticed whose kernel goes on acknowledging; and time in which the endpoint
//! itself did not run counts against nobody.
//!
//! What a peer sends is hostile until proven otherwise: every wait has a deadline, every buffer a
//! bound, every count a limit, and its words are escaped before they are logged.

mod admission;
mod alive;
pub mod authorized_keys;
mod certificate;
mod clock;
mod config;
mod end;
mod gate;
mod heard;
pub mod host_key;
mod listen;
mod printable;
mod protocol;
mod server;
mod session;
mod wire;

pub use authorized_keys::{AuthorizedKeys, AuthorizedKeysError};
pub use config::{ConfigError, ServeConfig};
pub use host_key::HostKeyError;
pub use server::{ServeError, Server};

/// A host's private key, as [`host_key`] loads and makes them.
pub use russh::keys::PrivateKey;
/// A user's public key, for [`AuthorizedKeys::from_keys`].
pub use russh::keys::PublicKey;
