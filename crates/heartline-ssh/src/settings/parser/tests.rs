use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::settings::found::{Files, Found, FoundProxy};

struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".ssh")).unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        Self { dir }
    }

    fn with(config: &str) -> Self {
        let home = Self::new();
        home.write(".ssh/config", config);
        home
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn local(&self) -> Local {
        Local::for_test(self.dir.path(), &[])
    }

    fn find_inv(&self, inv: &Invocation) -> Result<Found, ParseError> {
        let local = self.local();
        let mut parser = Parser::new(&local);
        assert_eq!(parser.system_file, Path::new("/etc/ssh/ssh_config"));
        parser.system_file = self.dir.path().join("etc/ssh_config");
        Ok(parser.find(inv, &local)?.found)
    }

    fn find(&self, host: &str) -> Result<Found, ParseError> {
        self.find_inv(&Invocation::new(host.parse().unwrap()))
    }
}

fn error(config: &str) -> ParseErrorKind {
    let error = Home::with(config).find("db1").unwrap_err();
    error.kind().clone()
}

#[test]
fn the_first_value_wins_and_the_user_goes_before_the_system() {
    let home = Home::with("Host db1\n Port 1\nHost *\n Port 2\n User bob\n");
    home.write("etc/ssh_config", "Port 3\nUser carl\nBatchMode yes\n");
    let found = home.find("db1").unwrap();
    assert_eq!((found.port, found.user.as_deref()), (Some(1), Some("bob")));
    assert!(found.batch_mode);
    assert_eq!(home.find("db2").unwrap().port, Some(2));
}

#[test]
fn host_lines_are_listed_with_what_is_included_and_nothing_is_judged() {
    let home = Home::with(
        "Host a *.b !c\nMatch exec false\n Port 1\nInclude more\nHost *\nHost \"d e\" f\n User u\n",
    );
    home.write(".ssh/more", "Host web1 web2\n");
    let local = home.local();
    let mut parser = Parser::new(&local);
    parser.system_file = home.dir.path().join("etc/ssh_config");
    home.write("etc/ssh_config", "Host sys\n");
    let lines = parser.host_lines(None, &local).unwrap();
    let names: Vec<_> = lines.iter().map(|line| line.names.join("|")).collect();
    assert_eq!(names, ["a", "web1|web2", "", "d e|f", "sys"]);
    assert_eq!(lines[0].patterns, ["*.b", "!c"]);
    assert_eq!(lines[3].line, 6);
    assert!(lines[1].file.ends_with(".ssh/more"));

    home.write(".ssh/config", "Host a\n Prot 1\n");
    assert!(parser.host_lines(None, &local).is_err());
    let missing = home.dir.path().join("missing");
    assert!(parser.host_lines(Some(&missing), &local).is_err());
}

#[test]
fn flags_go_before_options_before_the_destination_before_files() {
    let home = Home::with("Port 4\nUser d\n");
    let mut inv = Invocation::new("c@db1:3".parse().unwrap());
    assert_eq!(home.find_inv(&inv).unwrap().port, Some(3));
    inv.options = vec!["Port=2".into(), "user b".into()];
    let found = home.find_inv(&inv).unwrap();
    assert_eq!((found.port, found.user.as_deref()), (Some(2), Some("b")));
    inv.port = Some(1);
    inv.user = Some("a".into());
    let found = home.find_inv(&inv).unwrap();
    assert_eq!((found.port, found.user.as_deref()), (Some(1), Some("a")));
}

#[test]
fn negation_takes_a_host_out() {
    let home = Home::with("Host db* !db1\n Port 1\nHost !db2 db1\n Port 2\n");
    assert_eq!(home.find("db1").unwrap().port, Some(2));
    assert_eq!(home.find("db2").unwrap().port, Some(1));
}

#[test]
fn match_sees_what_was_found_so_far() {
    let home = Home::with(
        "Host db1\n HostName %h.Example.org\n User bob\n\
         Match host *.example.org user bob localuser ann\n Port 1\n\
         Match originalhost db1 !user bob\n Port 2\n",
    );
    let found = home.find("db1").unwrap();
    assert_eq!(
        (found.host.as_str(), found.port),
        ("db1.example.org", Some(1))
    );
    assert_eq!(home.find("db2").unwrap().port, None);
}

#[test]
fn a_final_match_reads_twice() {
    let home = Home::with(
        "Match final host real\n Port 1\nHost real\n User bob\nHost db1\n HostName REAL\n\
         IdentityFile /k\n",
    );
    let found = home.find("db1").unwrap();
    assert_eq!((found.port, found.user.as_deref()), (Some(1), Some("bob")));
    assert!(matches!(found.identity_files, Files::Named(ref files) if files == &["/k"]));
}

