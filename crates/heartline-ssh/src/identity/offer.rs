//! What is shown to a host, in which order, under which algorithm. No I/O.
//!
//! Certificates first; then the keys of files that the agent holds, in the agent's order; then what else it holds; then the
//! files' own keys (sshconnect2.c `pubkey_prepare`).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, Certificate, PrivateKey, PublicKey};

use super::Identities;
use super::hash::Hash;

/// Where a key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The agent.
    Agent,
}

/// One thing to show.
#[derive(Clone)]
pub(super) struct Offer {
    pub(super) shown: Shown,
    pub(super) signer: Signer,
    pub(super) source: Source,
}

/// What the host sees.
#[derive(Clone)]
pub(super) enum Shown {
    Key(KeyData),
    Certificate(Arc<Certificate>),
}

/// Who signs.
#[derive(Clone)]
pub(super) enum Signer {
    File(Arc<PrivateKey>),
    Agent(Box<AgentIdentity>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Agent => f.write_str("agent"),
        }
    }
}

impl Shown {
    pub(super) fn key(&self) -> &KeyData {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.public_key(),
        }
    }

    /// Its algorithm's name, with the hash where it is RSA.
    fn name(&self, hash: Hash) -> String {
        let algorithm = match self.key().algorithm() {
            Algorithm::Rsa { .. } => Algorithm::Rsa { hash: hash.alg() },
            other => other,
        };
        match self {
            Self::Key(_) => algorithm.as_str().to_owned(),
            Self::Certificate(_) => algorithm.to_certificate_type(),
        }
    }

    /// Whether `PubkeyAcceptedAlgorithms` lists it under that hash; ssh's default where it does not speak.
    pub(super) fn is_accepted(&self, hash: Hash, accepted: Option<&[String]>) -> bool {
        let name = self.name(hash);
        match accepted {
            Some(listed) => listed.contains(&name),
            None => {
                !matches!(self.key().algorithm(), Algorithm::Dsa) && !name.starts_with("ssh-rsa")
            }
        }
    }

    fn is_usable(&self, accepted: Option<&[String]>) -> bool {
        match self.key() {
            KeyData::Other(_) | KeyData::Certificate(_) => false,
            KeyData::Rsa(key) if key.key_size() < MIN_RSA_BITS => false,
            KeyData::Rsa(_) => Hash::RSA
                .into_iter()
                .any(|hash| self.is_accepted(hash, accepted)),
            _ => self.is_accepted(Hash::Own, accepted),
        }
    }
}

/// All there is to show, at most [`MAX_OFFERS`], `held` being what the agent holds.
pub(super) fn order(
    identities: &Identities,
    held: &[AgentIdentity],
    accepted: Option<&[String]>,
) -> Vec<Offer> {
    let mut offers = certificates(identities, held);
    offers.extend(keys(identities, held));
    offers.retain(|offer| offer.shown.is_usable(accepted));
    offers.truncate(MAX_OFFERS);
    offers
}

fn certificates(identities: &Identities, held: &[AgentIdentity]) -> Vec<Offer> {
    let mut offers = Vec::new();
    for certificate in &identities.certificates {
        let shown = &certificate.certificate;
        if let Some(signer) = signer_of(shown, identities, held) {
            offers.push(Offer {
                shown: Shown::Certificate(Arc::clone(shown)),
                signer,
                source: Source::File(certificate.path.clone()),
            });
        }
    }
    if identities.only_named {
        return offers;
    }
    for identity in held {
        let AgentIdentity::Certificate { certificate, .. } = identity else {
            continue;
        };
        let mut named = identities.certificates.iter();
        let is_named = named.any(|known| known.certificate.signature() == certificate.signature());
        if certificate.cert_type() == CertType::User && !is_named {
            offers.push(Offer {
                shown: Shown::Certificate(Arc::new(certificate.clone())),
                signer: Signer::Agent(Box::new(identity.clone())),
                source: Source::Agent,
            });
        }
    }
    offers
}

/// The agent's own certificate entry, the agent's plain key, or a file's.
fn signer_of(
    certificate: &Certificate,
    identities: &Identities,
    held: &[AgentIdentity],
) -> Option<Signer> {
    let signs = |identity: &&AgentIdentity| match identity {
        AgentIdentity::PublicKey { key, .. } => key.key_data() == certificate.public_key(),
        AgentIdentity::Certificate {
            certificate: own, ..
        } => own.signature() == certificate.signature(),
    };
    if let Some(identity) = held.iter().find(signs) {
        return Some(Signer::Agent(Box::new(identity.clone())));
    }
    let files = identities.files.iter();
    let mut files = files.filter(|file| file.public == *certificate.public_key());
    files
        .find_map(|file| file.private.clone())
        .map(Signer::File)
}

fn keys(identities: &Identities, held: &[AgentIdentity]) -> Vec<Offer> {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for identity in held {
        let AgentIdentity::PublicKey { key, .. } = identity else {
            continue;
        };
        let mut files = identities.files.iter();
        let offer = |source| Offer {
            shown: Shown::Key(key.key_data().clone()),
            signer: Signer::Agent(Box::new(identity.clone())),
            source,
        };
        match files.find(|file| file.public == *key.key_data()) {
            Some(file) => named.push(offer(Source::File(file.path.clone()))),
            None if identities.only_named => {}
            None => others.push(offer(Source::Agent)),
        }
    }
    let mut offers = named;
    offers.extend(others);
    for file in &identities.files {
        let is_offered = |offer: &Offer| *offer.shown.key() == file.public;
        if let Some(private) = &file.private
            && !offers.iter().any(is_offered)
        {
            offers.push(Offer {
                shown: Shown::Key(file.public.clone()),
                signer: Signer::File(Arc::clone(private)),
                source: Source::File(file.path.clone()),
            });
        }
    }
    offers
}

/// The public half for russh.
pub(super) fn public(key: &KeyData) -> PublicKey {
    PublicKey::from(key.clone())
}

/// OpenSSH's default `RequiredRSASize`, in bits.
const MIN_RSA_BITS: u32 = 1024;

/// The most shown to one host. sshd ends the connection at `MaxAuthTries`, 6 by default; some owners raise that.
pub(super) const MAX_OFFERS: usize = 20;
