//! The rules, one by one, with keys made here; beside real ssh they are tested in `differential`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::public::{KeyData, RsaPublicKey};
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, Mpint, PrivateKey, PublicKey};
use russh::keys::{Certificate, PublicKeyOrCertificate};
use tempfile::TempDir;

use super::differential::word;
use super::{CertificateFault, HostKeyError, MAX_NOTES, Trust, Verifier};
use crate::settings::{HostKeySettings, Strict};

mod record;

const P256: Algorithm = Algorithm::Ecdsa {
    curve: EcdsaCurve::NistP256,
};

/// Settings for `host` that name no file.
pub(super) fn settings(host: &str) -> HostKeySettings {
    HostKeySettings {
        name: host.to_owned(),
        port: Some(22),
        also: Vec::new(),
        user_files: Vec::new(),
        global_files: Vec::new(),
        strict: Strict::Yes,
        hash_new: false,
        algorithms: None,
        ca_algorithms: None,
        revoked: None,
    }
}

/// A folder with one `known_hosts`, and settings that name it.
struct Files {
    folder: TempDir,
    settings: HostKeySettings,
}

impl Files {
    fn new(known: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, known).unwrap();
        let mut settings = settings("host");
        settings.user_files = vec![path];
        Self { folder, settings }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn known(&self) -> String {
        fs::read_to_string(&self.settings.user_files[0]).unwrap()
    }

    fn load(&self) -> Verifier {
        Verifier::load(&self.settings).unwrap()
    }

    fn check(&self, key: &PrivateKey) -> Result<Trust, HostKeyError> {
        self.load().check(&shown(key), now())
    }

