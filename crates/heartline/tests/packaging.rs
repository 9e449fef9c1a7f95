//! What is installed along with the program: units that hold what they promise, and commands in them that the program knows.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use program::Home;

const UNITS: [&str; 2] = ["heartline.service", "heartline-keep@.service"];

/// What every unit stands on.
const TARGETS: [&str; 5] = ["sysinit", "basic", "shutdown", "network", "multi-user"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn packaging(name: &str) -> PathBuf {
    repository().join("packaging").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs `systemd-analyze`: whether it is content, and what it said. `None`: it is not installed.
fn analyze(words: &[&str]) -> Option<(bool, String)> {
    let output = match Command::new("systemd-analyze").args(words).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn the_units_are_exposed_by_less_than_two_points_of_ten() {
    for unit in UNITS {
        let path = packaging("systemd").join(unit);
        let path = path.to_str().unwrap();
        let words = ["security", "--offline=true", "--threshold=20", path];
        let Some((is_fine, said)) = analyze(&words) else {
            let what = "systemd-analyze is missing (Debian package systemd)";
            lab::skipped("the_units_are_exposed_by_less_than_two_points_of_ten", what);
            return;
        };
        assert!(is_fine, "{unit}: {said}");
        println!("{}", said.lines().last().unwrap_or_default());
    }
}

#[test]
fn systemd_understands_the_units() {
    let root = tempfile::tempdir().unwrap();
    let under = |name: &str| root.path().join(name);
    for folder in ["usr/bin", "bin", "etc/systemd/system"] {
        fs::create_dir_all(under(folder)).unwrap();
    }
    for program in ["usr/bin/heartline", "bin/kill"] {
        fs::copy("/bin/true", under(program)).unwrap();
    }
    for target in TARGETS {
        let unit = format!("etc/systemd/system/{target}.target");
        fs::write(under(&unit), "[Unit]\nDescription=A target\n").unwrap();
    }
    for unit in UNITS {
        let from = packaging("systemd").join(unit);
        fs::copy(from, under("etc/systemd/system").join(unit)).unwrap();
    }
    let root_flag = format!("--root={}", root.path().display());
    let mut words = vec!["verify", "--man=no", root_flag.as_str()];
    words.extend(UNITS);
    let Some((is_fine, said)) = analyze(&words) else {
        let what = "systemd-analyze is missing (Debian package systemd)";
        lab::skipped("systemd_understands_the_units", what);
        return;
    };
    // What it does not understand it passes over with a warning.
    assert!(is_fine && said.is_empty(), "{said}");
}

/// The program takes these words: with --help it says so, and does nothing.
fn takes(home: &Home, words: &[String]) {
    let (program, words) = words.split_first().unwrap();
    assert_eq!(program, "/usr/bin/heartline");
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let at = words
        .iter()
        .position(|word| *word == "--")
        .unwrap_or(words.len());
    words.insert(at, "--help");
    let ended = home.run(&words);
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
}

#[test]
fn the_program_knows_the_commands_of_the_units() {
    let home = Home::new();
    for unit in UNITS {
        let text = read(&packaging("systemd").join(unit));
        let command = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let words = command.unwrap().split_whitespace();
        let words = words
            .filter(|word| *word != "$KEEP_FLAGS")
            .map(str::to_owned);
        takes(&home, &words.collect::<Vec<_>>());
        // What it has to say to systemd it says.
        assert!(text.contains("\nType=notify\n") && text.contains("\nWatchdogSec="));
    }
}

#[test]
fn the_program_knows_the_commands_of_the_container() {
    let home = Home::new();
    let text = read(&packaging("docker/Dockerfile")).replace("\\\n", " ");
    let list = |what: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(what)).unwrap();
        serde_json::from_str(line.get(line.find('[').unwrap()..).unwrap()).unwrap()
    };
    takes(&home, &list("HEALTHCHECK"));
    takes(&home, &[list("ENTRYPOINT"), list("CMD")].concat());
    let copied = text.lines().filter(|line| line.contains("install -m 644"));
    for file in copied
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains("LICENSE"))
    {
        assert!(repository().join(file).exists(), "{file}");
    }
}

#[test]
fn the_configuration_that_is_installed_is_fine() {
    let home = Home::new();
    home.key("key");
    let file = packaging("etc/heartline.toml");
    // With its examples too.
    let text = read(&file);
    let (head, examples) = text.split_once("\n#[[node]]").unwrap();
    let examples = format!("\n#[[node]]{examples}");
    let keys = examples.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    });
    let filled = format!(
        "{}{}",
        head.replace("\n#", "\n# "),
        keys.collect::<Vec<_>>().join("\n")
    );
    home.write("filled.toml", filled);
    let ssh_config = packaging("etc/ssh_config");
    for (file, counts) in [
        (file.as_path(), ": 0 nodes, 0 lines; 1 warning\n"),
        (&home.path("filled.toml"), ": 2 nodes, 4 lines\n"),
    ] {
        let output = home
            .command()
            .env("CREDENTIALS_DIRECTORY", home.path(""))
            .args(["config", "check", "-c"])
            .arg(file)
            .arg("-F")
            .arg(&ssh_config)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(said.ends_with(counts), "{said}");
    }
}

/// Before the service has run there is no /run/credentials, and once the key is encrypted nobody can read it by hand.
#[test]
fn the_check_that_install_md_tells_works_when_it_is_told() {
    let told = read(&repository().join("docs/install.md"));
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("# CREDENTIALS_DIRECTORY=/etc/heartline heartline "));
    let line = line.unwrap();
    let at = |words: &str| told.find(words).unwrap();
    let steps = [
        "ssh-keygen -t ed25519",
        "ssh-keyscan",
        "heartline config import ansible",
        line,
        "systemctl enable --now heartline",
        "systemd-creds encrypt",
    ];
    assert!(steps.map(at).is_sorted(), "{:?}", steps.map(at));

    let home = Home::new();
    home.key("key");
    home.write("known_hosts", "");
    home.write("ssh_config", read(&packaging("etc/ssh_config")));
    home.write("heartline.toml", "[[node]]\nname = \"localhost\"\n");
    let here = home.path("");
    let line = line.replace("/etc/heartline", &here.display().to_string());
    let check = |credentials: &Path| {
        let mut command = home.command();
        command.env("CREDENTIALS_DIRECTORY", credentials);
        let output = command.args(line.split(' ')).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = check(&here);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with(": 1 node, 1 line\n"), "{said}");
    let (code, said) = check(Path::new("/run/credentials/heartline-not-running.service"));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("/key does not exist"), "{said}");
}

#[test]
fn what_the_package_is_made_of_is_there() {
    let manifest = read(&repository().join("crates/heartline/Cargo.toml"));
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    for asset in deb["assets"].as_array().unwrap() {
        let from = asset[0].as_str().unwrap();
        // Made by scripts/package.
        if from.contains("target/") {
            continue;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
        let is_there = match from.split_once('*') {
            None => path.is_file(),
            Some((folder, _)) => Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).is_dir(),
        };
        assert!(is_there, "{from}");
    }
    for script in ["package", "sbom"] {
        let path = repository().join("scripts").join(script);
        let status = Command::new("bash").arg("-n").arg(&path).status().unwrap();
        assert!(status.success(), "{}", path.display());
    }
}
