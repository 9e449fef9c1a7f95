//! Who we are: private keys, user certificates and the agent, and how they are shown to a host.
//!
//! [`Keyring`] reads key files once for all lines and asks for their passphrases; [`Identities`] is what one destination may
//! be shown; [`authenticate`] shows it. A watcher runs with nobody at the terminal, so whatever must be asked is asked when
//! the configuration is loaded, never at a dial. The agent is the exception by its nature: it is asked anew at each dial,
//! since keys come and go in it, and each wait on it has a deadline.
//!
//! Not here: passwords, keyboard-interactive, GSSAPI, host-based authentication, hardware keys without an agent, PKCS#11,
//! `AddKeysToAgent`.

mod agent;
mod askpass;
mod authenticate;
mod certificate;
mod error;
mod hash;
mod keyfile;
mod keyring;
mod offer;
mod passphrase;
mod terminal;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Certificate, PrivateKey};

pub use self::agent::AgentFault;
pub use self::authenticate::{Method, authenticate};
pub use self::error::{AuthError, IdentityError};
pub use self::keyring::Keyring;
pub use self::offer::Source;
pub use self::passphrase::{AskError, Asker, Asking, Passphrase, Passphrases, Require};

use crate::hostkey::KeyName;
use crate::settings::IdentitySettings;

/// What one destination may be shown. Cheap to clone: key material is shared.
#[derive(Clone, Debug)]
pub struct Identities {
    /// `PubkeyAuthentication`.
    pubkey: bool,
    /// `IdentitiesOnly`.
    only_named: bool,
    agent: Option<PathBuf>,
    files: Vec<FileKey>,
    certificates: Vec<UserCertificate>,
    notes: Vec<String>,
}

/// A key named by a file.
#[derive(Clone)]
pub(crate) struct FileKey {
    path: PathBuf,
    public: KeyData,
    /// `None` where only the agent can sign with it.
    private: Option<Arc<PrivateKey>>,
}

/// A certificate named by a file.
#[derive(Clone)]
pub(crate) struct UserCertificate {
    path: PathBuf,
    certificate: Arc<Certificate>,
}

impl Identities {
    /// Reads what `settings` names, asking `passphrases` where it must. For many destinations use one [`Keyring`], which
    /// reads and asks once.
    ///
    /// # Errors
    /// See [`Keyring::load`].
    pub async fn load(
        settings: &IdentitySettings,
        passphrases: &dyn Passphrases,
    ) -> Result<Self, IdentityError> {
        Keyring::default().load(settings, passphrases).await
    }

    /// What was left out and why, a line each: default keys that cannot be read or opened, an agent that does not answer.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether nothing at all could be shown: no file key, no agent.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.agent.is_none()
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey")
            .field("path", &self.path)
            .field("public", &format_args!("{}", KeyName::of(&self.public)))
            .field("can_sign", &self.private.is_some())
            .finish()
    }
}

impl fmt::Debug for UserCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = KeyName::of(self.certificate.public_key());
        f.debug_struct("UserCertificate")
            .field("path", &self.path)
            .field("key", &format_args!("{key}"))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod login;
#[cfg(test)]
mod tests;
