//! Called as `autossh`, heartline takes its arguments and its environment, and is `heartline keep`.
//!
//! What autossh gives to ssh is given to `keep`, as far as it bears on a connection that carries forwards. What cannot be done is
//! refused rather than left out; what is not needed is left out, and said once.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// What an invocation of autossh means here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Autossh {
    /// For `heartline`, the name of the program first.
    pub(crate) args: Vec<OsString>,
    /// What is otherwise than one may expect, each worth a line.
    pub(crate) notes: Vec<String>,
    /// `-f`.
    in_background: bool,
    /// `-V`.
    asks_version: bool,
    /// `AUTOSSH_PIDFILE`.
    pid_file: Option<PathBuf>,
    /// `AUTOSSH_LOGFILE`, or `-E`.
    log_file: Option<PathBuf>,
}

/// Whether a program called like that is to be autossh.
pub(crate) fn is_meant(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some(OsStr::new("autossh"))
}

impl Autossh {
    /// Of these arguments, without the program's name, and this environment.
    pub(crate) fn new(
        args: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Self> {
        // autossh, too, takes an empty one for none.
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        let mut this = Self {
            args: vec!["heartline".into(), "keep".into()],
            pid_file: environment("AUTOSSH_PIDFILE").map(PathBuf::from),
            log_file: environment("AUTOSSH_LOGFILE").map(PathBuf::from),
            ..Self::default()
        };
        let mut given = Self::default();
        let is_monitored = given.arguments(args)?;
        // In the background the first try may fail for as long as it likes: the network may not be there yet (autossh(1), -f).
        this.environment(&environment, given.in_background)?;
        this.args.extend(given.args);
        this.notes.extend(given.notes);
        this.in_background = given.in_background;
        this.log_file = given.log_file.or(this.log_file);
        if given.asks_version {
            this.args = vec!["heartline".into(), "--version".into()];
        }
        if is_monitored || environment("AUTOSSH_PORT").is_some_and(|port| port != "0") {
            this.notes.push(
                "the monitoring port (-M, AUTOSSH_PORT) is not used: heartline beats inside the SSH session".to_owned(),
            );
        }
        Ok(this)
    }

    fn environment(
        &mut self,
        environment: &impl Fn(&str) -> Option<OsString>,
        in_background: bool,
    ) -> anyhow::Result<()> {
        let number = |name: &str| -> anyhow::Result<Option<i64>> {
            let Some(value) = environment(name) else {
                return Ok(None);
            };
            let text = value.to_string_lossy();
            let number = text.trim().parse();
            Ok(Some(number.with_context(|| {
                format!("{name}={} is no number", crate::words::plain(&text))
            })?))
        };
        // autossh's own default; a negative one is 0 there, too.
        let gate = number("AUTOSSH_GATETIME")?.unwrap_or(30).max(0);
        let gate = if in_background { 0 } else { gate };
        self.give("--gate-time", gate.to_string());
        if let Some(most) = number("AUTOSSH_MAXSTART")?.filter(|most| *most >= 0) {
            // 0 means never there; here it would mean for ever.
            if most == 0 {
                bail!("AUTOSSH_MAXSTART=0 asks for no connection at all");
            }
            self.give("--max-tries", most.to_string());
        }
        if let Some(life) = number("AUTOSSH_MAXLIFETIME")?.filter(|life| *life > 0) {
            self.give("--max-lifetime", life.to_string());
        }
        for name in ["AUTOSSH_POLL", "AUTOSSH_FIRST_POLL"] {
            if environment(name).is_some() {
                self.notes.push(format!(
                    "{name} is not used; ServerAliveInterval (-o), or 5 s, says how often to ask"
                ));
            }
        }
        for name in ["AUTOSSH_PATH", "AUTOSSH_MESSAGE"] {
            if environment(name).is_some_and(|value| !value.is_empty()) {
                self.notes
                    .push(format!("{name} is not used: no ssh is started"));
            }
        }
        if number("AUTOSSH_LOGLEVEL")?.is_some_and(|level| level >= 7)
            || environment("AUTOSSH_DEBUG").is_some()
        {
            self.args.push("-v".into());
        }
        Ok(())
    }

    /// Whether it asks for a monitoring port.
    fn arguments(&mut self, args: impl IntoIterator<Item = OsString>) -> anyhow::Result<bool> {
        let mut args = args.into_iter();
        let mut host = None;
        let mut is_monitored = false;
        while let Some(arg) = args.next() {
            let text = arg.to_str().with_context(|| "an argument is not UTF-8")?;
            if text == "--" && host.is_none() {
                host = args.next();
                continue;
            }
            let Some(letters) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                if host.is_some() {
                    bail!(
                        "a command is given, and a connection that is kept runs none; heartline run runs one"
                    );
                }
                host = Some(arg);
                continue;
            };
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                if !TAKE_A_VALUE.contains(letter) && letter != 'M' {
                    self.flag(letter)?;
                    continue;
                }
                let rest = letters.as_str();
                let value = if rest.is_empty() {
                    let next = args.next();
                    next.with_context(|| format!("-{letter} needs a value"))?
                } else {
                    rest.into()
                };
                is_monitored |= self.option(letter, value)?;
                break;
            }
        }
        if self.asks_version {
            return Ok(false);
        }
        let host = host.context("no host is given")?;
        self.args.push("--".into());
        self.args.push(host);
        Ok(is_monitored)
    }

    fn flag(&mut self, letter: char) -> anyhow::Result<()> {
        match letter {
            'f' => self.in_background = true,
            // There is no command, no terminal and no standard input to be without.
            'N' | 'T' | 'n' | 'a' | 'x' | 'k' | 'y' => {}
            '4' | '6' | 'g' | 'q' | 'v' => self.args.push(format!("-{letter}").into()),
            'C' => self.give("-o", "Compression=yes"),
            'A' | 'X' | 'Y' | 'K' => self.notes.push(format!(
                "-{letter} is not done: a connection that is kept forwards ports and sockets, no agent, display or credentials"
            )),
            'V' => self.asks_version = true,
            other => bail!("-{other} is not known, or cannot be done by heartline keep"),
        }
        Ok(())
    }

    /// Whether it is a monitoring port.
    fn option(&mut self, letter: char, value: OsString) -> anyhow::Result<bool> {
        match letter {
            'M' => return Ok(value != "0"),
            'c' => self.give_option("Ciphers", &value),
            'm' => self.give_option("MACs", &value),
            'E' => self.log_file = Some(value.into()),
            'e' => {}
            'I' | 'O' | 'Q' | 'S' | 'W' | 'w' => {
                bail!("-{letter} cannot be done by heartline keep")
            }
            other => self.give(&format!("-{other}"), value),
        }
        Ok(false)
    }

    fn give_option(&mut self, name: &str, value: &OsStr) {
        let mut option = OsString::from(format!("{name}="));
        option.push(value);
        self.give("-o", option);
    }

    fn give(&mut self, flag: &str, value: impl Into<OsString>) {
        self.args.push(flag.into());
        self.args.push(value.into());
    }

    /// Goes where it is to be: into the background, its output into a file. Before any thread is started.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        if let Some(file) = &self.log_file {
            let log = fs::File::options().append(true).create(true).open(file);
            let log = log.with_context(|| format!("log file {}", file.display()))?;
            rustix::stdio::dup2_stdout(&log)?;
            rustix::stdio::dup2_stderr(&log)?;
        }
        if self.in_background {
            // Its output stays open where it goes into a file.
            nix::unistd::daemon(true, self.log_file.is_some())
                .context("going into the background")?;
        }
        if let Some(file) = &self.pid_file {
            let pid = std::process::id();
            fs::write(file, format!("{pid}\n"))
                .with_context(|| format!("pid file {}", file.display()))?;
        }
        Ok(())
    }

    /// What is left of it.
    pub(crate) fn leave(&self) {
        if let Some(file) = &self.pid_file
            && let Err(error) = fs::remove_file(file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("The pid file {} stays: {error}.", file.display());
        }
    }
}

