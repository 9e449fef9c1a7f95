//! The same files read by the installed `ssh -G` and by our parser: the settings must be the same.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::settings::parser::algorithms::{CA, CIPHERS, KEX, KEYS, MACS};
use crate::settings::{Invocation, Resolver, Settings};

/// One set of files and the questions to ask of it.
struct Case {
    name: &'static str,
    /// The first is the one given by `-F`; `DIR` in any of them stands for their folder.
    files: &'static [(&'static str, &'static str)],
    hosts: &'static [&'static str],
    options: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "the first value wins",
        files: &[(
            "config",
            "Host db1\n Port 2201\n User one\nHost db*\n Port 2202\n User two\n Compression yes\n\
             Host *\n Port 2203\n TCPKeepAlive no\n BatchMode yes\n ServerAliveInterval 7\n",
        )],
        hosts: &["db1", "db2", "web", "x@db1:99", "ssh://y@web:98", "DB1"],
        options: &[],
    },
    Case {
        name: "forwards gather, in ssh's order",
        files: &[(
            "config",
            "Host db1\n RemoteForward 2222 localhost:22\n LocalForward 8080 db:80\n\
             Host *\n LocalForward 127.0.0.1:8081 [::1]:81\n LocalForward 8080 db:80\n\
             DynamicForward *:1080\n RemoteForward 9000\n RemoteForward b:9001\n\
             LocalForward /run/a.sock /run/b.sock\n LocalForward 8082 /run/c.sock\n\
             LocalForward [fe80::1]:83 db:83\n ExitOnForwardFailure yes\n GatewayPorts yes\n\
             StreamLocalBindUnlink yes\n StreamLocalBindMask 0111\n\
             Match originalhost none\n ClearAllForwardings yes\n",
        )],
        hosts: &["db1", "web", "none"],
        options: &[],
    },
    Case {
        name: "batch mode sets no interval",
        files: &[(
            "config",
            "Host asked\n ServerAliveInterval 300\nHost *\n BatchMode yes\n",
        )],
        hosts: &["db1", "asked"],
        options: &[],
    },
    Case {
        name: "negation",
        files: &[(
            "config",
            "Host * !db1 !*.lab\n Port 1001\nHost !db2 db?\n User u\nHost a,b\n Port 1002\n\
             Host \"c d\" e\n\tPort\t=\t1003\n",
        )],
        hosts: &["db1", "db2", "x.lab", "e", "a"],
        options: &[],
    },
    Case {
        name: "match",
        files: &[(
            "config",
            "Host alias*\n HostName %h.Example.org\n\
             Match host alias1.example.org\n Port 1001\n\
             Match originalhost alias2 host *.EXAMPLE.org\n Port 1002\n\
             Match user bob,!carl !localuser nobody\n BatchMode yes\n\
             Match !host *.org,other\n Port 1003\n\
             Match user=root all # comment\n ConnectTimeout 5\n\
             Match all\n User bob\nMatch user bob\n ServerAliveCountMax 9\n",
        )],
        hosts: &["alias1", "alias2", "bob@x", "carl@other", "root@alias1"],
        options: &[],
    },
    Case {
        name: "final and canonical",
        files: &[(
            "config",
            "Match final host real.example.org\n Port 1001\n IdentityFile /late\n\
             Match canonical\n User canon\nHost real.example.org\n User real\n\
             Match !final\n IdentityFile /early\nHost db1\n HostName real.Example.org\n\
             IdentityFile /always\nMatch final all\n ConnectTimeout 1m30\n",
        )],
        hosts: &["db1", "real.example.org", "other"],
        options: &[],
    },
    Case {
        name: "canonicalize without domains",
        files: &[(
            "config",
            "CanonicalizeHostname yes\nMatch canonical\n Port 1001\nHost db1\n HostName 192.0.2.1\n\
             Host 192.0.2.*\n User later\n",
        )],
        hosts: &["db1"],
        options: &[],
    },
    Case {
        name: "include",
        files: &[
            (
                "config",
                "Include DIR/one DIR/absent\nHost db*\n Include DIR/d/*.conf\n User outer\n\
                 Host *\n Port 1009\n Include \"DIR/with space\"\n",
            ),
            ("one", "Host db1\n User one\nInclude DIR/two\n"),
            ("two", "Port 1002\nMatch host web\n BatchMode yes\n"),
            ("d/b.conf", "IdentityFile /b\nHost db2\n IdentityFile /b2\n"),
            (
                "d/a.conf",
                "IdentityFile /a\nMatch all\n IdentityFile /a-all\n",
            ),
            ("d/.c.conf", "IdentityFile /hidden\n"),
            ("with space", "ConnectTimeout 11\n"),
        ],
        hosts: &["db1", "db2", "web"],
        options: &[],
    },
    Case {
        name: "quotes, spaces, equals signs, comments",
        files: &[(
            "config",
            "# comment\n\n   # another\nPort=1001\n  User   =  \"a b\"  # why not\n\
             IdentityFile '/path/with space'\nIdentityFile \"/path/'quoted'\"\n\
             IdentityFile /path/back\\ slash\nIdentityFile /path/\"half quoted\"/x\n\
             \"HostName\" 192.0.2.7\r\nBATCHMODE YES\nCertificateFile\t/c\t\n\
             ConnectTimeout 1h \x0c\nHostKeyAlias=\"Some-Alias\"\n",
        )],
        hosts: &["db1"],
        options: &[],
    },
    Case {
        name: "tokens and homes",
        files: &[(
            "config",
            "HostName %h.example\nPort 2222\nUser bob\nIdentityFile ~/k/%n-%h-%p-%r-%u-%d\n\
             IdentityFile %d/%L/%l/%i/%k\nCertificateFile ~/%C\n\
             UserKnownHostsFile ~/kh_%k ${HOME}/x%%y /z/%h\nGlobalKnownHostsFile ~/g /h%h\n\
             IdentityAgent ~/agent-%r\nHostKeyAlias Ali-As\nProxyCommand nc %h %p %r %n %% # rest\n",
        )],
        hosts: &["db1", "Carl@DB2"],
        options: &[],
    },
    Case {
        name: "without an alias",
        files: &[(
            "config",
            "IdentityFile /%k/%n\nHost Db1\n HostName Real.Example\nHost *\nIdentityAgent $HEARTLINE_NO_SUCH\n",
        )],
        hosts: &["Db1", "fe80::1%Eth0", "192.0.2.1"],
        options: &[],
    },
    Case {
        name: "none",
        files: &[(
            "config",
            "UserKnownHostsFile none\nGlobalKnownHostsFile none\nIdentityFile none\n\
             IdentityAgent none\nRevokedHostKeys none\nProxyCommand none\nConnectTimeout none\n\
             ServerAliveInterval none\nServerAliveInterval 7\n",
        )],
        hosts: &["db1"],
        options: &[],
    },
    Case {
        name: "proxies",
        files: &[(
            "config",
            "Host j1\n ProxyJump a,bob@b:2201\n ProxyCommand x\n\
             Host j2\n ProxyCommand x %h\n ProxyJump a\n\
             Host j3\n ProxyJump none\n ProxyCommand y\n\
             Host j4\n ProxyJump none\nHost j4\n ProxyJump a\n\
             Host j5\n ProxyCommand none\n ProxyJump a\n\
             Host j6\n ProxyJump carl@[2001:db8::1]:2202 # comment\n\
             Host j7\n ProxyJump %r@gate-%h\n",
        )],
        hosts: &["j1", "j2", "j3", "j4", "j5", "j6", "j7"],
        options: &[],
    },
    Case {
        name: "host keys and authentication",
        files: &[(
            "config",
            "Host s1\n StrictHostKeyChecking accept-new\nHost s2\n StrictHostKeyChecking off\n\
             Host s3\n StrictHostKeyChecking ask\nHost s4\n StrictHostKeyChecking TRUE\n\
             Host *\n HashKnownHosts yes\n RevokedHostKeys ~/revoked\n IdentitiesOnly yes\n\
             PubkeyAuthentication host-bound\n AddressFamily inet6\n BindAddress 192.0.2.1\n\
             BindInterface lo\n ServerAliveCountMax 2147483647\n IdentityAgent SSH_AUTH_SOCK\n",
        )],
        hosts: &["s1", "s2", "s3", "s4"],
        options: &[],
    },
    Case {
        name: "plain lists",
        files: &[(
            "config",
            "KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256\nCiphers aes256-ctr,aes128-cbc\n\
             MACs hmac-sha2-256,hmac-sha1\nHostKeyAlgorithms ssh-ed25519,ssh-rsa\n\
             PubkeyAcceptedKeyTypes rsa-sha2-512,ssh-ed25519\nCASignatureAlgorithms ssh-ed25519\n",
        )],
        hosts: &["db1"],
        options: &[],
    },
    Case {
        name: "options of the command line",
        files: &[(
            "config",
            "Port 1001\nUser file\nIdentityFile /file\nProxyJump file\n",
        )],
        hosts: &["db1", "typed@db1:99"],
        options: &[
            "Port=1002",
            "port 1003",
            "IdentityFile=/option",
            "ProxyCommand=nc  %h",
            "User = \"option user\"",
            "ForwardX11=yes",
            "Compression=yes",
        ],
    },
    Case {
        name: "unknown but ignored",
        files: &[(
            "config",
            "IgnoreUnknown Fancy*,other\nFancyThing a \"b c\"\nOther=1\nSendEnv LANG LC_*\n\
             LocalForward 8080 localhost:80\nGSSAPIAuthentication no\nPort 1001\n",
        )],
        hosts: &["db1"],
        options: &[],
    },
];

