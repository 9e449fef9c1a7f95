//! What a person got wrong: one clear line on standard error, the exit code of usage and configuration, nothing on
//! standard output, and nothing dialed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod program;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use program::{Ended, Home};

/// A home, and a node of which nobody may ever hear.
struct Bench {
    home: Home,
    node: TcpListener,
}

impl Bench {
    fn new() -> Self {
        Self::at(Home::new())
    }

    fn at(home: Home) -> Self {
        let node = TcpListener::bind("127.0.0.1:0").unwrap();
        node.set_nonblocking(true).unwrap();
        home.write("known", "");
        Self { home, node }
    }

    /// `@NODE` is the node's address, `@HOME` the home.
    fn fill(&self, text: &str) -> String {
        let node = self.node.local_addr().unwrap();
        text.replace("@NODE", &node.to_string())
            .replace("@HOME", &self.home.path("").display().to_string())
    }

    fn run(&self, words: &str) -> Ended {
        let words = self.fill(words);
        let words: Vec<_> = words.split(' ').collect();
        self.home.run(&words)
    }

    /// Runs it, and sees that it is refused with these words.
    fn refuses(&self, words: &str, says: &[&str]) {
        let ended = self.run(words);
        let expected = if words.starts_with("check") { 3 } else { 2 };
        let Ended { code, stdout, .. } = &ended;
        assert_eq!(*code, Some(expected), "{words}: {ended:?}");
        assert!(stdout.is_empty(), "{words}: {ended:?}");
        let stderr = str::from_utf8(&ended.stderr).unwrap();
        assert!(stderr.starts_with("heartline: "), "{words}: {stderr}");
        let is_one_line = stderr.ends_with('\n') && stderr.matches('\n').count() == 1;
        assert!(is_one_line, "{words}: {stderr}");
        let is_plain = !stderr.trim_end().contains(char::is_control);
        assert!(is_plain, "{words}: {stderr:?}");
        for part in says {
            let part = self.fill(part);
            assert!(stderr.contains(&part), "{words}: {part:?} in {stderr}");
        }
        assert!(ended.took < LONGEST, "{words}: {:?}", ended.took);
        let came = self.node.accept();
        let nobody = came.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(nobody, "{words}: somebody dialed");
    }
}

#[test]
fn a_name_that_does_not_resolve_where_it_is_dialed_but_once() {
    let bench = Bench::new();
    for words in [
        "check -F none no-such-host.invalid",
        "wait -F none no-such-host.invalid --until up",
        // One good line beside it is not begun with.
        "wait -F none @NODE --line @NODE --line no-such-host.invalid --until up",
    ] {
        bench.refuses(words, &["no-such-host.invalid", "resolve"]);
    }
}

#[test]
fn an_unknown_option_or_command_or_none() {
    let bench = Bench::new();
    for (words, says) in [
        ("watch @NODE --frobnicate", "--frobnicate"),
        ("check @NODE --frobnicate", "--frobnicate"),
        ("watch @NODE --frob\u{1b}[2J\nnicate", "--frob"),
        ("watch @NODE -Z", "-Z"),
        ("frobnicate", "frobnicate"),
        ("check", "<NODE>"),
        ("wait @NODE", "--until"),
        ("wait @NODE --until sideways", "sideways"),
        ("watch @NODE -4 -6", "-6"),
        ("watch @NODE -p 0", "0"),
        ("watch @NODE -p 65536", "65536"),
        ("watch @NODE --for soon", "soon"),
        ("check @NODE --timeout -1", "-1"),
        ("probe", "<NODE>"),
        ("probe @NODE --at-most 5m", "--idle"),
        ("probe @NODE --connections 2", "--idle"),
        ("probe @NODE --idle --connections 0", "0"),
        ("probe @NODE --idle --connections 65", "65"),
        ("probe @NODE --idle --at-most 1s", "2s"),
        ("probe @NODE --idle --at-most soon", "soon"),
        ("probe @NODE --samples 0", "0"),
    ] {
        bench.refuses(words, &[says]);
    }
}