/// Of ssh's flags.
const TAKE_A_VALUE: &str = "BbcDEeFIiJLlmOopQRSWw";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, environment: &[(&str, &str)]) -> anyhow::Result<Autossh> {
        let words = line.split_whitespace().map(OsString::from);
        Autossh::new(words, |name| {
            let found = environment.iter().find(|(had, _)| *had == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn args(line: &str, environment: &[(&str, &str)]) -> String {
        let args = of(line, environment).unwrap().args;
        let args: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        args.join(" ")
    }

    /// autossh(1), its examples, and those of people.
    #[test]
    fn what_people_have_in_their_scripts_is_taken() {
        for (line, wanted) in [
            (
                "-M 0 -f -N -L 5432:localhost:5432 db1",
                "heartline keep --gate-time 0 -L 5432:localhost:5432 -- db1",
            ),
            (
                "-M 20000:7 -NTR2222:localhost:22 -p2200 me@gw.example.org",
                "heartline keep --gate-time 30 -R 2222:localhost:22 -p 2200 -- me@gw.example.org",
            ),
            (
                "-M0 gw -o ServerAliveInterval=30 -oServerAliveCountMax=3 -i /k -D 1080 -Cq",
                "heartline keep --gate-time 30 -o ServerAliveInterval=30 -o ServerAliveCountMax=3 -i /k -D 1080 -o Compression=yes -q -- gw",
            ),
            (
                "-c aes128-ctr -N -- gw",
                "heartline keep --gate-time 30 -o Ciphers=aes128-ctr -- gw",
            ),
        ] {
            assert_eq!(args(line, &[]), wanted);
        }
    }

    #[test]
    fn its_environment_is_taken() {
        let environment = [
            ("AUTOSSH_GATETIME", "0"),
            ("AUTOSSH_MAXSTART", "5"),
            ("AUTOSSH_MAXLIFETIME", "3600"),
            ("AUTOSSH_PIDFILE", "/run/x.pid"),
            ("AUTOSSH_LOGFILE", "/var/log/x"),
        ];
        assert_eq!(
            args("-N gw", &environment),
            "heartline keep --gate-time 0 --max-tries 5 --max-lifetime 3600 -- gw"
        );
        let autossh = of("-f -N gw", &environment).unwrap();
        assert_eq!(autossh.pid_file, Some("/run/x.pid".into()));
        assert_eq!(autossh.log_file, Some("/var/log/x".into()));
        assert!(autossh.in_background && autossh.notes.is_empty());
        assert_eq!(
            args(
                "-N gw",
                &[
                    ("AUTOSSH_MAXSTART", "-1"),
                    ("AUTOSSH_GATETIME", ""),
                    ("AUTOSSH_PIDFILE", "")
                ]
            ),
            "heartline keep --gate-time 30 -- gw"
        );
    }

    #[test]
    fn what_is_otherwise_is_said_and_what_cannot_be_done_is_refused() {
        let notes = |line: &str| of(line, &[]).unwrap().notes;
        assert_eq!(notes("-M 20000 gw").len(), 1);
        assert!(notes("-M 0 gw").is_empty());
        assert!(notes("-A gw")[0].contains("-A is not done"));
        assert_eq!(
            of("gw", &[("AUTOSSH_PORT", "20000"), ("AUTOSSH_POLL", "60")])
                .unwrap()
                .notes
                .len(),
            2
        );
        for line in ["", "-N", "gw uptime", "-W a:1 gw", "-L", "-Z gw", "-t gw"] {
            assert!(of(line, &[]).is_err(), "{line}");
        }
        assert!(of("gw", &[("AUTOSSH_GATETIME", "soon")]).is_err());
        assert!(of("gw", &[("AUTOSSH_MAXSTART", "0")]).is_err());
    }

    #[test]
    fn by_its_name() {
        assert!(is_meant(OsStr::new("/usr/local/bin/autossh")));
        assert!(!is_meant(OsStr::new("heartline")));
        assert!(!is_meant(OsStr::new("/opt/autossh/heartline")));
    }
}