/// Files that neither takes.
const BROKEN: &[&str] = &[
    "Prot 22\n",
    "Port 0\n",
    "Port 22x\n",
    "Port 22 23\n",
    "Port\n",
    "User \"open\n",
    "Host \"\"\n",
    "Match\n",
    "Match host\n",
    "Match all user x\n",
    "Match colour red\n",
    "Host other\n Port x\n",
    "ServerAliveInterval 1.5\n",
    "ServerAliveInterval -1\n",
    "ServerAliveInterval 2147483648\n",
    "ServerAliveCountMax none\n",
    "Compression true\n",
    "StrictHostKeyChecking maybe\n",
    "AddressFamily inet5\n",
    "UserKnownHostsFile a none\n",
    "HostName %p\n",
    "UserKnownHostsFile /%q\n",
    "UserKnownHostsFile ${HEARTLINE_NO_SUCH}\n",
    "ProxyJump a,,b\n",
    "ProxyJump -x\n",
    "Ciphers aes*\n",
    "Ciphers +\n",
    "Include DIR/config\n",
];

#[tokio::test]
async fn both_ways_find_the_same() {
    let Some(ssh) = installed_ssh() else { return };
    let parsed = Resolver::with_parser();
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let config = write(dir.path(), case.files);
        for host in case.hosts {
            let mut inv = Invocation::new(host.parse().unwrap());
            inv.config_file = Some(config.clone());
            inv.options = case.options.iter().map(|o| (*o).to_owned()).collect();
            let what = format!("{}: {host}", case.name);
            // One that knows of no other host.
            let asked = Resolver::with_ssh(ssh.clone());
            let by_ssh = asked.resolve(&inv).await;
            let by_us = parsed.resolve(&inv).await;
            let by_ssh = comparable(by_ssh.unwrap_or_else(|e| panic!("{what}: ssh: {e}")));
            let by_us = comparable(by_us.unwrap_or_else(|e| panic!("{what}: parser: {e}")));
            assert_eq!(by_us, by_ssh, "{what}");
        }
    }
}

