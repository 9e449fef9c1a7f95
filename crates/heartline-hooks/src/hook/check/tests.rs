use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use heartline_watch::config::ConfigFile;
use tempfile::tempdir;

use super::*;
use crate::hook::Hooks;

fn entries(text: &str) -> Vec<HookEntry> {
    ConfigFile::parse(text, Path::new("heartline.toml"))
        .unwrap()
        .hooks
}

fn one(entry: &HookEntry) -> Hook {
    hook(entry, &mut SharedClient::default()).unwrap()
}

fn wrong(text: &str) -> String {
    Hooks::new(&entries(text)).unwrap_err().to_string()
}

#[test]
fn what_is_left_out_is_as_documented() {
    let hook = one(&entries("[[hook]]\nname='a'\nrun=['/bin/true']")[0]);
    assert!(hook.is_of(Subject::Node) && !hook.is_of(Subject::Line));
    assert!(hook.names(State::Down) && !hook.names(State::Up));
    assert!(hook.wants("any", &[]));
    let times = (hook.after, hook.settle, hook.timeout);
    assert_eq!(times, (Duration::ZERO, SETTLE, TIMEOUT));
}

#[test]
fn a_node_is_chosen_by_its_name_and_its_tags() {
    let text = "[[hook]]\nname='a'\nrun=['/bin/true']\nnode=['db*','web?']\ntag=['prod','lab']";
    let hook = one(&entries(text)[0]);
    let prod = ["x".to_owned(), "prod".to_owned()];
    for (node, tags, want) in [
        ("db1", &prod[..], true),
        ("db1/2", &prod[..], true),
        ("web1", &prod[..], true),
        ("web11", &prod[..], false),
        ("mydb1", &prod[..], false),
        ("db1", &prod[..1], false),
        ("db1", &[], false),
    ] {
        assert_eq!(hook.wants(node, tags), want, "{node} {tags:?}");
    }
}

/// Each text, and what is to be said of it.
fn are_said(mistakes: &[(String, &str)]) {
    for (text, want) in mistakes {
        let said = wrong(&format!("[[hook]]\n{text}"));
        assert!(said.contains(want), "{text}: {said}");
        assert!(!said.contains('\n'), "{said:?}");
    }
}

#[test]
fn each_mistake_is_said_in_one_line_with_its_mend() {
    let long = "a".repeat(65);
    let run = "run=['/bin/true']";
    are_said(&[
        (
            format!("name='A b'\n{run}"),
            "hook \"A b\" has no good name; give one of a-z, 0-9, - and _, 64 characters at most",
        ),
        (format!("name='{long}'\n{run}"), "64 characters at most"),
        (format!("name=''\n{run}"), "hook \"\" has no good name"),
        (
            "name='a'".into(),
            "hook \"a\" has 0 of run, url and mail; give one",
        ),
        (
            format!("name='a'\n{run}\nurl='http://h'"),
            "has 2 of run, url and mail",
        ),
        ("name='a'\nrun=[]".into(), "run names no program"),
        ("name='a'\nrun=['']".into(), "run names no program"),
        ("name='a'\nrun=[\"a\\u0000\"]".into(), "has a NUL in it"),
        (
            format!("name='a'\n{run}\nnode=['[']"),
            "\"[\" is no pattern (unclosed character class",
        ),
        (
            format!("name='a'\n{run}\ntimeout='0s'"),
            "timeout is 0ns; give 100ms to 1h",
        ),
        (format!("name='a'\n{run}\ntimeout='2h'"), "give 100ms to 1h"),
        (
            format!("name='a'\n{run}\nsecret_file='/x'"),
            "has secret_file without url",
        ),
        ("name='a'\nurl='ftp://h/'".into(), "ftp: is not for that"),
        (
            "name='a'\nurl='nonsense'".into(),
            "the url is none to post to",
        ),
        (
            "name='a'\nurl='http://h'\nsecret_file='/no/such'".into(),
            "cannot read /no/such: No such file",
        ),
    ]);
    let said = wrong(&format!(
        "[[hook]]\nname='a'\n{run}\n[[hook]]\nname='a'\n{run}"
    ));
    assert_eq!(
        said,
        "two hooks are called \"a\"; give each a name of its own"
    );
}

#[test]
fn so_is_each_of_mail() {
    let mail = "mail={server='smtp://h',from='a@b.example',to=['c@d.example']";
    are_said(&[
        (
            format!("name='a'\n{}", mail.replace("smtp:", "http:") + "}"),
            "the mail server is none",
        ),
        (
            format!("name='a'\n{}", mail.replace("//h", "//u:p@h") + "}"),
            "it has an account in it",
        ),
        (
            format!("name='a'\n{}", mail.replace("c@d", "c d") + "}"),
            "is no mail address",
        ),
        (
            format!("name='a'\n{}", mail.replace("'c@d.example'", "") + "}"),
            "mail goes to nobody",
        ),
        (
            format!("name='a'\n{mail},user='u'}}"),
            "has mail.user without mail.password_file",
        ),
        (
            format!("name='a'\n{mail},password_file='/x'}}"),
            "has mail.password_file without mail.user",
        ),
    ]);
}

#[test]
fn a_secret_is_taken_from_a_file_of_ones_own_and_shown_to_nobody() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("secret");
    let text = format!(
        "[[hook]]\nname='a'\nurl='https://h/T0KEN?k=T0KEN'\nsecret_file='{}'",
        path.display()
    );
    let write = |bytes: &[u8], mode| {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(b"s3cret", 0o640);
    assert!(wrong(&text).ends_with("(mode 640); chmod 600 it"));
    write(b"\n", 0o600);
    assert!(wrong(&text).contains("is empty; put the secret in it"));
    write(&[b'x'; 5_000], 0o600);
    assert!(wrong(&text).contains("is too large"));
    write(b"s3cret\r\n", 0o400);
    let hooks = Hooks::new(&entries(&text)).unwrap();
    let shown = format!("{hooks:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("T0KEN"),
        "{shown}"
    );
    assert_eq!(Secret::read("a", &path).unwrap().bytes(), b"s3cret");
    let text = text.replace(
        &path.display().to_string(),
        &folder.path().display().to_string(),
    );
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(wrong(&text).contains("Is a directory"));
}

#[test]
fn a_password_goes_over_no_network_in_the_clear() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "pw").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for (server, is_good) in [
        ("smtp://mail.example.org", false),
        ("smtp://mail.example.org?tls=opportunistic", false),
        ("smtp://127.evil.example.org", false),
        ("smtp://mail.example.org?tls=required", true),
        ("smtps://mail.example.org", true),
        ("smtp://localhost:2525", true),
        ("smtp://127.0.0.1", true),
        ("smtp://[::1]", true),
    ] {
        let text = format!(
            "[[hook]]\nname='a'\nmail={{server='{server}',from='a@b.example',to=['Ops <c@d.example>'],user='u',password_file='{}'}}",
            path.display()
        );
        let hooks = Hooks::new(&entries(&text));
        if is_good {
            let shown = format!("{:?}", hooks.unwrap());
            assert!(!shown.contains("pw"), "{shown}");
        } else {
            let said = hooks.unwrap_err().to_string();
            assert!(said.contains("in the clear"), "{said}");
        }
    }
}
