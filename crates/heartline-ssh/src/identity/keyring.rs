//! Key files, read once for all lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::public::KeyData;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::agent::Agent;
use super::error::IdentityError;
use super::keyfile::{self, KeyFile, Stamp};
use super::passphrase::{AskError, Passphrases};
use super::{FileKey, Identities, UserCertificate, certificate};
use crate::settings::{IdentityFile, IdentitySettings};

/// Key files already read and opened. A file that changed on disk is read anew; one that did not is not asked for again.
#[derive(Default)]
pub struct Keyring {
    files: Mutex<HashMap<PathBuf, Kept>>,
}

struct Kept {
    stamp: Stamp,
    file: KeyFile,
    /// Asking for its passphrase came to nothing; once is enough.
    declined: Option<AskError>,
}

impl Keyring {
    /// What one destination may be shown. Reads files (blocking, small) and asks for passphrases, at most three times a key,
    /// one key at a time. A key that the agent holds is not asked for.
    ///
    /// # Errors
    /// A named file is missing, unreadable, no key, or cannot be opened; a private key is open to others. Of ssh's default
    /// files only the last is an error; what else is wrong with them is in [`Identities::notes`].
    pub async fn load(
        &self,
        settings: &IdentitySettings,
        passphrases: &dyn Passphrases,
    ) -> Result<Identities, IdentityError> {
        let mut identities = Identities {
            pubkey: settings.pubkey,
            only_named: settings.identities_only,
            agent: settings.agent.clone().filter(|_| settings.pubkey),
            files: Vec::new(),
            certificates: Vec::new(),
            notes: Vec::new(),
        };
        if !settings.pubkey {
            return Ok(identities);
        }
        let mut held = None;
        for file in &settings.files {
            let loaded = self.file(
                file,
                settings,
                &mut held,
                passphrases,
                &mut identities.notes,
            );
            match loaded.await {
                Ok(key) => identities.files.extend(key),
                Err(error @ IdentityError::Permissions { .. }) => return Err(error),
                Err(error) if file.explicit => return Err(error),
                Err(error) => identities.notes.push(error.to_string()),
            }
        }
        let (certificates, notes) = load_certificates(settings)?;
        identities.certificates = certificates;
        identities.notes.extend(notes);
        Ok(identities)
    }

    /// `held` keeps the agent's keys once they were asked for.
    async fn file(
        &self,
        file: &IdentityFile,
        settings: &IdentitySettings,
        held: &mut Option<Vec<KeyData>>,
        passphrases: &dyn Passphrases,
        notes: &mut Vec<String>,
    ) -> Result<Option<FileKey>, IdentityError> {
        // Held throughout, so that two loads do not ask for one key at the same time.
        let mut files = self.files.lock().await;
        let Some((stamp, loaded)) = keyfile::load(&file.path)? else {
            if file.explicit {
                let path = file.path.clone();
                return Err(IdentityError::Missing { path });
            }
            return Ok(None);
        };
        let kept = files.get(&file.path).filter(|kept| kept.stamp == stamp);
        let (loaded, declined) = match kept {
            Some(kept) => (kept.file.clone(), kept.declined.clone()),
            None => (loaded, None),
        };
        let KeyFile::Locked(public) = loaded else {
            let key = key_of(&file.path, &loaded);
            files.insert(file.path.clone(), Kept::new(stamp, loaded));
            return Ok(key);
        };
        if let Some(public) = public.as_ref() {
            if held.is_none() {
                *held = Some(held_by_agent(settings.agent.as_deref(), notes).await);
            }
            if held.as_ref().is_some_and(|held| held.contains(public)) {
                return Ok(key_of(&file.path, &KeyFile::Public(public.clone())));
            }
        }
        let opened = match declined {
            Some(why) => Err(locked(&file.path, why)),
            None if settings.batch_mode => Err(locked(&file.path, AskError::Batch)),
            None => open(&file.path, passphrases).await,
        };
        let opened = opened.inspect_err(|error| {
            if let IdentityError::Locked { why, .. } = error
                && *why != AskError::Batch
            {
                let mut kept = Kept::new(stamp, KeyFile::Locked(public.clone()));
                kept.declined = Some(why.clone());
                files.insert(file.path.clone(), kept);
            }
        })?;
        let key = key_of(&file.path, &opened);
        files.insert(file.path.clone(), Kept::new(stamp, opened));
        Ok(key)
    }
}

impl Kept {
    fn new(stamp: Stamp, file: KeyFile) -> Self {
        Self {
            stamp,
            file,
            declined: None,
        }
    }
}

/// Asks until the key opens, the asked gives up, or the tries are used up.
async fn open(path: &Path, passphrases: &dyn Passphrases) -> Result<KeyFile, IdentityError> {
    let prompt = format!("Enter passphrase for key '{}': ", path.display());
    for _ in 0..MAX_TRIES {
        let passphrase = passphrases.ask(&prompt).await;
        let passphrase = passphrase.map_err(|why| locked(path, why))?;
        if passphrase.reveal().is_empty() {
            return Err(locked(path, AskError::Declined));
        }
        let file = path.to_owned();
        // bcrypt takes some 100 ms by design.
        let opened = spawn_blocking(move || keyfile::unlock(&file, &passphrase)).await;
        if let Ok(Some(opened)) = opened {
            return Ok(opened);
        }
    }
    Err(IdentityError::WrongPassphrase {
        path: path.to_owned(),
        tries: MAX_TRIES,
    })
}

fn locked(path: &Path, why: AskError) -> IdentityError {
    IdentityError::Locked {
        path: path.to_owned(),
        why,
    }
}

fn key_of(path: &Path, file: &KeyFile) -> Option<FileKey> {
    let (public, private) = match file {
        KeyFile::Open(key) => (key.public_key().key_data().clone(), Some(key.clone())),
        KeyFile::Public(key) => (key.clone(), None),
        KeyFile::Locked(_) => return None,
    };
    Some(FileKey {
        path: path.to_owned(),
        public,
        private,
    })
}

async fn held_by_agent(socket: Option<&Path>, notes: &mut Vec<String>) -> Vec<KeyData> {
    let Some(socket) = socket else {
        return Vec::new();
    };
    let listed = async { Agent::connect(socket).await?.identities().await }.await;
    match listed {
        Ok(identities) => {
            let keys = identities.iter();
            keys.map(|identity| identity.public_key().key_data().clone())
                .collect()
        }
        Err(fault) => {
            notes.push(fault.to_string());
            Vec::new()
        }
    }
}

/// The `CertificateFile`s; where none is named, the `KEY-cert.pub` beside each key, as in ssh.
fn load_certificates(
    settings: &IdentitySettings,
) -> Result<(Vec<UserCertificate>, Vec<String>), IdentityError> {
    let (mut certificates, mut notes) = (Vec::new(), Vec::new());
    for path in &settings.certificates {
        let loaded = certificate::load(path)?;
        certificates.push(loaded.ok_or_else(|| IdentityError::Missing { path: path.clone() })?);
    }
    if !settings.certificates.is_empty() {
        return Ok((certificates, notes));
    }
    for file in &settings.files {
        match certificate::load(&certificate::beside(&file.path)) {
            Ok(loaded) => certificates.extend(loaded),
            Err(error) => notes.push(error.to_string()),
        }
    }
    Ok((certificates, notes))
}

/// Passphrases asked for one key; ssh's default `NumberOfPasswordPrompts`.
const MAX_TRIES: u32 = 3;