/// Whichever host ssh was asked for first.
#[tokio::test]
async fn what_hosts_share_is_what_each_is_told_alone() {
    let Some(ssh) = installed_ssh() else { return };
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let config = write(dir.path(), case.files);
        let hosts = case.hosts.iter().chain(MORE_HOSTS);
        let invocations = hosts.map(|host| {
            let mut inv = Invocation::new(host.parse().unwrap());
            inv.config_file = Some(config.clone());
            inv.options = case.options.iter().map(|o| (*o).to_owned()).collect();
            inv
        });
        let mut invocations: Vec<_> = invocations.collect();
        for _ in 0..2 {
            let shared = Resolver::with_ssh(ssh.clone());
            for inv in &invocations {
                let together = shared.resolve(inv).await.unwrap();
                let alone = Resolver::with_ssh(ssh.clone()).resolve(inv).await.unwrap();
                assert_eq!(together, alone, "{}: {:?}", case.name, inv.destination);
            }
            invocations.reverse();
        }
    }
}

const MORE_HOSTS: &[&str] = &["db3", "db4", "Web2.Example.org", "u@db5:24", "192.0.2.9"];

#[tokio::test]
async fn flags_mean_the_same() {
    let Some(ssh) = installed_ssh() else { return };
    let (asked, parsed) = (Resolver::with_ssh(ssh), Resolver::with_parser());
    let mut inv = Invocation::new("typed@db1:99".parse().unwrap());
    inv.config_file = Some("none".into());
    inv.options = vec!["ProxyCommand=x".into(), "Port=98".into()];
    for change in 0..6 {
        match change {
            0 => inv.jump = Some("none".parse().unwrap()),
            1 => inv.port = Some(97),
            2 => inv.user = Some("given".into()),
            3 => inv.jump = Some("ssh://a:1,b@[2001:db8::1]:22".parse().unwrap()),
            4 => inv.bind_address = Some("192.0.2.1".into()),
            _ => inv.family = crate::settings::Family::V4,
        }
        let by_ssh = comparable(asked.resolve(&inv).await.unwrap());
        let by_us = comparable(parsed.resolve(&inv).await.unwrap());
        assert_eq!(by_us, by_ssh, "change {change}");
    }
}

