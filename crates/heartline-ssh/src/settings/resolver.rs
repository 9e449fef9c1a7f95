//! Makes [`Settings`] of an [`Invocation`], by `ssh -G` where an `ssh` is installed, else by the parser,
//! and remembers what was found.

use std::collections::HashMap;
use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use super::Settings;
use super::error::SettingsError;
use super::found::Found;
use super::host_line::HostLine;
use super::invocation::Invocation;
use super::line_override::LineOverride;
use super::local::Local;
use super::parser::Parser;
use super::shared::{Kinds, Parsed, Shared};
use super::ssh_g::SshG;

/// Answers what `ssh_config` says. Cheap to share behind an `Arc`; every method may be called from many
/// tasks at once. Must be used within a tokio runtime.
#[derive(Debug)]
pub struct Resolver {
    ssh: Option<SshG>,
    parser: Arc<Parser>,
    local: Arc<Local>,
    /// By invocation less its line: the lines of a node share one answer.
    known: Mutex<HashMap<Invocation, Arc<OnceCell<Arc<Found>>>>>,
    kinds: Kinds,
    say_once: Once,
}

impl Resolver {
    /// Uses the first `ssh` on `PATH`, or the parser where there is none, or none that knows `-G`
    /// (dropbear's).
    pub fn detect() -> Self {
        Self::new(find_ssh().map(SshG::new))
    }

    /// Uses this `ssh`.
    pub fn with_ssh(program: PathBuf) -> Self {
        Self::new(Some(SshG::new(program)))
    }

    /// Never runs `ssh`, reads the files itself.
    pub fn with_parser() -> Self {
        Self::new(None)
    }

    fn new(ssh: Option<SshG>) -> Self {
        let local = Local::current();
        Self {
            ssh,
            parser: Arc::new(Parser::new(&local)),
            local: Arc::new(local),
            known: Mutex::new(HashMap::new()),
            kinds: Kinds::default(),
            say_once: Once::new(),
        }
    }

    /// The settings of one invocation, its line's overrides included.
    ///
    /// Takes 10 s at most once it is its turn (at most 8 `ssh` run at once). What `ssh_config` said is
    /// remembered until [`forget`](Self::forget); errors are not.
    pub async fn resolve(&self, inv: &Invocation) -> Result<Settings, SettingsError> {
        let key = Invocation {
            line: LineOverride::default(),
            identity_files: Vec::new(),
            ..inv.clone()
        };
        let cell = self.cell(&key);
        let found = cell.get_or_try_init(|| self.find(&key)).await?;
        found.finish(inv, &self.local)
    }

    /// The `Host` lines of this file, or of the user's and the system's where none is named, with what they include. Runs nothing,
    /// whatever the files ask for; takes 10 s at most.
    pub async fn host_lines(&self, file: Option<&Path>) -> Result<Vec<HostLine>, SettingsError> {
        let (parser, local) = (Arc::clone(&self.parser), Arc::clone(&self.local));
        let file = file.map(Path::to_owned);
        let reading = spawn_blocking(move || parser.host_lines(file.as_deref(), &local));
        match timeout(READ_DEADLINE, reading).await {
            Ok(Ok(lines)) => Ok(lines?),
            Ok(Err(_)) => Err(SettingsError::Cancelled),
            Err(_) => Err(SettingsError::Deadline {
                after: READ_DEADLINE,
            }),
        }
    }

    /// Forgets every answer, so that changed files are read again (SIGHUP). What runs now may still end
    /// with an old answer.
    pub fn forget(&self) {
        self.kinds.forget();
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn cell(&self, key: &Invocation) -> Arc<OnceCell<Arc<Found>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN && !known.contains_key(key) {
            known.clear();
        }
        Arc::clone(known.entry(key.clone()).or_default())
    }

    async fn find(&self, key: &Invocation) -> Result<Arc<Found>, SettingsError> {
        let Some(ssh) = &self.ssh else {
            return Ok(Arc::new(self.parse(key).await?.found));
        };
        // What the parser does not understand ssh is asked for.
        let shared = match self.parse(key).await {
            Ok(parsed) => self.kinds.find(key, parsed, ssh.find(key)).await?,
            Err(_) => Shared::AskSsh,
        };
        let found = match shared {
            Shared::Found(found) => Some(*found),
            Shared::AskSsh => ssh.find(key).await?,
            Shared::NoSsh => None,
        };
        if let Some(found) = found {
            return Ok(Arc::new(found));
        }
        self.say_once.call_once(|| {
            warn!(
                program = %ssh.program().display(),
                "This ssh does not know -G. Reading ssh_config without it."
            );
        });
        Ok(Arc::new(self.parse(key).await?.found))
    }

