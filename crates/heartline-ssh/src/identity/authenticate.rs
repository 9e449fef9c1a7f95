//! Showing a host who we are, until it lets us in or nothing is left.

use std::fmt;

use russh::client::{AuthResult, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{HashAlg, PrivateKey, Signature};
use russh::keys::{PrivateKeyWithHashAlg, signature};
use russh::{MethodKind, MethodSet};
use tracing::debug;

use super::Identities;
use super::agent::{Agent, AgentFault, SignError};
use super::error::AuthError;
use super::hash::{Hash, HostTakes};
use super::offer::{self, Offer, Shown, Signer, Source};
use crate::hostkey::KeyName;

/// How a host let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// It asks for nothing.
    None,
    /// By a key.
    Key {
        /// The key.
        key: KeyName,
        /// Where it came from.
        source: Source,
    },
    /// By a certificate.
    Certificate {
        /// The key in it.
        key: KeyName,
        /// Where it came from.
        source: Source,
    },
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Key { key, source } => write!(f, "key {key} ({source})"),
            Self::Certificate { key, source } => write!(f, "certificate of {key} ({source})"),
        }
    }
}

/// Logs in as `user`, `accepted` being `PubkeyAcceptedAlgorithms`.
///
/// Asks with method `none` first, as ssh does: the answer names the methods the host takes, no key is shown to one that
/// takes none, and some hosts let us in on it. Costs one round trip and is not counted by sshd's `MaxAuthTries`. Then
/// shows keys one by one, each as a question before anything is signed.
///
/// Waits on the agent have deadlines of their own; those on the host are the caller's, who ends the connection. RSA
/// signatures by a file's key (3 to 9 ms of CPU) are made inline, on the runtime's thread.
///
/// # Errors
/// See [`AuthError`]. The connection may be used for nothing else afterwards.
pub async fn authenticate<H: Handler>(
    handle: &mut Handle<H>,
    user: &str,
    identities: &Identities,
    accepted: Option<&[String]>,
) -> Result<Method, AuthError> {
    let first = handle.authenticate_none(user).await;
    let mut login = Login {
        handle,
        user,
        accepted,
        agent: None,
        fault: None,
        host_takes: None,
        tried: 0,
        partial: false,
        remaining: MethodSet::empty(),
    };
    if login.take(first.map_err(|error| login.lost(error))?)? {
        return Ok(Method::None);
    }
    if !identities.pubkey {
        return Err(login.refused());
    }
    let held = login.ask_agent(identities).await;
    let offers = offer::order(identities, &held, accepted);
    for offer in offers {
        if let Some(method) = login.show(offer).await? {
            return Ok(method);
        }
    }
    Err(login.refused())
}

/// One login under way.
struct Login<'a, H: Handler> {
    handle: &'a mut Handle<H>,
    user: &'a str,
    accepted: Option<&'a [String]>,
    agent: Option<Agent>,
    fault: Option<AgentFault>,
    /// Once asked.
    host_takes: Option<HostTakes>,
    tried: usize,
    partial: bool,
    remaining: MethodSet,
}

