//! What the endpoint is told: where to listen, whom to let in, and every limit.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use heartline_core::{Count, Interval};
use russh::keys::PrivateKey;

use crate::authorized_keys::AuthorizedKeys;

/// The settings of a [`Server`](crate::Server).
///
/// [`ServeConfig::new`] fills in defaults that suit a machine watched by a few watchers; the rules
/// of thumb at the fields say when to change them.
pub struct ServeConfig {
    /// Addresses to listen on, at least one. Port 0 takes a free one, told by
    /// [`Server::local_addrs`](crate::Server::local_addrs). `[::]` takes IPv6 alone: name `0.0.0.0`
    /// beside it for both.
    pub listen: Vec<SocketAddr>,
    /// The keys that prove who this host is, at least one, one of a kind. An ed25519 key suits
    /// every client since 2014; see [`host_key`](crate::host_key).
    pub host_keys: Vec<PrivateKey>,
    /// Who may log in, under any user name. At least one key.
    pub authorized: AuthorizedKeys,
    /// From the accepted connection to the accepted login: banner, key exchange and authentication
    /// together. 100 ms to 10 min. Rule of thumb: ten round trips plus the time a person needs for
    /// a passphrase, if one is asked (sshd: 120 s; here nobody types, so 20 s).
    pub login_grace: Duration,
    /// How long a refused login takes at least, so that its duration tells nothing and guessing is
    /// slow. 0 to 5 s. Rule of thumb: well under `login_grace` / 7, the number of tries.
    pub auth_rejection_time: Duration,
    /// Sessions and connections at once, authenticated or not. Rule of thumb: twice the watchers
    /// times their lines, and under the limit of open files; a session holds one, and about 40 KB.
    pub max_connections: NonZeroUsize,
    /// Connections at once that have not logged in yet; more are turned away with the words sshd
    /// uses (MaxStartups). Rule of thumb: what one core can log in within `login_grace`, about
    /// 1000 a second, but no more than may be lost to strangers: each can hold 256 KiB.
    pub max_unauthenticated: NonZeroUsize,
    /// Connections at once from one source: one IPv4 address, or one IPv6 /64. Rule of thumb: the
    /// lines one watcher holds to here, four times.
    pub max_per_source: NonZeroUsize,
    /// How long a client may be silent before it is asked for a sign of life, and then between
    /// probes, as `ClientAliveInterval`; from the login on. Rule of thumb: longer than its own
    /// beats are apart, so that it is asked only when they fail; well over the round-trip time.
    pub interval: Interval,
    /// Probes that may go unanswered, as `ClientAliveCountMax`: the session ends
    /// `interval · (count + 1)` after the client's last sign of life. Rule of thumb: the loss that
    /// a path may have without meaning anything; 1 on a good one.
    pub count: Count,
    /// How long clients get to say goodbye once the endpoint is told to stop; then their sockets
    /// are reset. 0 to 1 min.
    pub shutdown_grace: Duration,
}

impl ServeConfig {
    /// Listens on `listen` as `host_keys`, lets in `authorized`; every limit at its default.
    pub fn new(
        listen: Vec<SocketAddr>,
        host_keys: Vec<PrivateKey>,
        authorized: AuthorizedKeys,
    ) -> Self {
        Self {
            listen,
            host_keys,
            authorized,
            login_grace: Duration::from_secs(20),
            auth_rejection_time: Duration::from_millis(300),
            max_connections: DEFAULT_CONNECTIONS,
            max_unauthenticated: DEFAULT_UNAUTHENTICATED,
            max_per_source: DEFAULT_PER_SOURCE,
            interval: DEFAULT_INTERVAL,
            count: DEFAULT_COUNT,
            shutdown_grace: Duration::from_secs(2),
        }
    }

    /// Whether every field is in its range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        if self.host_keys.is_empty() {
            return Err(ConfigError::NoHostKey);
        }
        if self.authorized.is_empty() {
            return Err(ConfigError::NobodyAuthorized);
        }
        within("login_grace", self.login_grace, LOGIN_GRACE)?;
        within(
            "auth_rejection_time",
            self.auth_rejection_time,
            Duration::ZERO..=MAX_REJECTION_TIME,
        )?;
        within(
            "shutdown_grace",
            self.shutdown_grace,
            Duration::ZERO..=Duration::from_mins(1),
        )
    }
}

impl fmt::Debug for ServeConfig {
    /// Everything but the private keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeConfig")
            .field("listen", &self.listen)
            .field("host_keys", &self.host_keys.len())
            .field("authorized", &self.authorized.len())
            .field("login_grace", &self.login_grace)
            .field("auth_rejection_time", &self.auth_rejection_time)
            .field("max_connections", &self.max_connections)
            .field("max_unauthenticated", &self.max_unauthenticated)
            .field("max_per_source", &self.max_per_source)
            .field("interval", &self.interval)
            .field("count", &self.count)
            .field("shutdown_grace", &self.shutdown_grace)
            .finish()
    }
}

/// What is wrong with a [`ServeConfig`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is nothing to listen on.
    #[error("no address to listen on")]
    NoAddress,
    /// No host key: no client could tell who answers.
    #[error("no host key")]
    NoHostKey,
    /// Nobody could ever log in.
    #[error("nobody is authorized: there is no usable line in authorized_keys")]
    NobodyAuthorized,
    /// A duration is out of its range.
    #[error("{what} is {came:?}, expected {least:?} to {most:?}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// Its value.
        came: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
}

fn within(
    what: &'static str,
    came: Duration,
    range: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    if range.contains(&came) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(ConfigError::OutOfRange {
        what,
        came,
        least,
        most,
    })
}

const LOGIN_GRACE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
/// russh sleeps this long where nothing can interrupt it, so it also delays the end of a session.
pub(crate) const MAX_REJECTION_TIME: Duration = Duration::from_secs(5);
const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
const DEFAULT_UNAUTHENTICATED: NonZeroUsize = NonZeroUsize::new(100).unwrap();
const DEFAULT_PER_SOURCE: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Three of a watcher's own beats, by its default.
const DEFAULT_INTERVAL: Interval = match Interval::new(Duration::from_secs(15)) {
    Ok(interval) => interval,
    Err(_) => Interval::DEFAULT,
};
/// As sshd's: a bound of a minute.
const DEFAULT_COUNT: Count = match Count::new(3) {
    Ok(count) => count,
    Err(_) => Count::DEFAULT,
};
