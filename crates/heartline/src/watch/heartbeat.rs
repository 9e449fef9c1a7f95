//! Who watches the watcher: a file that is written, or a URL that is fetched, for as long as this one is well.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use heartline_watch::config::HeartbeatEntry;
use jiff::Timestamp;
use tracing::{info, warn};

/// A sign of life of the watcher itself. It is given by a thread of its own, and only if the watcher has said since the last one that it is well.
pub(super) struct Heartbeat {
    is_well: Arc<AtomicBool>,
}

struct Task {
    is_well: Arc<AtomicBool>,
    url: Option<String>,
    file: Option<PathBuf>,
    interval: Duration,
    /// What went wrong the last time was said.
    is_said: bool,
}

impl Heartbeat {
    /// Says what is wrong with it, before anything is started.
    pub(super) fn check(entry: &HeartbeatEntry) -> anyhow::Result<()> {
        let interval = entry.interval.unwrap_or(INTERVAL);
        ensure!(
            interval >= LEAST,
            "heartbeat: interval is under 5 s; make it longer"
        );
        if let Some(url) = &entry.url {
            let is_web = url.starts_with("http://") || url.starts_with("https://");
            ensure!(is_web, "heartbeat: url is no http:// or https:// address");
        }
        Ok(())
    }

    /// Starts it, if one is asked for.
    pub(super) fn start(entry: &HeartbeatEntry) -> anyhow::Result<Option<Self>> {
        if entry.url.is_none() && entry.file.is_none() {
            return Ok(None);
        }
        let interval = entry.interval.unwrap_or(INTERVAL);
        let is_well = Arc::<AtomicBool>::default();
        let task = Task {
            is_well: Arc::clone(&is_well),
            url: entry.url.clone(),
            file: entry.file.clone(),
            interval,
            is_said: false,
        };
        let client = reqwest::blocking::Client::builder();
        let client = client
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("heartline/", env!("CARGO_PKG_VERSION")));
        let thread = thread::Builder::new().name("heartline-sign".into());
        thread
            .spawn(move || match client.build() {
                Ok(client) => task.run(&client),
                Err(error) => warn!(%error, "No heartbeat: there is no HTTP client."),
            })
            .context("cannot start a thread")?;
        Ok(Some(Self { is_well }))
    }

    /// The watcher judges, and is not cut off.
    pub(super) fn is_well(&self) {
        self.is_well.store(true, Ordering::Release);
    }
}

impl Task {
    fn run(mut self, client: &reqwest::blocking::Client) {
        let mut next = Instant::now();
        loop {
            // Both ends of an Arc: the watcher is gone.
            if Arc::strong_count(&self.is_well) == 1 {
                return;
            }
            if Instant::now() >= next && self.is_well.swap(false, Ordering::AcqRel) {
                next = Instant::now() + self.interval;
                self.give(client);
            }
            thread::sleep(LOOK.min(self.interval));
        }
    }

    fn give(&mut self, client: &reqwest::blocking::Client) {
        let file = self.file.as_deref().map_or(Ok(()), write);
        let url = self.url.as_deref().map_or(Ok(()), |url| fetch(client, url));
        match file.and(url) {
            Ok(()) if self.is_said => {
                info!("The heartbeat is given again.");
                self.is_said = false;
            }
            Err(error) if !self.is_said => {
                warn!(
                    "The heartbeat was not given: {error:#}. It is tried again every {} s.",
                    self.interval.as_secs()
                );
                self.is_said = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Its content is the time; its own time changes with it.
fn write(path: &Path) -> anyhow::Result<()> {
    let text = format!("{:.3}\n", Timestamp::now());
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What it answers is not read. The address may hold a secret, and is not said.
fn fetch(client: &reqwest::blocking::Client, url: &str) -> anyhow::Result<()> {
    let answer = client
        .get(url)
        .send()
        .map_err(reqwest::Error::without_url)?;
    answer
        .error_for_status()
        .map_err(reqwest::Error::without_url)?;
    Ok(())
}

const INTERVAL: Duration = Duration::from_mins(1);
const LEAST: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether the time has come.
const LOOK: Duration = Duration::from_millis(500);
