//! Loading: what is read, what is asked, what is refused. Logging in is tested in `login`, beside real sshd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::keys::agent::AgentIdentity;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};
use tempfile::TempDir;

use super::offer::{self, MAX_OFFERS, Signer};
use super::passphrase::Asking;
use super::{AskError, Identities, IdentityError, Keyring, Passphrase, Passphrases};
use crate::hostkey::testbed::Testbed;
use crate::settings::{IdentityFile, IdentitySettings};

/// Settings that name these files and no agent.
pub(super) fn settings(files: &[PathBuf]) -> IdentitySettings {
    let files = files.iter().map(|path| IdentityFile {
        path: path.clone(),
        explicit: true,
    });
    IdentitySettings {
        files: files.collect(),
        certificates: Vec::new(),
        identities_only: false,
        agent: None,
        batch_mode: false,
        pubkey: true,
        accepted_algorithms: None,
    }
}

/// Answers in order, then not at all; counts.
pub(super) struct Script {
    answers: Vec<&'static str>,
    asked: AtomicUsize,
}

impl Script {
    pub(super) fn new(answers: &[&'static str]) -> Self {
        Self {
            answers: answers.to_vec(),
            asked: AtomicUsize::new(0),
        }
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Passphrases for Script {
    fn ask<'a>(&'a self, prompt: &'a str) -> Asking<'a> {
        assert!(prompt.starts_with("Enter passphrase for key '"), "{prompt}");
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(turn);
        let answer = answer.map(|text| Passphrase::new((*text).to_owned()));
        Box::pin(async move { answer.ok_or(AskError::NoWay) })
    }
}

fn random() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
}

/// A folder with key files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn key(&self, name: &str, key: &PrivateKey) -> PathBuf {
        self.write(name, &key.to_openssh(LineEnding::LF).unwrap(), 0o600)
    }
}

async fn load(settings: &IdentitySettings) -> Result<Identities, IdentityError> {
    Identities::load(settings, &Script::new(&[])).await
}

