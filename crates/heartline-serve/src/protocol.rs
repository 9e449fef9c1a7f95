//! How the endpoint speaks SSH: the algorithms it offers, the bounds it gives to russh.
//!
//! A stranger can make us do the key exchange, so only those are offered that take less than a
//! millisecond: an exchange in a large Diffie-Hellman group costs the whole process up to half a
//! second (facts/russh.md, section 2), since russh does it where it reads. No compression: nothing
//! here is long, and it would need memory for every session.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server};

use crate::config::ServeConfig;

/// russh's settings for every connection.
pub(crate) fn settings(config: &ServeConfig) -> Arc<server::Config> {
    Arc::new(server::Config {
        server_id: SshId::Standard(Cow::Borrowed(IDENT)),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: config.auth_rejection_time,
        // The question "which methods?" is no guess.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: config.host_keys.clone(),
        limits: russh::Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_TIME),
        window_size: WINDOW,
        maximum_packet_size: WINDOW,
        channel_buffer_size: 1,
        event_buffer_size: 1,
        preferred: preferred(),
        max_auth_attempts: MAX_TRIES,
        // Deadlines are ours (session.rs, alive.rs): russh's do not fire while it writes.
        inactivity_timeout: None,
        keepalive_interval: None,
        nodelay: true,
        ..server::Config::default()
    })
}

fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::ECDH_SHA2_NISTP256,
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        host_key_certificates: Cow::Borrowed(&[]),
        // Also what clients are told they may sign with (RFC 8308, server-sig-algs).
        key: Cow::Borrowed(&[
            Algorithm::Ed25519,
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP384,
            },
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP521,
            },
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha512),
            },
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha256),
            },
        ]),
        // GCM first: a quarter of the cost of ChaCha20 for packets as short as a beat. (The
        // client's order decides.)
        cipher: Cow::Borrowed(&[
            cipher::AES_256_GCM,
            cipher::AES_128_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_128_CTR,
        ]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// How the endpoint names itself before anything is encrypted (RFC 4253, section 4.2).
const IDENT: &str = concat!("SSH-2.0-heartline_", env!("CARGO_PKG_VERSION"));
/// sshd's `MaxAuthTries` of 6, and the question "none" that every client begins with.
const MAX_TRIES: usize = 7;
/// The most russh takes, and what RFC 4253, section 9, recommends.
const REKEY_BYTES: usize = 1 << 30;
/// As sshd, no rekey by the clock: an hour's would come to all sessions at once after they have all
/// reconnected at once. Only beats pass here, which never wear a key out.
const REKEY_TIME: Duration = Duration::from_hours(24 * 365);
/// No channel opens, so this only bounds what a peer may send while a rekey is under way: russh
/// ends a session at twice this.
const WINDOW: u32 = 32 * 1024;