#[test]
fn an_interval_or_a_count_that_cannot_be() {
    let bench = Bench::new();
    for command in ["watch", "check", "wait --until up"] {
        for (option, says) in [
            ("--interval 0", "10ms"),
            ("--interval -1", "-1"),
            ("--interval -1s", "-1s"),
            ("--interval 2147483648", "2147483647"),
            ("--interval 1ms", "10ms"),
            ("--interval 5parsecs", "5parsecs"),
            ("--interval=", "interval"),
            ("--count 0", "count 0"),
            ("--count -1", "-1"),
            ("--count 2147483648", "2147483648"),
            ("--count 1.5", "1.5"),
            ("--connect-timeout -1", "-1"),
            ("--connect-timeout 1e999", "1e999"),
            (
                "--interval 5s --fuse 9s",
                "fuse 9s is shorter than two beats: 2 · 5s = 10s; give 10s or more, or 0 for none",
            ),
            ("--fuse 10.5s", "give 11s"),
            ("--fuse -1", "-1"),
            ("--fuse 2147483648", "2147483647"),
            ("--fuse long", "long"),
        ] {
            bench.refuses(&format!("{command} -F none @NODE {option}"), &[says]);
        }
    }
}

#[test]
fn a_value_that_ssh_refuses() {
    refuses_values(&Bench::new());
}

#[test]
fn a_value_that_ssh_would_refuse_were_it_installed() {
    refuses_values(&Bench::at(Home::without_ssh()));
}

fn refuses_values(bench: &Bench) {
    for (option, says) in [
        ("ServerAliveInterval=5parsecs", "5parsecs"),
        ("ServerAliveInterval=-1", "-1"),
        ("ServerAliveInterval=2147483648", "2147483648"),
        ("ServerAliveCountMax=-1", "-1"),
        ("ServerAliveCountMax=2147483648", "2147483648"),
        ("Port=66000", "66000"),
        ("Frobnicate=yes", "robnicate"),
        ("Ciphers=3way-cbc", "3way-cbc"),
        ("KexAlgorithms", "exalgorithms"),
    ] {
        for command in ["watch", "check"] {
            let words = format!("{command} -F none @NODE -o {option}");
            bench.refuses(&words, &[says]);
        }
    }
    bench
        .home
        .write("ssh_config", "Host *\n  Port 22\n  Frobnicate yes\n");
    let says = ["@HOME/ssh_config", "3", "robnicate"];
    bench.refuses("watch -F @HOME/ssh_config @NODE", &says);
    bench.refuses("watch -F @HOME/nowhere @NODE", &["@HOME/nowhere"]);
}

#[test]
fn a_broken_configuration_file() {
    let bench = Bench::new();
    let node = "[[node]]\nname = \"@NODE\"\n";
    for (text, says) in [
        // File, line and column; the offending text; what would be right.
        (
            "[defaults]\nintervall = \"5s\"\n",
            &[":2:1:", "`intervall = \"5s\"`", "`interval`"][..],
        ),
        (
            "[defaults]\n\n  interval = \"5 parsecs\"\n",
            &[":3:14:", "`interval = \"5 parsecs\"`", "5s, 250ms or 1m30s"],
        ),
        (
            "[defaults]\ninterval = -1\n",
            &[":2:12:", "`interval = -1`", "negative"],
        ),
        (
            "[defaults]\ncount = -1\n",
            &[":2:9:", "`count = -1`", "u32"],
        ),
        (
            "[defaults]\ncount = \"1\"\n",
            &[":2:9:", "`count = \"1\"`", "u32"],
        ),
        ("[[node]\nname = \"a\"\n", &[":1:", "`[[node]`"]),
        ("[[node]]\nname = a\n", &[":2:", "`name = a`"]),
        ("[[node]]\nhost = \"a\"\n", &[":1:", "missing field `name`"]),
        ("[[node]]\nname = \"\u{1b}[2J\"\n", &[":2:", "\\x1b"]),
        ("[[nodes]]\nname = \"a\"\n", &[":1:", "`nodes`", "`node`"]),
    ] {
        // A good node before it is not begun with.
        bench
            .home
            .write("good.toml", bench.fill(&format!("{node}{text}")));
        bench.refuses("watch -F none -c @HOME/good.toml", &says[1..]);
        bench.home.write("heartline.toml", bench.fill(text));
        let place = format!("@HOME/heartline.toml{}", says[0]);
        let says: Vec<_> = [place.as_str()]
            .into_iter()
            .chain(says[1..].to_vec())
            .collect();
        bench.refuses("watch -F none -c @HOME/heartline.toml", &says);
        bench.refuses("check -F none -c @HOME/heartline.toml @NODE", &says);
        // Found without being named.
        bench.refuses("watch -F none", &says[1..]);
        fs::remove_file(bench.home.path("heartline.toml")).unwrap();
    }
    bench.refuses(
        "watch -F none -c @HOME/nowhere.toml",
        &["@HOME/nowhere.toml"],
    );
    bench.refuses("watch -F none -c @HOME", &["@HOME"]);
    bench.refuses("watch -F none", &["heartline.toml"]);
    bench.home.write("empty.toml", "");
    bench.refuses("watch -F none -c @HOME/empty.toml", &["no node"]);
}