#[tokio::test]
async fn both_ways_refuse_the_same() {
    let Some(ssh) = installed_ssh() else { return };
    let (asked, parsed) = (Resolver::with_ssh(ssh), Resolver::with_parser());
    for text in BROKEN {
        let dir = tempfile::tempdir().unwrap();
        let config = write(dir.path(), &[("config", text)]);
        let mut inv = Invocation::new("db1".parse().unwrap());
        inv.config_file = Some(config);
        let by_ssh = asked.resolve(&inv).await;
        let by_us = parsed.resolve(&inv).await;
        assert!(by_ssh.is_err(), "ssh takes {text:?}");
        assert!(by_us.is_err(), "the parser takes {text:?}");
    }
}

/// Releases have other defaults, so ours are set to those of the ssh that is here.
#[test]
fn plus_minus_and_caret_mean_the_same() {
    let Some(ssh) = installed_ssh() else { return };
    for (keyword, kind, lists) in [
        (
            "kexalgorithms",
            KEX,
            [
                "+diffie-hellman-group14-sha1",
                "-ecdh-*,*group*",
                "^ecdh-sha2-nistp256",
            ],
        ),
        (
            "ciphers",
            CIPHERS,
            [
                "+aes128-cbc,aes256-ctr,3des-cbc",
                "-aes*",
                "^aes256-ctr,aes128-cbc",
            ],
        ),
        ("macs", MACS, ["+hmac-md5", "-umac*,*-etm@*", "^hmac-sha1"]),
        ("hostkeyalgorithms", KEYS, ["+ssh-rs*", "-*cert*", "^rsa-*"]),
        (
            "pubkeyacceptedalgorithms",
            KEYS,
            ["ssh-ed25519*", "-rsa-sha2-256", "^ssh-rsa"],
        ),
        (
            "casignaturealgorithms",
            CA,
            ["+ssh-rsa", "-ecdsa*", "^rsa-sha2-256"],
        ),
    ] {
        let defaults = print_list(&ssh, keyword, None);
        let kind = kind.with_defaults(defaults.split(',').map(str::to_owned).collect());
        for written in lists {
            let theirs = print_list(&ssh, keyword, Some(written));
            let ours = kind.spelled_out(written).map(|list| list.join(","));
            assert_eq!(
                ours.unwrap_or(defaults.clone()),
                theirs,
                "{keyword} {written}"
            );
        }
    }
}

fn print_list(ssh: &Path, keyword: &str, written: Option<&str>) -> String {
    let mut command = Command::new(ssh);
    command.args(["-G", "-T", "-F", "none"]);
    if let Some(written) = written {
        command.arg("-o").arg(format!("{keyword}={written}"));
    }
    let output = command.arg("db1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(keyword));
    line.unwrap_or_else(|| panic!("no {keyword}"))
        .trim()
        .to_owned()
}

/// Less what releases of ssh differ in: the names of default keys.
fn comparable(mut settings: Settings) -> Settings {
    settings.identity.files.retain(|file| file.explicit);
    settings
}

fn write(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("DIR", dir.to_str().unwrap())).unwrap();
    }
    dir.join(files[0].0)
}

fn installed_ssh() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path)
        .map(|folder| folder.join("ssh"))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("SKIPPED: no ssh installed");
    }
    found
}
