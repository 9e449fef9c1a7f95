//! Who gets in, and what they may do then: nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use russh::keys::{Algorithm, Certificate, HashAlg};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, VerifiedPublicKey};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::oneshot;

use crate::authorized_keys::AuthorizedKeys;
use crate::certificate;
use crate::heard::Heard;
use crate::printable::{USER_SHOWN, printable};

/// Answers russh's questions about one connection.
///
/// Everything not answered here russh refuses by itself: other methods of authentication, forwards,
/// other kinds of channels, unknown requests. Nothing else can be asked of a session that has no
/// channel.
pub(crate) struct Gate {
    authorized: Arc<AuthorizedKeys>,
    source: IpAddr,
    refused: Arc<AtomicBool>,
    heard: Arc<Heard>,
    accepted: Option<Login>,
    tell: Option<oneshot::Sender<Login>>,
}

/// A login that succeeded, safe to print.
pub(crate) struct Login {
    /// The user name the client chose.
    pub(crate) user: String,
    /// The fingerprint of the key, or the id of the certificate.
    pub(crate) key: String,
}

impl Gate {
    /// For a connection from `source`. `heard` and `tell` hear of a login that succeeded, `refused`
    /// of one that did not.
    pub(crate) fn new(
        authorized: Arc<AuthorizedKeys>,
        source: IpAddr,
        refused: Arc<AtomicBool>,
        heard: Arc<Heard>,
        tell: oneshot::Sender<Login>,
    ) -> Self {
        Self {
            authorized,
            source: source.to_canonical(),
            refused,
            heard,
            accepted: None,
            tell: Some(tell),
        }
    }

    fn refuse(&self) -> Auth {
        self.refused.store(true, Ordering::Relaxed);
        Auth::reject()
    }

    fn accept(&mut self, user: &str, key: String) -> Auth {
        self.accepted = Some(Login {
            user: printable(user, USER_SHOWN),
            key,
        });
        Auth::Accept
    }
}

impl server::Handler for Gate {
    type Error = russh::Error;

    /// Before the signature. A certificate is shown here as its bare key, so with an authority in
    /// the list no key can be ruled out yet.
    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let key = offer.public_key.key_data();
        let usable = !is_sha1(offer.algorithm)
            && (self.authorized.has_authorities()
                || self.authorized.permits(key, self.source, SystemTime::now()));
        Ok(if usable { Auth::Accept } else { self.refuse() })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let data = key.public_key.key_data();
        if is_sha1(key.algorithm)
            || !self
                .authorized
                .permits(data, self.source, SystemTime::now())
        {
            return Ok(self.refuse());
        }
        let fingerprint = data.fingerprint(HashAlg::Sha256).to_string();
        Ok(self.accept(user, fingerprint))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        cert: &Certificate,
    ) -> Result<Auth, Self::Error> {
        let now = SystemTime::now();
        if let Err(fault) = certificate::check(cert, &self.authorized, user, self.source, now) {
            tracing::debug!(source = %self.source, %fault, "Certificate refused.");
            return Ok(self.refuse());
        }
        let key = format!(
            "certificate:{}:serial:{}",
            printable(cert.key_id(), USER_SHOWN),
            cert.serial()
        );
        Ok(self.accept(user, key))
    }

    async fn auth_succeeded(&mut self, _: &mut server::Session) -> Result<(), Self::Error> {
        self.heard.login();
        if let (Some(login), Some(tell)) = (self.accepted.take(), self.tell.take()) {
            // Nobody listens any more when the connection is being ended: that will reach russh.
            let _ = tell.send(login);
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.reject(PROHIBITED).await;
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.reject(PROHIBITED).await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.reject(PROHIBITED).await;
        Ok(())
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.reject(PROHIBITED).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.reject(PROHIBITED).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        _: &str,
        _: &mut u32,
        _: &mut server::Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }

    async fn streamlocal_forward(
        &mut self,
        _: &str,
        _: &mut server::Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }
}

/// `ssh-rsa`: an RSA signature over a SHA-1 hash, which can be forged for chosen prefixes.
fn is_sha1(algorithm: &Algorithm) -> bool {
    *algorithm == (Algorithm::Rsa { hash: None })
}

const PROHIBITED: ChannelOpenFailure = ChannelOpenFailure::AdministrativelyProhibited;