impl<H: Handler> Login<'_, H> {
    /// Notes what the host said: whether we are in, or may go on.
    fn take(&mut self, result: AuthResult) -> Result<bool, AuthError> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure {
                remaining_methods,
                partial_success,
            } => {
                // russh says the same where the session ended.
                if remaining_methods.is_empty() {
                    return Err(AuthError::Closed { tried: self.tried });
                }
                self.remaining = remaining_methods;
                self.partial |= partial_success;
                if self.remaining.contains(&MethodKind::PublicKey) {
                    return Ok(false);
                }
                Err(self.refused())
            }
        }
    }

    /// The agent's keys. An agent that fails is remembered; files may still do.
    async fn ask_agent(&mut self, identities: &Identities) -> Vec<AgentIdentity> {
        let Some(socket) = &identities.agent else {
            return Vec::new();
        };
        let binding = self.handle.agent_session_binding().cloned();
        let asked = async {
            let mut agent = Agent::connect(socket).await?;
            if let Some(binding) = binding {
                agent.bind(&binding).await?;
            }
            let held = agent.identities().await?;
            Ok((agent, held))
        };
        match asked.await {
            Ok((agent, held)) => {
                self.agent = Some(agent);
                held
            }
            Err(fault) => {
                self.fault = Some(fault);
                Vec::new()
            }
        }
    }

    /// Shows one key or certificate; `None` where it did not do.
    async fn show(&mut self, offer: Offer) -> Result<Option<Method>, AuthError> {
        let Some(hash) = self.hash_for(&offer.shown).await? else {
            debug!(key = %KeyName::of(offer.shown.key()), "No common RSA signature algorithm.");
            return Ok(None);
        };
        let shown = self.attempt(&offer, hash).await;
        let result = match shown {
            Ok(result) => result,
            Err(Unshown::Skipped) => return Ok(None),
            Err(Unshown::Fault(fault)) => {
                self.fault = Some(fault);
                return Ok(None);
            }
            Err(Unshown::Ended(error)) => return Err(self.lost(error)),
        };
        if !result.success() && !is_partial(&result) {
            self.tried += 1;
        }
        let is_in = self.take(result)?;
        let key = KeyName::of(offer.shown.key());
        let source = offer.source;
        let method = match offer.shown {
            Shown::Key(_) => Method::Key { key, source },
            Shown::Certificate(_) => Method::Certificate { key, source },
        };
        Ok(is_in.then_some(method))
    }

    /// `None`: no hash that both sides take.
    async fn hash_for(&mut self, shown: &Shown) -> Result<Option<Hash>, AuthError> {
        if !shown.key().algorithm().is_rsa() {
            return Ok(Some(Hash::Own));
        }
        let host = if let Some(known) = self.host_takes {
            known
        } else {
            let asked = self.handle.best_supported_rsa_hash().await;
            let asked = asked.map_err(|error| self.lost(error))?;
            *self.host_takes.insert(HostTakes::from_russh(asked))
        };
        let accepted = self.accepted;
        Ok(Hash::for_rsa(host, |hash| {
            shown.is_accepted(hash, accepted)
        }))
    }

    async fn attempt(&mut self, offer: &Offer, hash: Hash) -> Result<AuthResult, Unshown> {
        let hash = hash.alg();
        let user = self.user;
        match (&offer.shown, &offer.signer) {
            (Shown::Key(_), Signer::File(private)) => {
                let key = PrivateKeyWithHashAlg::new(private.clone(), hash);
                let shown = self.handle.authenticate_publickey(user, key).await;
                shown.map_err(Unshown::Ended)
            }
            (Shown::Key(key), Signer::Agent(identity)) => {
                let agent = sound(&mut self.agent)?;
                let mut signer = ByAgent { agent, identity };
                let key = offer::public(key);
                let handle = &mut *self.handle;
                let shown = handle.authenticate_publickey_with(user, key, hash, &mut signer);
                shown.await.map_err(Unshown::from)
            }
            (Shown::Certificate(certificate), Signer::File(private)) => {
                // Not russh's authenticate_openssh_cert: it shows RSA as ssh-rsa-cert and signs with SHA-512.
                let mut signer = ByFile { private };
                let certificate = certificate.as_ref().clone();
                let handle = &mut *self.handle;
                let shown =
                    handle.authenticate_certificate_with(user, certificate, hash, &mut signer);
                shown.await.map_err(Unshown::from)
            }
            (Shown::Certificate(certificate), Signer::Agent(identity)) => {
                let agent = sound(&mut self.agent)?;
                let mut signer = ByAgent { agent, identity };
                let certificate = certificate.as_ref().clone();
                let handle = &mut *self.handle;
                let shown =
                    handle.authenticate_certificate_with(user, certificate, hash, &mut signer);
                shown.await.map_err(Unshown::from)
            }
        }
    }

    fn lost(&self, error: russh::Error) -> AuthError {
        match error {
            russh::Error::SendError
            | russh::Error::RecvError
            | russh::Error::Disconnect
            | russh::Error::HUP
            | russh::Error::Inconsistent => AuthError::Closed { tried: self.tried },
            other => AuthError::Russh(other),
        }
    }

    fn refused(&mut self) -> AuthError {
        let remaining = self.remaining.iter().map(Into::into).collect();
        let fault = self.fault.take();
        let takes_keys = self.remaining.contains(&MethodKind::PublicKey);
        match fault {
            _ if self.partial => AuthError::Partial { remaining },
            Some(fault) if self.tried == 0 => AuthError::Agent(fault),
            None if self.tried == 0 && takes_keys => AuthError::NoIdentities { remaining },
            agent => AuthError::Refused {
                tried: self.tried,
                remaining,
                agent,
            },
        }
    }
}

/// Why nothing was shown.
enum Unshown {
    /// Its signer is gone.
    Skipped,
    /// The agent failed on it.
    Fault(AgentFault),
    /// So did the session.
    Ended(russh::Error),
}

impl From<SignError> for Unshown {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Agent(fault) => Self::Fault(fault),
            SignError::Key(why) => {
                debug!(%why, "A key does not sign.");
                Self::Skipped
            }
            SignError::Session => Self::Ended(russh::Error::SendError),
        }
    }
}

/// After a deadline passed, the agent's late answer would be taken for the next one's.
fn sound(agent: &mut Option<Agent>) -> Result<&mut Agent, Unshown> {
    agent
        .as_mut()
        .filter(|agent| agent.is_sound())
        .ok_or(Unshown::Skipped)
}

fn is_partial(result: &AuthResult) -> bool {
    matches!(result, AuthResult::Failure { partial_success, .. } if *partial_success)
}

/// Signs by the agent, under the identity it holds, which need not be the certificate that is shown.
struct ByAgent<'a> {
    agent: &'a mut Agent,
    identity: &'a AgentIdentity,
}

impl russh::Signer for ByAgent<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signed = self.agent.sign(self.identity, hash, to_sign).await;
        signed.map_err(SignError::Agent)
    }
}

/// Signs by a file's key.
struct ByFile<'a> {
    private: &'a PrivateKey,
}

impl russh::Signer for ByFile<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signed: Result<Signature, _> = match self.private.key_data() {
            KeypairData::Rsa(pair) => signature::Signer::try_sign(&(pair, hash), &to_sign),
            pair => signature::Signer::try_sign(pair, &to_sign),
        };
        let failed = |error: &dyn fmt::Display| SignError::Key(error.to_string());
        let signed = signed.map_err(|error| failed(&error))?;
        let signed = signed.encode_vec().map_err(|error| failed(&error))?;
        signed
            .encode(&mut to_sign)
            .map_err(|error| failed(&error))?;
        Ok(to_sign)
    }
}
