use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Certificate, PrivateKey};

use super::{CertificateFault, check};
use crate::authorized_keys::AuthorizedKeys;

const NOW: u64 = 1_800_000_000;

struct Authority(PrivateKey);

impl Authority {
    fn new() -> Self {
        Self(crate::host_key::generate().unwrap())
    }

    fn sign(&self, change: impl FnOnce(&mut Builder)) -> Certificate {
        let user = crate::host_key::generate().unwrap();
        let mut builder = Builder::new([7; 16], user.public_key(), NOW - 60, NOW + 60).unwrap();
        builder.key_id("somebody").unwrap();
        change(&mut builder);
        builder.sign(&self.0).unwrap()
    }

    fn line(&self, options: &str) -> AuthorizedKeys {
        let key = self.0.public_key().to_openssh().unwrap();
        AuthorizedKeys::parse(format!("{options} {key}").as_bytes())
    }
}

fn alice(builder: &mut Builder) {
    builder.cert_type(CertType::User).unwrap();
    builder.valid_principal("alice").unwrap();
}

fn from(
    from: &str,
    certificate: &Certificate,
    keys: &AuthorizedKeys,
) -> Result<(), CertificateFault> {
    let from: IpAddr = from.parse().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    check(certificate, keys, "alice", from, now)
}

fn result(certificate: &Certificate, keys: &AuthorizedKeys) -> Result<(), CertificateFault> {
    from("10.0.0.1", certificate, keys)
}

#[test]
fn a_certificate_of_a_trusted_authority_for_this_user_lets_in() {
    let authority = Authority::new();
    let keys = authority.line("cert-authority,restrict");
    assert_eq!(result(&authority.sign(alice), &keys), Ok(()));
}

#[test]
fn another_authority_or_a_plain_line_of_the_same_key_does_not() {
    let (authority, other) = (Authority::new(), Authority::new());
    let unknown = Err(CertificateFault::UnknownAuthority);
    let signed = authority.sign(alice);
    assert_eq!(result(&signed, &other.line("cert-authority")), unknown);
    assert_eq!(result(&signed, &authority.line("no-pty")), unknown);
    let narrowed = authority.line(r#"cert-authority,from="192.0.2.0/24""#);
    assert_eq!(result(&signed, &narrowed), unknown);
    assert_eq!(from("192.0.2.9", &signed, &narrowed), Ok(()));
    let expired = authority.line(r#"cert-authority,expiry-time="20200101Z""#);
    assert_eq!(result(&signed, &expired), unknown);
}

#[test]
fn principals_are_the_user_or_those_of_the_line() {
    let authority = Authority::new();
    let keys = authority.line("cert-authority");
    let refused = Err(CertificateFault::Principal);
    let bob = authority.sign(|builder| {
        builder.cert_type(CertType::User).unwrap();
        builder.valid_principal("bob").unwrap();
    });
    assert_eq!(result(&bob, &keys), refused);
    let listed = authority.line(r#"cert-authority,principals="carol,bob""#);
    assert_eq!(result(&bob, &listed), Ok(()));
    assert_eq!(result(&authority.sign(alice), &listed), refused);
    let golden = authority.sign(|builder| {
        builder.cert_type(CertType::User).unwrap();
        builder.all_principals_valid().unwrap();
    });
    assert_eq!(result(&golden, &keys), refused);
}

#[test]
fn a_host_certificate_lets_nobody_in() {
    let authority = Authority::new();
    let host = authority.sign(|builder| {
        builder.cert_type(CertType::Host).unwrap();
        builder.valid_principal("alice").unwrap();
    });
    assert_eq!(
        result(&host, &authority.line("cert-authority")),
        Err(CertificateFault::HostCertificate)
    );
}

#[test]
fn critical_options_are_honoured_or_refuse() {
    let authority = Authority::new();
    let keys = authority.line("cert-authority");
    let with = |name: &str, value: &str| {
        authority.sign(|builder| {
            alice(builder);
            builder.critical_option(name, value).unwrap();
        })
    };
    assert_eq!(result(&with("force-command", "/bin/true"), &keys), Ok(()));
    let near = with("source-address", "192.0.2.0/24,10.0.0.0/8");
    assert_eq!(result(&near, &keys), Ok(()));
    assert_eq!(
        from("172.16.0.1", &near, &keys),
        Err(CertificateFault::SourceAddress)
    );
    let refused = Err(CertificateFault::CriticalOption);
    assert_eq!(result(&with("source-address", "10.*"), &keys), refused);
    assert_eq!(result(&with("verify-required", ""), &keys), refused);
    assert_eq!(result(&with("else@example.org", "x"), &keys), refused);
}

#[test]
fn it_is_valid_in_its_time_only() {
    let authority = Authority::new();
    let keys = authority.line("cert-authority");
    let certificate = authority.sign(alice);
    let at = |unix| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(unix);
        check(&certificate, &keys, "alice", "::1".parse().unwrap(), now)
    };
    let refused = Err(CertificateFault::NotNow);
    assert_eq!(at(NOW - 61), refused);
    assert_eq!(at(NOW - 60), Ok(()));
    assert_eq!(at(NOW + 59), Ok(()));
    assert_eq!(at(NOW + 60), refused);
}

#[test]
fn a_forged_signature_is_refused() {
    let authority = Authority::new();
    let mut bytes = authority.sign(alice).to_bytes().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    assert_eq!(
        result(&forged, &authority.line("cert-authority")),
        Err(CertificateFault::Signature)
    );
}
