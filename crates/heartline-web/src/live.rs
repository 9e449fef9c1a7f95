//! What happens, to whoever listens, as server-sent events: each event is made into text once, and handed to all.
//!
//! A stream begins with `hello`, then what was told since the event that it was asked for (`Last-Event-ID`, `after`), as far as it is at hand, then what is told from then on. An
//! event's id is `BEGUN-SEQ`: numbers of another process, begun at another time, are not taken for ours. Who
//! cannot have all of it, because it is too long ago or because they are too slow, is told `resync`: they are to read anew what they show.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use heartline_watch::board::{Known, Noted};
use heartline_watch::{Board, NodeBrief};
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::row::{Face, Row};
use crate::{answer, words};

/// Makes text of events.
#[derive(Debug)]
pub(crate) struct Hub {
    board: Board,
    /// When this watcher began, as ids have it.
    begun: Arc<str>,
    api: broadcast::Sender<Message>,
    page: broadcast::Sender<Message>,
}

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Programs: events as they are.
    Api,
    /// The page's script: what changes in its rows, and a line of text.
    Page,
}

/// The last event that somebody has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// By its number alone.
    Number(u64),
    /// By its id, or what is none.
    Id(String),
}

/// What of an event is looked up when it is told.
struct Scene {
    noted: Arc<Noted>,
    brief: Option<Arc<NodeBrief>>,
    isolated: bool,
}

/// Something that is sent.
#[derive(Clone, Debug)]
struct Message {
    /// Of an event; 0 for anything else.
    seq: u64,
    text: Bytes,
}

/// An event for the page's script.
#[derive(Serialize)]
struct ForPage<'a> {
    t: String,
    iso: bool,
    row: Option<Face>,
    ev: Option<words::Line>,
    node: Option<&'a str>,
}

impl Hub {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            begun: board.begun().to_string().into(),
            board,
            api: broadcast::channel(BEHIND).0,
            page: broadcast::channel(BEHIND).0,
        }
    }

    /// Goes on until its task is ended.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut news = self.board.follow();
        let mut looking = interval(LOOK);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.board.read(|known| (known.plans, known.sampled));
        loop {
            tokio::select! {
                noted = news.recv() => match noted {
                    Ok(noted) => self.tell(&noted),
                    Err(RecvError::Lagged(_)) => self.resync(),
                    Err(RecvError::Closed) => return,
                },
                _ = looking.tick() => {
                    let now = self.board.read(|known| (known.plans, known.sampled));
                    if now.0 != seen.0 {
                        self.resync();
                    } else if now.1 != seen.1 {
                        self.tell_round_trips();
                    }
                    seen = now;
                }
            }
        }
    }

    fn tell(&self, noted: &Arc<Noted>) {
        if self.api.receiver_count() + self.page.receiver_count() == 0 {
            return;
        }
        let scene = self.board.read(|known| Scene::of(noted, known));
        for (to, whom) in [(&self.api, For::Api), (&self.page, For::Page)] {
            if to.receiver_count() > 0
                && let Some(text) = scene.event(&self.begun, whom)
            {
                let _ = to.send(Message {
                    seq: noted.seq,
                    text,
                });
            }
        }
    }

    fn resync(&self) {
        let seq = self.board.read(|known| known.seq);
        for to in [&self.api, &self.page] {
            let _ = to.send(Message {
                seq: 0,
                text: resync(&self.begun, seq),
            });
        }
    }

    /// The last round trip of each node, and how high it is drawn.
    fn tell_round_trips(&self) {
        if self.page.receiver_count() == 0 {
            return;
        }
        let (plans, rows) = self.board.read(|known| (known.plans, Row::all(known)));
        let ms: Vec<_> = rows
            .iter()
            .map(|row| row.last().map(words::round_trip))
            .collect();
        let levels: String = rows
            .iter()
            .map(|row| row.levels().last().copied().flatten())
            .map(|level| level.map_or('-', |level| char::from(b'0' + level)))
            .collect();
        let data = json!({ "plan": plans, "ms": ms, "lv": levels });
        let text = format!("event: trips\ndata: {data}\n\n").into();
        let _ = self.page.send(Message { seq: 0, text });
    }

    /// A stream for somebody who knows everything up to that event.
    pub(crate) fn stream(
        &self,
        whom: For,
        after: Option<&Seen>,
        streams: &Arc<Semaphore>,
    ) -> Response {
        let Ok(permit) = Arc::clone(streams).try_acquire_owned() else {
            return answer::later(answer::problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many streams are open; try again later",
            ));
        };
        // First listened, then read: so nothing is lost between the two, and what comes twice is known by its number.
        let news = match whom {
            For::Api => self.api.subscribe(),
            For::Page => self.page.subscribe(),
        };
        let (seq, plan, missed) = self.board.read(|known| {
            let missed = self.missed(known, after);
            (known.seq, known.plans, missed)
        });
        // A thousand events are made into text while nobody waits for the board.
        let mut ready: VecDeque<_> = match missed {
            Some(scenes) => scenes
                .iter()
                .filter_map(|scene| scene.event(&self.begun, whom))
                .collect(),
            None => VecDeque::from([resync(&self.begun, seq)]),
        };
        let hello = json!({ "begun": *self.begun, "seq": seq, "plan": plan });
        ready.push_front(format!("retry: {RETRY_MS}\nevent: hello\ndata: {hello}\n\n").into());
        let stream = Stream {
            begun: Arc::clone(&self.begun),
            ready,
            seq,
            news,
            until: Instant::now() + LONGEST,
            _permit: permit,
        };
        let body = futures::stream::unfold(stream, |mut stream| async {
            let text = stream.next().await?;
            Some((Ok::<_, Infallible>(text), stream))
        });
        let kind = HeaderValue::from_static("text/event-stream");
        ([(CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
    }
}

impl Hub {
    /// What was told after that event; none, if it is not at hand, or not of this process.
    fn missed(&self, known: &Known, after: Option<&Seen>) -> Option<Vec<Scene>> {
        let Some(after) = after else {
            return Some(Vec::new());
        };
        let after = after.number(&self.begun)?;
        if after == known.seq {
            return Some(Vec::new());
        }
        let oldest = known
            .recent
            .front()
            .map_or(known.seq, |first| first.seq.saturating_sub(1));
        if after > known.seq || after < oldest {
            return None;
        }
        let later = known.recent.iter().filter(|noted| noted.seq > after);
        Some(later.map(|noted| Scene::of(noted, known)).collect())
    }
}

/// One who listens.
struct Stream {
    begun: Arc<str>,
    ready: VecDeque<Bytes>,
    seq: u64,
    news: broadcast::Receiver<Message>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// None at the end: whoever still wants to listen asks again, and their rights are looked at anew.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(text) = self.ready.pop_front() {
            return Some(text);
        }
        let quiet = (Instant::now() + QUIET).min(self.until);
        loop {
            return match timeout_at(quiet, self.news.recv()).await {
                Ok(Ok(message)) if message.seq != 0 && message.seq <= self.seq => continue,
                Ok(Ok(message)) => {
                    self.seq = self.seq.max(message.seq);
                    Some(message.text)
                }
                Ok(Err(RecvError::Lagged(_))) => Some(resync(&self.begun, self.seq)),
                Ok(Err(RecvError::Closed)) => None,
                Err(_) if Instant::now() >= self.until => None,
                Err(_) => Some(Bytes::from_static(b": still here\n\n")),
            };
        }
    }
}