    fn check_certificate(&self, certificate: &Certificate) -> Result<Trust, HostKeyError> {
        self.load().check(&certificate.clone().into(), now())
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

const NOW: u64 = 2_000_000_000;

fn key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap()
}

fn ed() -> PrivateKey {
    key(Algorithm::Ed25519)
}

fn shown(key: &PrivateKey) -> PublicKeyOrCertificate {
    key.public_key().clone().into()
}

fn text(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

/// A host certificate that holds, but for what `change` does to it.
fn certificate(
    key: &PrivateKey,
    authority: &PrivateKey,
    change: impl FnOnce(&mut Builder),
) -> Certificate {
    made(key, authority, CertType::Host, (NOW - 10, NOW + 10), change)
}

fn made(
    key: &PrivateKey,
    authority: &PrivateKey,
    kind: CertType,
    (from, until): (u64, u64),
    change: impl FnOnce(&mut Builder),
) -> Certificate {
    let mut builder =
        Builder::new_with_random_nonce(&mut safe_rng(), key.public_key(), from, until).unwrap();
    builder.cert_type(kind).unwrap();
    change(&mut builder);
    builder.sign(authority).unwrap()
}

fn named(name: &str) -> impl FnOnce(&mut Builder) {
    let name = name.to_owned();
    move |builder| {
        builder.valid_principal(name).unwrap();
    }
}

#[test]
fn the_refusal_of_a_changed_key_names_both_and_the_mend() {
    let (old, new) = (ed(), ed());
    let mut files = Files::new(&format!("# one\n[host]:2222 {}\n", text(&old)));
    files.settings.port = Some(2222);
    let error = files.check(&new).unwrap_err().to_string();
    let path = files.path("known_hosts");
    for part in [
        old.fingerprint(russh::keys::HashAlg::Sha256).to_string(),
        new.fingerprint(russh::keys::HashAlg::Sha256).to_string(),
        format!("{}:2", path.display()),
        format!("ssh-keygen -f '{}' -R '[host]:2222'", path.display()),
    ] {
        assert!(error.contains(&part), "{part} in {error}");
    }
    assert!(!error.contains('\n'));
}

#[test]
fn the_refusal_of_an_unknown_key_tells_how_to_add_it() {
    let mut files = Files::new("");
    files.settings.port = Some(2222);
    let error = files.check(&ed()).unwrap_err().to_string();
    assert!(error.contains("ssh-keyscan -p 2222 'host' >> '"), "{error}");
}

#[test]
fn a_key_of_another_type_is_told_apart_from_a_changed_one() {
    let known = key(P256);
    let files = Files::new(&format!("host {}\n", text(&known)));
    assert_eq!(word(&files.check(&ed())), "other type");
    assert_eq!(word(&files.check(&key(P256))), "changed");
}

#[test]
fn revoked_beats_all_even_without_strictness_and_without_the_port() {
    let bad = ed();
    for marker in ["host", "[host]:2222", "*"] {
        for strict in [Strict::Yes, Strict::AcceptNew, Strict::No] {
            let mut files = Files::new(&format!(
                "[host]:2222 {0}\n@revoked\t{marker} {0}\n",
                text(&bad)
            ));
            files.settings.port = Some(2222);
            files.settings.strict = strict;
            assert_eq!(word(&files.check(&bad)), "revoked", "{marker} {strict:?}");
        }
    }
}

#[test]
fn revoked_in_a_global_file_beats_a_user_file() {
    let bad = ed();
    let mut files = Files::new(&format!("host {}\n", text(&bad)));
    let global = files.path("global");
    fs::write(&global, format!("@revoked * {}\n", text(&bad))).unwrap();
    files.settings.global_files = vec![global];
    assert_eq!(word(&files.check(&bad)), "revoked");
}

#[test]
fn a_list_of_revoked_keys_is_heeded_for_keys_and_authorities() {
    let (bad, authority) = (ed(), ed());
    let mut files = Files::new(&format!(
        "host {0}\n@cert-authority * {1}\n",
        text(&bad),
        text(&authority)
    ));
    let list = files.path("revoked");
    files.settings.revoked = Some(list.clone());
    fs::write(&list, format!("# stolen\n\n{}\n", text(&bad))).unwrap();
    assert_eq!(word(&files.check(&bad)), "revoked");
    let good = certificate(&ed(), &authority, named("host"));
    assert_eq!(word(&files.check_certificate(&good)), "certified");
    fs::write(&list, text(&authority)).unwrap();
    assert_eq!(word(&files.check_certificate(&good)), "revoked");
    let listed = certificate(&bad, &authority, named("host"))
        .to_openssh()
        .unwrap();
    fs::write(&list, listed).unwrap();
    assert_eq!(word(&files.check(&bad)), "revoked");
}

#[test]
fn a_list_of_revoked_keys_that_cannot_be_read_whole_is_an_error() {
    let mut files = Files::new("");
    let list = files.path("revoked");
    files.settings.revoked = Some(list.clone());
    let load = || Verifier::load(&files.settings).unwrap_err();
    assert!(matches!(load(), HostKeyError::Unreadable { .. }));
    fs::write(&list, format!("{}\nrubbish\n", text(&ed()))).unwrap();
    let error = load();
    assert!(
        matches!(&error, HostKeyError::RevokedLine { place } if place.line() == 2),
        "{error}"
    );
    fs::write(&list, b"SSHKRL\n\0\0\0\0\x01").unwrap();
    assert!(matches!(load(), HostKeyError::Krl { .. }));
}

type IsExpected = fn(&CertificateFault) -> bool;

#[test]
fn a_certificate_holds_or_tells_why_not() {
    use CertificateFault as Fault;
    let (host, authority) = (ed(), ed());
    let files = Files::new(&format!("@cert-authority host {}\n", text(&authority)));
    for name in ["host", "*", "h?st"] {
        let good = certificate(&host, &authority, named(name));
        assert_eq!(word(&files.check_certificate(&good)), "certified", "{name}");
    }
    let faults: [(Certificate, IsExpected); 7] = [
        (
            certificate(&host, &authority, named("other\x1b[31m")),
            |f| matches!(f, Fault::OtherPrincipal { listed, .. } if listed == "other\\x1b[31m"),
        ),
        (
            certificate(&host, &authority, |b| {
                b.all_principals_valid().unwrap();
            }),
            |f| *f == Fault::NoPrincipal,
        ),
        (
            made(
                &host,
                &authority,
                CertType::Host,
                (NOW + 1, NOW + 9),
                named("host"),
            ),
            |f| *f == Fault::NotYetValid { from: NOW + 1 },
        ),
        (
            made(
                &host,
                &authority,
                CertType::Host,
                (NOW - 9, NOW),
                named("host"),
            ),
            |f| *f == Fault::Expired { until: NOW },
        ),
        (
            made(
                &host,
                &authority,
                CertType::User,
                (0, u64::MAX),
                named("host"),
            ),
            |f| *f == Fault::NotHost,
        ),
        (
            certificate(&host, &authority, |b| {
                b.valid_principal("host").unwrap();
                b.critical_option("force-command", "true").unwrap();
            }),
            |f| matches!(f, Fault::CriticalOption { option } if option == "force-command"),
        ),
        (forged(&host, &authority), |f| *f == Fault::Signature),
    ];
    for (certificate, is_expected) in faults {
        match files.check_certificate(&certificate) {
            Err(HostKeyError::Unknown {
                certificate: Some(fault),
                ..
            }) => assert!(is_expected(&fault), "{fault:?}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Says it is signed by `authority`, and is not.
fn forged(host: &PrivateKey, authority: &PrivateKey) -> Certificate {
    let honest = certificate(host, authority, named("host"));
    let mut bytes = honest.to_bytes().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    Certificate::from_bytes(&bytes).unwrap()
}

#[test]
fn the_algorithms_an_authority_may_sign_with_are_heeded() {
    let (host, authority) = (ed(), ed());
    let mut files = Files::new(&format!("@cert-authority host {}\n", text(&authority)));
    let good = certificate(&host, &authority, named("host"));
    files.settings.ca_algorithms = Some(vec!["rsa-sha2-512".to_owned()]);
    let error = files.check_certificate(&good).unwrap_err().to_string();
    assert!(error.contains("CASignatureAlgorithms"), "{error}");
    files.settings.ca_algorithms = Some(vec!["ssh-ed25519".to_owned()]);
    assert_eq!(word(&files.check_certificate(&good)), "certified");
}

#[test]
fn a_certificate_that_does_not_hold_falls_back_to_its_key() {
    let (host, authority) = (ed(), ed());
    let files = Files::new(&format!(
        "@cert-authority host {}\nhost {}\n",
        text(&authority),
        text(&host)
    ));
    let wrong = certificate(&host, &authority, named("other"));
    assert_eq!(word(&files.check_certificate(&wrong)), "known");
}

#[test]
fn the_first_name_that_is_found_decides() {
    let (right, wrong) = (ed(), ed());
    let mut files = Files::new(&format!(
        "[10.0.0.1]:2222 {0}\nnode {1}\n[node]:2222 {0}\n",
        text(&right),
        text(&wrong)
    ));
    files.settings.name = "10.0.0.9".to_owned();
    assert_eq!(word(&files.check(&right)), "unknown");
    files.settings.also = vec![("node".to_owned(), Some(2222))];
    assert_eq!(word(&files.check(&right)), "known");
    files.settings.also = vec![("node".to_owned(), Some(22))];
    assert_eq!(word(&files.check(&right)), "changed");
    files.settings.name = "10.0.0.1".to_owned();
    files.settings.port = Some(2222);
    assert_eq!(word(&files.check(&right)), "known");
}

#[test]
fn with_no_strictness_a_changed_key_is_taken_with_a_warning() {
    let mut files = Files::new(&format!("host {}\n", text(&ed())));
    files.settings.strict = Strict::No;
    let trust = files.check(&ed()).unwrap();
    assert_eq!(word(&Ok(trust.clone())), "changed, taken");
    assert!(trust.warning().is_some());
}

#[test]
fn short_rsa_keys_are_refused() {
    for (bits, expected) in [
        (768, "short"),
        (1016, "short"),
        (1024, "known"),
        (2048, "known"),
    ] {
        let modulus = Mpint::from_positive_bytes(&vec![0xff; bits / 8]);
        let exponent = Mpint::from_positive_bytes(&[1, 0, 1]);
        let key = PublicKey::from(KeyData::Rsa(RsaPublicKey::new(exponent, modulus).unwrap()));
        let files = Files::new(&format!("host {}\n", key.to_openssh().unwrap()));
        let verdict = files.load().check(&key.into(), now());
        assert_eq!(word(&verdict), expected, "{bits}");
    }
}

#[test]
fn a_type_that_was_not_offered_is_refused() {
    let known = ed();
    let mut files = Files::new(&format!("host {}\n", text(&known)));
    files.settings.algorithms = Some(vec!["ecdsa-sha2-nistp256".to_owned()]);
    assert_eq!(word(&files.check(&known)), "not offered");
    files.settings.algorithms = None;
    // No authority is known, so no certificate was offered.
    let unasked = certificate(&known, &ed(), named("host"));
    assert_eq!(word(&files.check_certificate(&unasked)), "not offered");
}

fn names(algorithms: &[Algorithm]) -> Vec<&str> {
    algorithms.iter().map(Algorithm::as_str).collect()
}

#[test]
fn types_that_are_known_are_offered_first() {
    let all = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    let (plain, certificates) = Files::new("").load().preference();
    assert_eq!(names(&plain), all);
    assert_eq!(certificates, []);

    let rsa = KeyData::Rsa(
        RsaPublicKey::new(
            Mpint::from_positive_bytes(&[1, 0, 1]),
            Mpint::from_positive_bytes(&[0xff; 256]),
        )
        .unwrap(),
    );
    let rsa = PublicKey::from(rsa).to_openssh().unwrap();
    let (plain, _) = Files::new(&format!("host {rsa}\n@revoked * {}\n", text(&ed())))
        .load()
        .preference();
    assert_eq!(
        names(&plain)[..3],
        ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
    );

    let known = format!("@cert-authority *,!host {0}\nhost {0}\n", text(&ed()));
    assert_eq!(Files::new(&known).load().preference().1, []);
    let known = format!("@cert-authority * {}\n", text(&ed()));
    assert_eq!(names(&Files::new(&known).load().preference().1), all);
}

#[test]
fn the_owners_list_is_taken_in_the_owners_order() {
    let mut files = Files::new(&format!("host {}\n", text(&ed())));
    let listed = "ssh-rsa,rsa-sha2-512-cert-v01@openssh.com,nonsense,ssh-dss,ssh-ed25519";
    files.settings.algorithms = Some(listed.split(',').map(str::to_owned).collect());
    let (plain, certificates) = files.load().preference();
    assert_eq!(names(&plain), ["ssh-rsa", "ssh-ed25519"]);
    assert_eq!(names(&certificates), ["rsa-sha2-512"]);
    files.settings.algorithms = Some(vec!["ssh-dss".to_owned()]);
    let error = Verifier::load(&files.settings).unwrap_err();
    assert!(matches!(error, HostKeyError::NoAlgorithm { .. }), "{error}");
}

#[test]
fn a_missing_file_is_empty_and_an_unreadable_one_an_error() {
    let mut files = Files::new("");
    files.settings.user_files = vec![files.path("absent"), PathBuf::from("/dev/null")];
    assert_eq!(word(&files.check(&ed())), "unknown");
    files.settings.user_files = vec![files.folder.path().to_owned()];
    let error = Verifier::load(&files.settings).unwrap_err();
    assert!(matches!(error, HostKeyError::Unreadable { .. }), "{error}");
    let fifo = files.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    files.settings.user_files = vec![fifo];
    let error = Verifier::load(&files.settings).unwrap_err();
    assert!(matches!(error, HostKeyError::Unreadable { .. }), "{error}");
}

#[test]
fn a_file_that_is_too_large_is_an_error() {
    let mut files = Files::new("");
    let large = files.path("large");
    let file = fs::File::create(&large).unwrap();
    file.set_len(super::MAX_FILE + 1).unwrap();
    files.settings.user_files = vec![large];
    let error = Verifier::load(&files.settings).unwrap_err();
    assert!(matches!(error, HostKeyError::TooLarge { .. }), "{error}");
}

#[test]
fn bad_lines_are_left_out_with_a_note() {
    let good = ed();
    let mut known = String::from("other rubbish\nhost\nhost 1024 35 12345\n|1|x|y z\n@no host x\n");
    known += &[
        "@revoked @cert-authority host ",
        &text(&good),
        "\nhost ",
        &text(&good),
    ]
    .concat();
    let files = Files::new(&known);
    let verifier = files.load();
    let lines: Vec<_> = verifier
        .notes()
        .iter()
        .map(|note| note.place().line())
        .collect();
    assert_eq!(lines, [2, 3, 4, 5, 6]);
    assert_eq!(word(&files.check(&good)), "known");
    let many = Files::new(&"host x\n".repeat(MAX_NOTES * 2));
    assert_eq!(many.load().notes().len(), MAX_NOTES);
}

/// ssh-key follows a certificate signed by a certificate signed by … by recursion, as deep as the text is long.
#[test]
fn a_key_longer_than_any_is_not_looked_into() {
    for (length, why) in [
        (8192, "malformed key, or of an unknown type"),
        (8193, "the key is too long"),
    ] {
        let files = Files::new(&format!(
            "host ssh-ed25519-cert-v01@openssh.com {}\n",
            "A".repeat(length)
        ));
        assert_eq!(files.load().notes()[0].why(), why, "{length}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let files = Files::new("");
        fs::write(&files.settings.user_files[0], &bytes).unwrap();
        prop_assert!(Verifier::load(&files.settings).is_ok());
    }

    #[test]
    fn lines_nearly_right_never_panic(
        marker in "(@revoked|@cert-authority|@|)[ \t]{0,2}",
        names in r"[!|*?,\[\]:a-z0-9=/+]{0,40}",
        kind in "(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256|ssh-ed25519-cert-v01@openssh.com|x)?",
        key in "[ \t]{0,2}[A-Za-z0-9+/=]{0,120}",
    ) {
        let files = Files::new(&format!("{marker}{names} {kind}{key}\nhost,{names} {kind}{key}\n"));
        let verifier = Verifier::load(&files.settings);
        prop_assert!(verifier.is_ok());
    }

    #[test]
    fn a_pattern_without_wildcards_matches_itself_alone(a in "[a-z.]{1,8}", b in "[a-z.]{1,8}") {
        prop_assert_eq!(super::name::like(a.as_bytes(), b.as_bytes()), a == b);
    }
}