#[test]
fn includes_with_wildcards_inside_blocks() {
    let home = Home::with(
        "Host db*\n Include conf.d/*.conf ~/more nothing-here\n User outer\nHost *\n Port 9\n",
    );
    fs::create_dir(home.dir.path().join(".ssh/conf.d")).unwrap();
    home.write(".ssh/conf.d/b.conf", "User b\nPort 2\n");
    home.write(".ssh/conf.d/a.conf", "Host db1\n User a\n");
    home.write(".ssh/conf.d/.hidden.conf", "User hidden\n");
    home.write("more", "BatchMode yes\n");
    let found = home.find("db1").unwrap();
    assert_eq!((found.user.as_deref(), found.port), (Some("a"), Some(2)));
    assert!(found.batch_mode);
    let found = home.find("web1").unwrap();
    assert_eq!(
        (found.user, found.port, found.batch_mode),
        (None, Some(9), false)
    );
}

#[test]
fn an_include_within_a_block_that_does_not_apply_is_checked_only() {
    let home = Home::with("Host other\n Include inner\n");
    home.write(
        ".ssh/inner",
        "Port 1\nHost *\n Port 2\nMatch exec false\n Port 3\nMatch all\n Port 4\n",
    );
    assert_eq!(home.find("db1").unwrap().port, None);
    home.write(".ssh/inner", "Nonsense 1\n");
    let error = home.find("db1").unwrap_err();
    assert!(matches!(
        error.kind(),
        ParseErrorKind::UnknownKeyword { .. }
    ));
    assert!(error.file().ends_with("/.ssh/inner"), "{error}");
    assert_eq!(error.line(), Some(1));
}

#[test]
fn an_include_of_itself_ends() {
    let home = Home::with("Include config\n");
    let error = home.find("db1").unwrap_err();
    assert!(
        matches!(error.kind(), ParseErrorKind::TooDeep { .. }),
        "{error}"
    );

    // Twice in each of 16 depths would be 2^16 files.
    let home = Home::with("Include config config\n");
    assert!(home.find("db1").is_err());
}

#[test]
fn a_wide_tree_of_includes_ends() {
    let home = Home::with("Include l0 l0 l0 l0\n");
    for i in 0..8 {
        let next = format!("Include l{0} l{0} l{0} l{0}\n", i + 1);
        home.write(&format!(".ssh/l{i}"), next);
    }
    home.write(".ssh/l8", "Port 1\n");
    let error = home.find("db1").unwrap_err();
    assert!(
        matches!(error.kind(), ParseErrorKind::TooManyFiles { .. }),
        "{error}"
    );
}

#[test]
fn files_others_may_write_are_refused() {
    let home = Home::with("Port 1\n");
    let path = home.dir.path().join(".ssh/config");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(
        home.find("db1").unwrap_err().kind(),
        &ParseErrorKind::Permissions
    );
    // -F is the word of whoever typed it, as in ssh.
    let mut inv = Invocation::new("db1".parse().unwrap());
    inv.config_file = Some(path);
    assert_eq!(home.find_inv(&inv).unwrap().port, Some(1));
}

#[test]
fn a_named_file_must_be_there_and_none_reads_nothing() {
    let home = Home::with("Port 1\n");
    let mut inv = Invocation::new("db1".parse().unwrap());
    inv.config_file = Some(home.dir.path().join("absent"));
    let error = home.find_inv(&inv).unwrap_err();
    assert!(
        matches!(error.kind(), ParseErrorKind::Unreadable { .. }),
        "{error}"
    );
    for nothing in ["none", "NONE", "/dev/null"] {
        inv.config_file = Some(nothing.into());
        assert_eq!(home.find_inv(&inv).unwrap().port, None);
    }
    inv.config_file = Some(home.dir.path().to_owned());
    let error = home.find_inv(&inv).unwrap_err();
    assert!(
        matches!(error.kind(), ParseErrorKind::Unreadable { .. }),
        "{error}"
    );
}

#[test]
fn a_huge_file_is_refused() {
    let home = Home::with(&"# x\n".repeat(300_000));
    let error = home.find("db1").unwrap_err();
    assert!(
        matches!(error.kind(), ParseErrorKind::TooLarge { .. }),
        "{error}"
    );
}

#[test]
fn jump_and_command_compete() {
    let proxy = |config: &str| Home::with(config).find("db1").unwrap().proxy;
    assert!(matches!(
        proxy("ProxyJump a,ssh://u@b:2 # c\nProxyCommand x\n"),
        FoundProxy::Jump(ref j) if j == "a,u@b:2"
    ));
    assert!(matches!(
        proxy("ProxyCommand = nc %h %p # all of it\nProxyJump a\n"),
        FoundProxy::Command(ref c) if c == "nc %h %p # all of it"
    ));
    assert!(matches!(
        proxy("ProxyJump none\nProxyJump a\n"),
        FoundProxy::None
    ));
    assert!(matches!(
        proxy("ProxyCommand none\nProxyJump a\n"),
        FoundProxy::None
    ));
    assert!(matches!(
        proxy("ProxyJump none\nProxyCommand x\n"),
        FoundProxy::Command(_)
    ));
}