impl Seen {
    /// As a query says it.
    pub(crate) fn asked(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Id(text.to_owned()), Self::Number)
    }

    /// Its number, if this process gave it.
    fn number(&self, begun: &str) -> Option<u64> {
        match self {
            Self::Number(seq) => Some(*seq),
            Self::Id(id) => {
                let (of, seq) = id.rsplit_once('-')?;
                seq.parse().ok().filter(|_| of == begun)
            }
        }
    }
}

impl Scene {
    fn of(noted: &Arc<Noted>, known: &Known) -> Self {
        let node = noted.told.node();
        Self {
            noted: Arc::clone(noted),
            brief: node.and_then(|node| known.node(node)).cloned(),
            isolated: known.is_isolated,
        }
    }

    /// As it is sent; none, if it cannot be written.
    fn event(&self, begun: &str, whom: For) -> Option<Bytes> {
        let noted = &self.noted;
        let data = match whom {
            For::Api => serde_json::to_string(noted),
            For::Page => serde_json::to_string(&ForPage {
                t: format!("{:.3}", noted.told.t()),
                iso: self.isolated,
                row: self.brief.as_deref().map(Face::of),
                ev: words::line(&noted.told),
                node: noted.told.node().map(|node| &**node),
            }),
        };
        let data = data.ok()?;
        Some(format!("id: {begun}-{}\nevent: told\ndata: {data}\n\n", noted.seq).into())
    }
}

fn resync(begun: &str, seq: u64) -> Bytes {
    format!("id: {begun}-{seq}\nevent: resync\ndata: {{}}\n\n").into()
}

/// Streams at a time through one door.
pub(crate) const STREAMS: usize = 64;
/// Messages that one who listens may be behind.
const BEHIND: usize = 1_024;
/// How often numbers are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Silence after which a sign of life is sent.
const QUIET: Duration = Duration::from_secs(10);
/// After this they come again.
const LONGEST: Duration = Duration::from_hours(1);
/// How soon they come again.
const RETRY_MS: u32 = 2_000;
