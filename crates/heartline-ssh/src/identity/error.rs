//! Why identities cannot be loaded, and why a host does not let us in.

use std::io;
use std::path::PathBuf;

use super::agent::AgentFault;
use super::passphrase::AskError;

/// Why identities cannot be loaded. Each is a mistake the owner can mend; nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file that somebody named does not exist.
    #[error("identity file {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read identity file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any key.
    #[error("identity file {} is over {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most we read, in bytes.
        limit: u64,
    },
    /// A private key that others can read (authfile.c `sshkey_perm_ok`).
    #[error("private key {} has mode {mode:04o} and is open to others; run: chmod 600 '{}'", path.display(), path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is in the file is no key.
    #[error("identity file {} holds no key we can read: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A private key in a cipher or of a type that old PEM files have and we do not read.
    #[error("private key {} is in an old encrypted form that is not supported; rewrite it: ssh-keygen -p -f '{}'", path.display(), path.display())]
    OldCipher {
        /// The file.
        path: PathBuf,
    },
    /// No passphrase given opened the key.
    #[error("wrong passphrase for {} ({tries} tries)", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
        /// How many were given.
        tries: u32,
    },
    /// The key is encrypted and there was nobody to ask.
    #[error("private key {} is encrypted and {why}; add it to an agent with ssh-add, or set SSH_ASKPASS", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Why no passphrase came.
        why: AskError,
    },
    /// A `CertificateFile` holds no user certificate.
    #[error("certificate file {} holds no user certificate: {why}", path.display())]
    NotCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Why a host does not let us in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The host refused everything we showed, or takes no keys at all.
    #[error("the host refused {tried} keys shown; it takes: {}{}", listed(remaining), beside(agent.as_ref()))]
    Refused {
        /// Keys and certificates the host refused.
        tried: usize,
        /// The methods the host still offers.
        remaining: Vec<&'static str>,
        /// What went wrong with the agent besides.
        agent: Option<AgentFault>,
    },
    /// A key was good, and the host wants more than we can give.
    #[error("the host took a key and wants more: {}", listed(remaining))]
    Partial {
        /// The methods it wants.
        remaining: Vec<&'static str>,
    },
    /// We have nothing to show.
    #[error("no key to show, and the host takes: {}", listed(remaining))]
    NoIdentities {
        /// The methods the host offers.
        remaining: Vec<&'static str>,
    },
    /// The agent was our only way, and it failed.
    #[error("{0}")]
    Agent(#[source] AgentFault),
    /// The connection ended while we were at it. A host does that on purpose after too many keys (`MaxAuthTries`; then a
    /// disconnect message came, and russh's `Handler::disconnected` was told), or with a refusal that names no method
    /// russh knows; otherwise the line broke.
    #[error("the connection ended after {tried} keys were refused")]
    Closed {
        /// Keys and certificates the host had refused.
        tried: usize,
    },
    /// russh failed on our side.
    #[error("{0}")]
    Russh(#[source] russh::Error),
}

fn listed(methods: &[&'static str]) -> String {
    if methods.is_empty() {
        return "nothing more".to_owned();
    }
    methods.join(", ")
}

fn beside(agent: Option<&AgentFault>) -> String {
    agent.map_or_else(String::new, |fault| format!("; {fault}"))
}