#[test]
fn unknown_keywords_are_errors_unless_ignored() {
    assert!(matches!(
        error("Prot 22\n"),
        ParseErrorKind::UnknownKeyword { .. }
    ));
    assert!(matches!(
        error("Host x\n Prot 22\n"),
        ParseErrorKind::UnknownKeyword { .. }
    ));
    let home = Home::with("IgnoreUnknown My*,prot\nProt \"a b\" c\nMyWord\t=x\nForwardX11 yes\n");
    home.find("db1").unwrap();
}

#[test]
fn bad_values_are_errors_wherever_they_stand() {
    use ParseErrorKind as K;
    assert!(matches!(error("Port 0\n"), K::BadValue { .. }));
    assert!(matches!(error("Host x\n Port 0\n"), K::BadValue { .. }));
    assert!(matches!(error("Port 1 2\n"), K::Extra { .. }));
    assert!(matches!(error("Port\n"), K::NoValue { .. }));
    assert!(matches!(error("User \"\"\n"), K::NoValue { .. }));
    assert!(matches!(error("User \"a\n"), K::Quotes));
    assert!(matches!(
        error("ServerAliveInterval 1.5\n"),
        K::BadValue { .. }
    ));
    assert!(matches!(
        error("ServerAliveCountMax -1\n"),
        K::BadValue { .. }
    ));
    assert!(matches!(error("Ciphers aes*\n"), K::BadValue { .. }));
    assert!(matches!(
        error("UserKnownHostsFile a none\n"),
        K::BadValue { .. }
    ));
    assert!(matches!(error("ProxyJump -x\n"), K::Jump(_)));
    assert!(matches!(error("HostName %p\n"), K::Token(_)));
    assert!(matches!(error("Host \"\"\n"), K::NoValue { .. }));
    assert!(matches!(error("Match exec true\n"), K::NeedsSsh { .. }));
    assert!(matches!(
        error("CanonicalizeHostname yes\nCanonicalDomains example.org\n"),
        K::NeedsSsh { .. }
    ));
    assert!(matches!(error("User a\u{1b}b\n"), K::NotText));
    let home = Home::new();
    home.write(".ssh/config", b"# Gr\xfc\xdfe\nUser \xff\n");
    let error = home.find("db1").unwrap_err();
    assert_eq!((error.kind(), error.line()), (&K::NotText, Some(2)));
}

#[test]
fn an_error_says_where_and_shows_nothing_raw() {
    let error = Home::with("# one\n\nPort \u{202e}x\n")
        .find("db1")
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("config line 3: port is `\\u{202e}x`, expected 1 to 65535"),
        "{text}"
    );
    let mut inv = Invocation::new("db1".parse().unwrap());
    inv.options = vec!["Include=/x".into()];
    let error = Home::new().find_inv(&inv).unwrap_err();
    assert_eq!(
        error.to_string(),
        "command line: include is not an option of the command line"
    );
}

#[test]
fn times_may_be_unset() {
    let found = Home::with("ServerAliveInterval none\nServerAliveInterval 1m\nConnectTimeout 0\n")
        .find("db1")
        .unwrap();
    assert_eq!(
        (found.alive_interval, found.connect_timeout),
        (Some(60), Some(0))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let home = Home::new();
        home.write(".ssh/config", bytes);
        let _ = home.find("db1");
    }

    #[test]
    fn no_lines_panic(
        lines in prop::collection::vec(
            (prop::sample::select(WORDS), "[ =\t\"]{1,2}", "[a-z0-9*?!,%~$#{}'\"\\\\ =+^:@-]{0,25}"),
            0..12,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|(k, s, v)| format!("{k}{s}{v}\n")).collect();
        let text = lines.concat();
        let home = Home::with(&text);
        if let Ok(found) = home.find("db1") {
            let inv = Invocation::new("db1".parse().unwrap());
            let _ = found.finish(&inv, &home.local());
        }
    }
}

const WORDS: &[&str] = &[
    "Host",
    "Match",
    "Match host",
    "Match final",
    "HostName",
    "User",
    "Port",
    "ProxyJump",
    "ProxyCommand",
    "IdentityFile",
    "IdentityAgent",
    "UserKnownHostsFile",
    "KexAlgorithms",
    "HostKeyAlgorithms",
    "ServerAliveInterval",
    "ConnectTimeout",
    "IgnoreUnknown",
];
