//! New keys and where they are written down.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Files, Strict, Trust, ed, now, shown, text, word};

#[test]
fn a_new_key_is_written_down_once_and_then_known() {
    let (first, second) = (ed(), ed());
    let mut files = Files::new("# no newline at the end");
    files.settings.strict = Strict::AcceptNew;
    files.settings.name = "Host".to_owned();
    // Both were loaded while the file knew nothing, as two lines of one node are.
    let (one, two) = (files.load(), files.load());
    assert_eq!(word(&one.check(&shown(&first), now())), "added");
    assert_eq!(word(&two.check(&shown(&first), now())), "known");
    assert_eq!(word(&two.check(&shown(&second), now())), "changed");
    assert_eq!(
        files.known(),
        format!("# no newline at the end\nhost {}\n", text(&first))
    );
    assert_eq!(word(&files.check(&first)), "known");
}

#[test]
fn a_new_key_is_written_with_its_port_and_hashed_where_told() {
    let new = ed();
    let mut files = Files::new("");
    files.settings.strict = Strict::AcceptNew;
    files.settings.hash_new = true;
    files.settings.port = Some(2222);
    assert_eq!(word(&files.check(&new)), "added");
    assert!(files.known().starts_with("|1|"), "{}", files.known());
    assert!(!files.known().contains("host"));
    assert_eq!(word(&files.check(&new)), "known");
    files.settings.port = Some(2223);
    files.settings.strict = Strict::Yes;
    assert_eq!(word(&files.check(&new)), "unknown");
}

#[test]
fn the_folder_and_the_file_are_made_for_us_alone() {
    let mut files = Files::new("");
    files.settings.strict = Strict::AcceptNew;
    files.settings.user_files = vec![files.path(".ssh").join("known_hosts")];
    assert_eq!(word(&files.check(&ed())), "added");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&files.path(".ssh")), 0o700);
    assert_eq!(mode(&files.settings.user_files[0]), 0o600);
}

#[test]
fn a_key_that_cannot_be_written_down_is_taken_with_a_warning() {
    let mut files = Files::new("");
    files.settings.strict = Strict::AcceptNew;
    files.settings.user_files = vec![files.path("none").join("at").join("all")];
    let trust = files.check(&ed()).unwrap();
    assert!(matches!(trust, Trust::NotWritten { .. }), "{trust:?}");
    assert!(trust.warning().unwrap().contains("not written down"));
    files.settings.user_files = Vec::new();
    assert_eq!(word(&files.check(&ed())), "not written");
}

#[test]
fn a_name_that_would_say_something_else_is_not_written_down() {
    for name in ["a b", "a,b", "*", "a\nb", "!a", "|1|a"] {
        let mut files = Files::new("");
        files.settings.strict = Strict::AcceptNew;
        files.settings.name = name.to_owned();
        assert_eq!(word(&files.check(&ed())), "not written", "{name}");
        assert_eq!(files.known(), "");
    }
}
