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
//! What a peer sends is hostile until proven otherwise: every wait has a deadline, every buffer a
//! bound, every count a limit, and its words are escaped before they are logged.
//!
//! Not here: probing a silent client from this side (`ClientAliveInterval`). A client whose
//! *machine* is gone is let go by TCP after [`ServeConfig::dead_peer_after`]; one whose process is
//! frozen while its kernel goes on acknowledging is not noticed yet.

mod admission;
pub mod authorized_keys;
mod certificate;
mod config;
mod end;
mod gate;
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