#[test]
fn numbers_in_the_file_that_cannot_be() {
    let bench = Bench::new();
    for (line, says) in [
        ("interval = 0", "interval 0"),
        ("interval = \"1ms\"", "10ms"),
        ("interval = 2147483648", "2147483647"),
        ("count = 0", "count 0"),
        ("count = 2147483648", "2147483648"),
        ("interval = 1\nfuse = 1", "2 · 1s = 2s"),
        ("port = 0", "0"),
        ("port = 65536", "65536"),
    ] {
        let text = format!("[[node]]\nname = \"db1\"\nhost = \"@NODE\"\n{line}\n");
        bench.home.write("heartline.toml", bench.fill(&text));
        bench.refuses("watch -F none -c @HOME/heartline.toml", &[says]);
    }
}

#[test]
fn a_key_file_that_cannot_be_used() {
    let bench = Bench::new();
    bench.refuses(
        "watch -F none @NODE -i @HOME/absent",
        &["@HOME/absent", "does not exist"],
    );
    bench.home.key("id");
    let path = bench.home.path("id");
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let mode = format!("mode {mode:04o}");
        let says = ["@HOME/id", mode.as_str(), "chmod 600"];
        bench.refuses("watch -F none @NODE -i @HOME/id", &says);
        bench.refuses("check -F none @NODE -i @HOME/id", &says);
        bench.refuses("watch -F none @NODE -o IdentityFile=@HOME/id", &says);
    }
    bench
        .home
        .write("rubbish", "-----BEGIN RUBBISH-----\n\u{1b}[2J\n");
    fs::set_permissions(
        bench.home.path("rubbish"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    bench.refuses("watch -F none @NODE -i @HOME/rubbish", &["@HOME/rubbish"]);
    bench.refuses("watch -F none @NODE -i @HOME", &["@HOME"]);
    bench.refuses(
        "watch -F none @NODE -o CertificateFile=@HOME/absent",
        &["@HOME/absent"],
    );
}

#[test]
fn known_hosts_that_cannot_be_read() {
    let bench = Bench::new();
    fs::create_dir(bench.home.path("folder")).unwrap();
    let mut unreadable = vec!["@HOME/folder"];
    // Root may read anything.
    bench.home.write("locked", "");
    fs::set_permissions(bench.home.path("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(bench.home.path("locked")).is_err() {
        unreadable.push("@HOME/locked");
    }
    for file in unreadable {
        for option in [
            "UserKnownHostsFile",
            "GlobalKnownHostsFile",
            "RevokedHostKeys",
        ] {
            let words = format!("watch -F none @NODE -o {option}={file}");
            bench.refuses(&words, &[file]);
        }
        bench.refuses(
            &format!("check -F none @NODE -o UserKnownHostsFile={file}"),
            &[file],
        );
    }
    bench.refuses(
        "watch -F none @NODE -o RevokedHostKeys=@HOME/absent",
        &["@HOME/absent"],
    );
}

#[test]
fn a_line_that_leads_nowhere() {
    let bench = Bench::new();
    for (line, says) in [
        ("10.0.0.1,dve=eth0", "dve"),
        ("10.0.0.1,dev=", "dev"),
        ("10.0.0.1,port=0", "0"),
        ("10.0.0.1,port=65536", "65536"),
        ("10.0.0.1,src=nonsense", "nonsense"),
        ("10.0.0.1,dev=eth0,dev=eth1", "dev"),
        ("10.0.0.1,jump=-oProxyCommand", "-oProxyCommand"),
        ("root@10.0.0.1", "root"),
        ("-x", "-x"),
    ] {
        bench.refuses(&format!("watch -F none @NODE --line={line}"), &[says]);
        bench.refuses(&format!("check -F none @NODE --line={line}"), &[says]);
    }
    bench.refuses("watch -F none @NODE --line=", &["--line"]);
    bench.refuses("watch -F none @NODE @NODE --line @NODE", &["--line"]);
    bench.refuses("watch -F none -c @HOME/x --line @NODE", &[]);
    for words in [
        "watch -F none @NODE --line @NODE,name=a --line @NODE,name=a",
        "watch -F none @NODE --line @NODE --line @NODE",
    ] {
        bench.refuses(words, &["two lines"]);
    }
    bench.refuses("watch -F none @NODE @NODE", &["two nodes"]);
    let twice = "[[node]]\nname = \"a\"\nhost = \"@NODE\"\n".repeat(2);
    bench.home.write("twice.toml", bench.fill(&twice));
    bench.refuses("watch -F none -c @HOME/twice.toml", &["two nodes", "\"a\""]);
}

#[test]
fn a_node_that_is_none() {
    let bench = Bench::new();
    for node in [
        "user@",
        "host:0",
        "host:65536",
        "host:port",
        "a\u{1b}[2Jb",
        "",
    ] {
        bench.refuses(&format!("watch -F none -- {node}"), &[]);
        bench.refuses(&format!("check -F none -- {node}"), &[]);
    }
    bench.refuses("watch -F none -- -oProxyCommand=x", &["-oProxyCommand"]);
    bench.refuses("watch -F none @NODE -J user@", &["user@"]);
    bench.refuses("watch -F none @NODE -b nonsense", &["nonsense"]);
}

#[test]
fn an_endpoint_that_cannot_serve() {
    let bench = Bench::new();
    bench.home.write("authorized", "");
    let words = "serve --listen 127.0.0.1:0 --authorized-keys";
    bench.refuses(&format!("{words} @HOME/absent"), &["@HOME/absent"]);
    bench.refuses(&format!("{words} @HOME/authorized"), &["authorized"]);
    bench.refuses(&format!("{words} @HOME"), &["@HOME"]);
    bench.home.key("host");
    let host = bench.home.path("host");
    fs::set_permissions(host, fs::Permissions::from_mode(0o644)).unwrap();
    bench.home.write("authorized", bench.home.read("host.pub"));
    let words = format!("{words} @HOME/authorized");
    let says = ["@HOME/host", "0644", "chmod 600"];
    bench.refuses(&format!("{words} --host-key @HOME/host"), &says);
    bench.refuses(&format!("{words} --listen @NODE"), &["@NODE"]);
    bench.refuses(&format!("{words} --login-grace 1ms"), &["login_grace"]);
    for (flag, says) in [
        ("--interval 0", "interval 0"),
        ("--interval 9ms", "interval 9ms"),
        ("--interval -1", "'-1'"),
        ("--interval nonsense", "'nonsense'"),
        ("--interval 2147483648", "too long"),
        ("--count 0", "count 0"),
        ("--count -1", "'-1'"),
        ("--count 2147483648", "count 2147483648"),
        ("--login-grace -1", "'-1'"),
        ("--max-connections 0", "'0'"),
        ("--max-unauthenticated 0", "'0'"),
        ("--max-per-source 0", "'0'"),
    ] {
        bench.refuses(&format!("{words} {flag}"), &[says]);
    }
}

/// What the issue allows is "at once"; this is for a busy machine.
const LONGEST: Duration = Duration::from_secs(5);
