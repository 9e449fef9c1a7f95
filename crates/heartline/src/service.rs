//! What systemd is told, where it listens (`sd_notify(3)`). For everybody else all of it is nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use heartline_watch::NodeBrief;
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep_until};

use crate::words;

/// See the module.
#[derive(Debug)]
pub(crate) struct Service {
    is_listening: bool,
    is_ready: bool,
    said: String,
    /// Something may have changed since it was last said.
    is_news: bool,
    /// How often to show that we work; none: nobody asks.
    watchdog: Option<Duration>,
    shown: Instant,
    next: Instant,
}

impl Service {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self {
            is_listening: std::env::var_os("NOTIFY_SOCKET").is_some(),
            is_ready: false,
            said: String::new(),
            is_news: true,
            watchdog: sd_notify::watchdog_enabled(),
            shown: now,
            next: now,
        }
    }

    /// It does what it is for. Said once.
    pub(crate) fn ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    /// In what state it is, in one line. Said when it changes.
    pub(crate) fn says(&mut self, says: &str) {
        if says != self.said {
            let _ = sd_notify::notify(&[NotifyState::Status(says)]);
            says.clone_into(&mut self.said);
        }
    }

    /// It works. Said a few times in the time that somebody waits for it.
    pub(crate) fn alive(&mut self) {
        let is_due = |every: Duration| self.shown.elapsed() >= every / 3;
        if self.watchdog.is_some_and(is_due) {
            self.shown = Instant::now();
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }

    /// It ends, as it was told to.
    pub(crate) fn stopping() {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }

    /// When [`Service::tick`] is due: about once a second, and never where nobody listens.
    pub(crate) async fn due(&self) {
        if self.is_listening {
            sleep_until(self.next).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Shows that it works, and how its nodes are if there were news.
    pub(crate) fn tick(&mut self, nodes: impl FnOnce() -> Vec<NodeBrief>) {
        let often = self.watchdog.map_or(TICK, |every| (every / 4).min(TICK));
        self.next = Instant::now() + often.max(LEAST);
        self.alive();
        if std::mem::take(&mut self.is_news) {
            self.says(&counted(&nodes()));
        }
    }

    /// Something has changed.
    pub(crate) fn news(&mut self) {
        self.is_news = true;
    }
}

/// How many nodes are in which state, and the first of those that are down.
fn counted(nodes: &[NodeBrief]) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        *states.entry(node.state.word()).or_default() += 1;
    }
    let mut states: Vec<_> = states.into_iter().collect();
    let rank = |word: &str| ORDER.iter().position(|known| *known == word);
    states.sort_by_key(|(word, _)| rank(word).unwrap_or(ORDER.len()));
    let states: Vec<_> = states
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    let mut text = match nodes.len() {
        1 => "1 node".to_owned(),
        many => format!("{many} nodes"),
    };
    if !states.is_empty() {
        let _ = write!(text, ": {}", states.join(", "));
    }
    let down: Vec<_> = nodes
        .iter()
        .filter(|node| node.state.word() == "down")
        .collect();
    let few: Vec<_> = down
        .iter()
        .take(FEW)
        .map(|node| words::plain(&node.node))
        .collect();
    if !few.is_empty() {
        let more = down.len().saturating_sub(few.len());
        let _ = write!(text, "; down: {}", few.join(", "));
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
    }
    text
}

/// From good to bad.
const ORDER: [&str; 6] = ["up", "degraded", "suspect", "down", "unknown", "paused"];
/// Down nodes that are named.
const FEW: usize = 5;
const TICK: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(10);