    async fn parse(&self, key: &Invocation) -> Result<Parsed, SettingsError> {
        let (parser, local) = (Arc::clone(&self.parser), Arc::clone(&self.local));
        let key = key.clone();
        let reading = spawn_blocking(move || parser.find(&key, &local));
        match timeout(READ_DEADLINE, reading).await {
            Ok(Ok(parsed)) => Ok(parsed?),
            Ok(Err(_)) => Err(SettingsError::Cancelled),
            Err(_) => Err(SettingsError::Deadline {
                after: READ_DEADLINE,
            }),
        }
    }
}

/// The first `ssh` on `PATH` that may be run. Relative entries are passed over: what stands in the
/// folder somebody happens to be in is not the installed ssh.
fn find_ssh() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("ssh"))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// How long the parser may read (a file server that is gone must not hold a node up for ever).
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// Answers kept at most; past that all are dropped and asked for anew.
const MAX_KNOWN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_remembered_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        fs::write(&file, "Port 1001\n").unwrap();
        let resolver = Resolver::with_parser();
        let mut inv = Invocation::new("db1".parse().unwrap());
        inv.config_file = Some(file.clone());
        assert_eq!(resolver.resolve(&inv).await.unwrap().port, 1001);
        fs::write(&file, "Port 1002\n").unwrap();
        assert_eq!(resolver.resolve(&inv).await.unwrap().port, 1001);
        resolver.forget();
        assert_eq!(resolver.resolve(&inv).await.unwrap().port, 1002);
    }

    #[tokio::test]
    async fn an_error_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let resolver = Resolver::with_parser();
        let mut inv = Invocation::new("db1".parse().unwrap());
        inv.config_file = Some(file.clone());
        assert!(resolver.resolve(&inv).await.is_err());
        fs::write(&file, "Port 1001\n").unwrap();
        assert_eq!(resolver.resolve(&inv).await.unwrap().port, 1001);
    }

    #[tokio::test]
    async fn an_ssh_without_g_is_passed_over() {
        let resolver = Resolver::with_ssh("/bin/false".into());
        let mut inv = Invocation::new("db1".parse().unwrap());
        inv.config_file = Some("none".into());
        inv.options = vec!["Port=1001".into()];
        assert_eq!(resolver.resolve(&inv).await.unwrap().port, 1001);
    }

    #[tokio::test]
    async fn the_lines_of_a_node_share_one_answer() {
        let resolver = Resolver::with_parser();
        let mut node = Invocation::new("db1".parse().unwrap());
        node.config_file = Some("none".into());
        for text in ["10.0.0.1", "10.0.0.2,port=23"] {
            let line = node.clone().with_line(text.parse().unwrap());
            resolver.resolve(&line).await.unwrap();
        }
        assert_eq!(resolver.known.lock().unwrap().len(), 1);
    }

    /// An `ssh` that counts how often it was asked.
    fn counting_ssh(dir: &Path) -> Option<(Resolver, impl Fn() -> usize)> {
        let ssh = find_ssh()?;
        let (program, log) = (dir.join("ssh"), dir.join("log"));
        let text = format!(
            "#!/bin/sh\necho asked >>'{}'\nexec '{}' \"$@\"\n",
            log.display(),
            ssh.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let asked = move || fs::read_to_string(&log).unwrap_or_default().lines().count();
        Some((Resolver::with_ssh(program), asked))
    }

    #[tokio::test]
    async fn ssh_is_asked_once_for_all_that_the_files_do_not_tell_apart() {
        let dir = tempfile::tempdir().unwrap();
        let Some((resolver, asked)) = counting_ssh(dir.path()) else {
            println!("SKIPPED: no ssh installed");
            return;
        };
        let file = dir.path().join("config");
        let text = "Host web*\n Port 2201\nHost *\n HostName %h.example.org\n User u\n\
                    ProxyCommand nc %h %p\n";
        fs::write(&file, text).unwrap();
        let resolve = async |host: &str| {
            let mut inv = Invocation::new(host.parse().unwrap());
            inv.config_file = Some(file.clone());
            resolver.resolve(&inv).await.unwrap()
        };
        for number in 0..20 {
            let found = resolve(&format!("db{number}")).await;
            assert_eq!(found.host, format!("db{number}.example.org"));
            let found = resolve(&format!("web{number}")).await;
            assert_eq!(found.port, 2201);
        }
        assert_eq!(asked(), 3, "the baseline, db*, web*");
        resolve("other@db1").await;
        assert_eq!(asked(), 4, "a user named in the destination");
        // What ssh prints with its tokens expanded is true of one host alone.
        fs::write(&file, "UserKnownHostsFile /known/%h\n").unwrap();
        resolver.forget();
        for number in 0..5 {
            resolve(&format!("db{number}")).await;
        }
        assert_eq!(asked(), 9);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let resolver = Resolver::with_parser();
        for port in 0..=u16::try_from(MAX_KNOWN).unwrap() {
            let mut inv = Invocation::new("db1".parse().unwrap());
            inv.port = Some(port);
            drop(resolver.cell(&inv));
        }
        assert_eq!(resolver.known.lock().unwrap().len(), 1);
    }
}