#[tokio::test]
async fn a_private_key_that_others_can_read_is_an_error_with_its_mend() {
    let folder = Folder::new();
    let path = folder.key("id", &random());
    for (mode, is_good) in [(0o600, true), (0o400, true), (0o644, false), (0o640, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for explicit in [true, false] {
            let mut settings = settings(std::slice::from_ref(&path));
            settings.files[0].explicit = explicit;
            let loaded = load(&settings).await;
            assert_eq!(loaded.is_ok(), is_good, "{mode:o}: {loaded:?}");
            if let Err(error) = loaded {
                let text = error.to_string();
                assert!(
                    text.contains(&format!("chmod 600 '{}'", path.display())),
                    "{text}"
                );
                assert!(text.contains(&format!("mode {mode:04o}")), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_an_error_only_where_it_was_named() {
    let folder = Folder::new();
    let mut settings = settings(&[folder.path("absent")]);
    let loaded = load(&settings).await;
    assert!(
        matches!(loaded, Err(IdentityError::Missing { .. })),
        "{loaded:?}"
    );
    settings.files[0].explicit = false;
    let loaded = load(&settings).await.unwrap();
    assert!(loaded.is_empty() && loaded.notes().is_empty(), "{loaded:?}");
    settings.certificates = vec![folder.path("absent-cert.pub")];
    let loaded = load(&settings).await;
    assert!(
        matches!(loaded, Err(IdentityError::Missing { .. })),
        "{loaded:?}"
    );
}

#[tokio::test]
async fn a_broken_file_is_an_error_where_named_and_a_note_where_not() {
    let folder = Folder::new();
    let broken = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    for text in [broken, "", "rubbish", "\u{1b}[31m"] {
        let mut settings = settings(&[folder.write("id", text, 0o600)]);
        let loaded = load(&settings).await;
        assert!(
            matches!(loaded, Err(IdentityError::Malformed { .. })),
            "{loaded:?}"
        );
        settings.files[0].explicit = false;
        let loaded = load(&settings).await.unwrap();
        assert_eq!(loaded.notes().len(), 1, "{loaded:?}");
    }
    let loaded = load(&settings(&[folder.0.path().to_owned()])).await;
    assert!(
        matches!(loaded, Err(IdentityError::Unreadable { .. })),
        "{loaded:?}"
    );
}

#[tokio::test]
async fn a_passphrase_is_asked_for_at_most_three_times() {
    let folder = Folder::new();
    let locked = random().encrypt(&mut safe_rng(), "right").unwrap();
    let settings = settings(&[folder.key("id", &locked)]);
    let script = Script::new(&["wrong", "also", "right"]);
    let loaded = Identities::load(&settings, &script).await.unwrap();
    assert!(loaded.files[0].private.is_some());
    let script = Script::new(&["wrong", "also", "still", "right"]);
    let loaded = Identities::load(&settings, &script).await;
    assert!(
        matches!(loaded, Err(IdentityError::WrongPassphrase { tries: 3, .. })),
        "{loaded:?}"
    );
    assert_eq!(script.asked(), 3);
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_locked_key_is_an_error_or_a_note() {
    let folder = Folder::new();
    let locked = random().encrypt(&mut safe_rng(), "right").unwrap();
    let mut settings = settings(&[folder.key("id", &locked)]);
    let none = || IdentityError::Locked {
        path: settings.files[0].path.clone(),
        why: AskError::NoWay,
    };
    assert_eq!(
        load(&settings).await.unwrap_err().to_string(),
        none().to_string()
    );
    settings.batch_mode = true;
    let script = Script::new(&["right"]);
    let loaded = Identities::load(&settings, &script).await;
    assert!(
        matches!(
            &loaded,
            Err(IdentityError::Locked {
                why: AskError::Batch,
                ..
            })
        ),
        "{loaded:?}"
    );
    assert_eq!(script.asked(), 0);
    settings.files[0].explicit = false;
    assert_eq!(load(&settings).await.unwrap().notes().len(), 1);
}

#[tokio::test]
async fn a_keyring_reads_and_asks_once_until_the_file_changes() {
    let folder = Folder::new();
    let locked = random().encrypt(&mut safe_rng(), "right").unwrap();
    let settings = settings(&[folder.key("id", &locked)]);
    let keyring = Keyring::default();
    let script = Script::new(&["right", "right"]);
    let first = keyring.load(&settings, &script).await.unwrap();
    let second = keyring.load(&settings, &script).await.unwrap();
    assert_eq!(script.asked(), 1);
    let shared = |a: &Identities, b: &Identities| {
        let private = |of: &Identities| of.files[0].private.clone().unwrap();
        std::sync::Arc::ptr_eq(&private(a), &private(b))
    };
    assert!(shared(&first, &second));
    fs::remove_file(folder.path("id")).unwrap();
    folder.key("id", &random().encrypt(&mut safe_rng(), "right").unwrap());
    let third = keyring.load(&settings, &script).await.unwrap();
    assert_eq!(script.asked(), 2);
    assert!(!shared(&first, &third));
}

#[tokio::test]
async fn a_refused_question_is_not_put_again() {
    let folder = Folder::new();
    let locked = random().encrypt(&mut safe_rng(), "right").unwrap();
    let mut settings = settings(&[folder.key("id", &locked)]);
    settings.files[0].explicit = false;
    let keyring = Keyring::default();
    let script = Script::new(&[""]);
    for _ in 0..3 {
        let loaded = keyring.load(&settings, &script).await.unwrap();
        assert_eq!(loaded.notes().len(), 1);
    }
    assert_eq!(script.asked(), 1);
}

#[tokio::test]
async fn every_form_that_ssh_keygen_writes_is_read() {
    let Some(bed) = Testbed::new() else { return };
    for kind in ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"] {
        for form in ["RFC4716", "PEM", "PKCS8"] {
            for passphrase in ["", "secret"] {
                if kind == "ed25519" && form != "RFC4716" {
                    continue;
                }
                let name = format!("{kind}-{form}-{passphrase}");
                let (kind, bits) = kind.split_once('-').unwrap_or((kind, "256"));
                bed.keygen(&[
                    "-q", "-t", kind, "-b", bits, "-m", form, "-N", passphrase, "-f", &name,
                ]);
                let settings = settings(&[bed.path(&name)]);
                let loaded = Identities::load(&settings, &Script::new(&["secret"])).await;
                if kind == "ecdsa" && form == "PEM" && !passphrase.is_empty() {
                    let text = loaded.unwrap_err().to_string();
                    assert!(text.contains("ssh-keygen -p -f"), "{name}: {text}");
                    continue;
                }
                let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
                let private = loaded.files[0].private.as_ref().unwrap();
                let public = PublicKey::from_openssh(&bed.public(&name)).unwrap();
                assert_eq!(private.public_key().key_data(), public.key_data(), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn the_certificate_beside_a_key_is_found_unless_others_are_named() {
    let Some(bed) = Testbed::new() else { return };
    let id = bed.key("id", "ed25519");
    bed.key("ca", "ed25519");
    bed.keygen(&["-q", "-s", "ca", "-I", "me", "-n", "root", "id.pub"]);
    let mut settings = settings(&[id]);
    assert_eq!(load(&settings).await.unwrap().certificates.len(), 1);
    fs::rename(bed.path("id-cert.pub"), bed.path("elsewhere")).unwrap();
    assert_eq!(load(&settings).await.unwrap().certificates.len(), 0);
    settings.certificates = vec![bed.path("elsewhere")];
    assert_eq!(load(&settings).await.unwrap().certificates.len(), 1);
    bed.keygen(&["-q", "-s", "ca", "-I", "me", "-h", "-n", "host", "id.pub"]);
    settings.certificates = vec![bed.path("id-cert.pub")];
    let loaded = load(&settings).await;
    assert!(
        matches!(loaded, Err(IdentityError::NotCertificate { .. })),
        "{loaded:?}"
    );
}

#[tokio::test]
async fn key_material_is_in_no_debug_text() {
    let folder = Folder::new();
    let key = random();
    let loaded = load(&settings(&[folder.key("id", &key)])).await.unwrap();
    let text = format!("{loaded:?} {:?}", loaded.files[0]);
    let secret = key.key_data().ed25519().unwrap().private.to_bytes();
    assert!(!text.contains(&format!("{secret:?}")));
    assert!(text.contains("SHA256:"), "{text}");
    assert!(!text.contains("private"), "{text}");
}

fn held(key: &PrivateKey) -> AgentIdentity {
    AgentIdentity::PublicKey {
        key: key.public_key().clone(),
        comment: String::new(),
    }
}

#[tokio::test]
async fn keys_are_shown_in_opensshs_order() {
    let folder = Folder::new();
    let keys: Vec<_> = (0..4).map(|_| random()).collect();
    let files = [folder.key("zero", &keys[0]), folder.key("one", &keys[1])];
    let mut settings = settings(&files);
    let mut identities = load(&settings).await.unwrap();
    let agent = [held(&keys[3]), held(&keys[1]), held(&keys[2])];
    let order = |identities: &Identities| {
        let offers = offer::order(identities, &agent, None);
        let place = |offer: &offer::Offer| {
            let is_it = |key: &PrivateKey| key.public_key().key_data() == offer.shown.key();
            (
                keys.iter().position(is_it).unwrap(),
                matches!(offer.signer, Signer::Agent(_)),
            )
        };
        offers.iter().map(place).collect::<Vec<_>>()
    };
    // In a file and in the agent, then the agent's others, then files alone.
    assert_eq!(
        order(&identities),
        [(1, true), (3, true), (2, true), (0, false)]
    );
    settings.identities_only = true;
    identities = load(&settings).await.unwrap();
    assert_eq!(order(&identities), [(1, true), (0, false)]);
}

#[tokio::test]
async fn no_more_than_a_bound_is_shown() {
    let identities = load(&settings(&[])).await.unwrap();
    let agent: Vec<_> = (0..MAX_OFFERS + 5).map(|_| held(&random())).collect();
    assert_eq!(offer::order(&identities, &agent, None).len(), MAX_OFFERS);
    assert_eq!(
        offer::order(&identities, &agent, Some(&["rsa-sha2-512".to_owned()])).len(),
        0
    );
}
