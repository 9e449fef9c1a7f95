use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use russh::keys::PublicKey;

use super::{AuthorizedKeys, AuthorizedKeysError, LineFault, OptionFault};

fn key() -> PublicKey {
    crate::host_key::generate().unwrap().public_key().clone()
}

fn text(key: &PublicKey) -> String {
    key.to_openssh().unwrap()
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn permits(keys: &AuthorizedKeys, key: &PublicKey, from: &str) -> bool {
    keys.permits(key.key_data(), addr(from), SystemTime::now())
}

fn fault(line: &str) -> LineFault {
    let keys = AuthorizedKeys::parse(line.as_bytes());
    assert!(keys.is_empty(), "a refused line lets somebody in: {line}");
    assert_eq!(keys.refused().len(), 1, "{line}");
    keys.refused()[0].fault.clone()
}

#[test]
fn plain_lines_comments_and_blanks() {
    let (one, two, three) = (key(), key(), key());
    let file = format!(
        "# who\n\n  {}\t a comment, with \"quotes\"\r\n{}\n#{}\n",
        text(&one),
        text(&two).replace(' ', "  \t"),
        text(&three)
    );
    let keys = AuthorizedKeys::parse(file.as_bytes());
    assert_eq!((keys.len(), keys.refused().len()), (2, 0));
    assert!(permits(&keys, &one, "10.0.0.1"));
    assert!(permits(&keys, &two, "10.0.0.1"));
    assert!(!permits(&keys, &three, "10.0.0.1"));
    assert!(!keys.has_authorities());
}

#[test]
fn a_comment_in_another_encoding_costs_no_key() {
    let key = key();
    let mut file = text(&key).into_bytes();
    file.extend_from_slice(b" caf\xe9\n");
    assert!(permits(&AuthorizedKeys::parse(&file), &key, "::1"));
}

#[test]
fn options_that_forbid_what_never_happens_are_kept() {
    let key = key();
    let line = format!(
        r#"restrict,command="echo \"a b\", # c",no-pty,Environment="A=B",permitopen="h:1" {}"#,
        text(&key)
    );
    let keys = AuthorizedKeys::parse(line.as_bytes());
    assert_eq!(keys.refused(), []);
    assert!(permits(&keys, &key, "::1"));
}

#[test]
fn from_narrows() {
    let key = key();
    let line = format!(r#"restrict,from="10.0.0.0/8,!10.9.*" {} x"#, text(&key));
    let keys = AuthorizedKeys::parse(line.as_bytes());
    assert!(permits(&keys, &key, "10.1.2.3"));
    assert!(permits(&keys, &key, "::ffff:10.1.2.3"));
    assert!(!permits(&keys, &key, "10.9.2.3"));
    assert!(!permits(&keys, &key, "192.0.2.1"));
}

#[test]
fn expiry_time_ends_a_key_and_the_earliest_counts() {
    let key = key();
    let line = format!(
        r#"expiry-time="20300101Z",expiry-time="202901010000Z" {}"#,
        text(&key)
    );
    let keys = AuthorizedKeys::parse(line.as_bytes());
    let at = |unix| SystemTime::UNIX_EPOCH + Duration::from_secs(unix);
    let permits = |now| keys.permits(key.key_data(), addr("::1"), now);
    assert!(permits(at(1_861_919_999)));
    assert!(!permits(at(1_861_920_000)));
}

#[test]
fn an_authority_does_not_log_in_itself() {
    let key = key();
    let line = format!(r#"cert-authority,principals="a,b" {}"#, text(&key));
    let keys = AuthorizedKeys::parse(line.as_bytes());
    assert!(keys.has_authorities());
    assert!(!permits(&keys, &key, "::1"));
    let found = keys.authority(key.key_data(), addr("::1"), SystemTime::now());
    let principals: Vec<_> = found.map(|options| options.principals.clone()).collect();
    assert_eq!(principals, [Some(vec!["a".to_owned(), "b".to_owned()])]);
}

#[test]
fn a_restriction_that_cannot_be_honoured_refuses_its_line() {
    let key = text(&key());
    for line in [
        format!("verify-required {key}"),
        format!(r#"from="bastion.example.org" {key}"#),
        format!("from {key}"),
        format!("from=10.0.0.1 {key}"),
        format!(r#"from="10.0.0.1" ,no-pty {key}"#),
        format!(r#"from="10.0.0.1",from="10.0.0.2" {key}"#),
        format!(r#"from="10.0.0.1"x {key}"#),
        format!(r#"expiry-time="20300101" {key}"#),
        format!(r#"expiry-time="soon" {key}"#),
        format!(r#"principals="a" {key}"#),
        format!(r#"some-new-restriction="x" {key}"#),
        format!(",no-pty {key}"),
        format!(r#"from="10.0.0.1 {key}"#),
    ] {
        let fault = fault(&line);
        assert!(
            matches!(fault, LineFault::Option(_) | LineFault::NoKey),
            "{line}: {fault:?}"
        );
    }
    assert_eq!(
        fault(&format!("new\x1b-thing {key}")),
        LineFault::Option(OptionFault::NotHonoured {
            option: "new\\u{1b}-thing".to_owned()
        })
    );
}

#[test]
fn what_is_no_usable_key_is_refused_with_its_line() {
    let good = text(&key());
    let file = format!("{good}\nhello\n{good}\n");
    let keys = AuthorizedKeys::parse(file.as_bytes());
    assert_eq!(keys.len(), 2);
    assert_eq!(keys.refused()[0].line, 2);
    assert!(matches!(fault("ssh-ed25519 AAAA"), LineFault::NoKey));
    assert!(matches!(
        fault(&format!("{} {}", "x".repeat(20_000), good)),
        LineFault::TooLong { .. }
    ));
    let weak = concat!(
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCSYJhszkZhy74eebcLSjYTgonizBLt2GDtwnlWsNVyfPgjI+I4",
        "77t41xWI0/vGJIcNnsOe6m3GBfIfzdfBLa1npuBLhe1HnfQ6ejEufHxutimMdd4CJVsorsQ+Apeqp4rK1pJ3iz7/",
        "Klatgak/R7gfn03JeKwBqWAqWZ8bND7BNw==",
    );
    assert_eq!(fault(weak), LineFault::WeakRsa { came: 1024 });
    assert_eq!(
        fault(&format!("no-pty {weak} somebody")),
        LineFault::WeakRsa { came: 1024 }
    );
}

#[test]
fn a_file_others_can_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authorized_keys");
    std::fs::write(&path, text(&key())).unwrap();
    let mode = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        AuthorizedKeys::load(&path)
    };
    assert_eq!(mode(0o644).unwrap().len(), 1);
    assert!(matches!(
        mode(0o664),
        Err(AuthorizedKeysError::Permissions { mode: 0o664, .. })
    ));
    assert!(matches!(
        AuthorizedKeys::load(folder.path()),
        Err(AuthorizedKeysError::NotAFile { .. })
    ));
    mode(0o600).unwrap();
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert!(matches!(
        AuthorizedKeys::load(&path),
        Err(AuthorizedKeysError::TooLarge { .. })
    ));
}
