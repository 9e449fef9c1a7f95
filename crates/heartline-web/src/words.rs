//! What a person reads. Names, and what a peer said, are made visible here: what moves text or hides in it is written out.

use std::borrow::Cow;
use std::time::Duration;

use heartline_core::Cause;
use heartline_journal::Stored;
use heartline_ssh::escape;
use heartline_watch::Told;
use heartline_watch::told::{SharedTold, WatcherTold};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A name as it is shown.
pub(crate) fn shown(name: &str) -> String {
    escape(name.as_bytes(), LONGEST)
}

/// An event for a person: what, how it is since, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// What it is about.
    pub(crate) what: String,
    /// What it is since, a word of a state; or another.
    pub(crate) to: Cow<'static, str>,
    /// Why.
    pub(crate) why: String,
}

/// An event; none, if it is no news to a person: a first dial, and what a node's only line does beside what the node does.
pub(crate) fn line(told: &Told) -> Option<Line> {
    Some(match told {
        Told::Line(line) if line.to == "dialing" || line.is_only => return None,
        Told::Line(line) => Line {
            what: format!("{}, line {}", shown(&line.node), shown(&line.line)),
            to: line.to.into(),
            why: because(
                line.cause,
                line.cause.and_then(|cause| line.evidence.detail(cause)),
                line.after_ms,
            ),
        },
        Told::Node(node) => {
            let detail = match node.lines.as_slice() {
                [only] => only.detail.clone(),
                _ => None,
            };
            Line {
                what: shown(&node.node),
                to: node.to.into(),
                why: because(node.cause, detail, node.after_ms),
            }
        }
        Told::Fuse(fuse) => Line {
            what: format!("{}, line {}", shown(&fuse.node), shown(&fuse.line)),
            to: "no fuse".into(),
            why: format!("{}; the line beats on", fuse.detail),
        },
        Told::Watcher(watcher) => of_watcher(watcher),
        Told::Shared(shared) => of_shared(shared),
        Told::Layer(layer) => Line {
            what: format!("Evidence of layer {}", layer.layer),
            to: "missing".into(),
            why: format!("{}; the rest works", shown(&layer.detail)),
        },
        _ => return None,
    })
}

/// An event as the journal has it.
pub(crate) fn stored(stored: &Stored, json: &Value) -> Option<Line> {
    let state = stored.state.clone().unwrap_or_default();
    let what = match (&stored.node, &stored.line) {
        (Some(_), Some(_)) if state == "dialing" => return None,
        (Some(node), Some(line)) => format!("{}, line {}", shown(node), shown(line)),
        (Some(node), None) => shown(node),
        (None, _) => format!("This watcher: {}", stored.kind),
    };
    let cause = stored.cause.clone().map(Value::String);
    let cause = cause.and_then(|cause| serde_json::from_value(cause).ok());
    let detail = json.pointer("/evidence/ssh/detail").and_then(Value::as_str);
    let after = json.get("after_ms").and_then(Value::as_u64);
    Some(Line {
        what,
        to: state.into(),
        why: because(cause, detail.map(str::to_owned), after),
    })
}

/// A cause in words; nothing for none.
pub(crate) fn because(
    cause: Option<Cause>,
    detail: Option<String>,
    after_ms: Option<u64>,
) -> String {
    let Some(cause) = cause else {
        return String::new();
    };
    let mut text = cause.sentence().to_owned();
    if let Some(detail) = detail {
        text = format!("{text} ({detail})");
    }
    if let Some(ms) = after_ms {
        text = format!("{text}; {} after its last sign of life", seconds(ms));
    }
    text
}

fn of_watcher(watcher: &WatcherTold) -> Line {
    let (to, why) = match (watcher.cause, watcher.lost_ms) {
        (Cause::WatcherIsolated, None) => (
            "cut off",
            "nothing at all is heard, of nobody; no node is called down for that".to_owned(),
        ),
        (Cause::WatcherIsolated, Some(ms)) => (
            "heard again",
            format!("after {}; its nodes are being asked", seconds(ms)),
        ),
        (_, lost) => (
            "stalled",
            format!(
                "it did not run for {}; no silence counts for that time",
                seconds(lost.unwrap_or_default())
            ),
        ),
    };
    Line {
        what: "This watcher".to_owned(),
        to: to.into(),
        why,
    }
}

fn of_shared(shared: &SharedTold) -> Line {
    let why = shared.cause.map_or_else(String::new, |cause| {
        format!("{}; {}", cause.sentence(), shared.extent(shown))
    });
    Line {
        what: format!("{} {}", shared.by, shown(&shared.name)),
        to: shared.to.into(),
        why,
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// How long ago, in one unit.
pub(crate) fn ago(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count} {unit}")
}

/// A round trip, with three digits.
pub(crate) fn round_trip(time: Duration) -> String {
    milliseconds(time.as_secs_f64() * 1_000.0)
}

/// The same, of milliseconds.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ..1.0 => format!("{ms:.2} ms"),
        1.0..100.0 => format!("{ms:.1} ms"),
        100.0..1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

/// A share, never rounded up to all.
pub(crate) fn percent(share: f64) -> String {
    let percent = (share * 10_000.0).floor() / 100.0;
    if percent >= 100.0 {
        "100 %".to_owned()
    } else {
        format!("{percent:.2} %")
    }
}

/// What is shown of a name.
const LONGEST: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_called_all_that_is_not() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_999), "99.99 %");
        assert_eq!(percent(0.5), "50.00 %");
    }

    #[test]
    fn times_are_told_in_one_unit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let told = |ago_s: i64| ago(Timestamp::from_second(1_000_000 - ago_s).unwrap(), now);
        assert_eq!(told(-5), "0 s");
        assert_eq!(told(59), "59 s");
        assert_eq!(told(3_599), "59 min");
        assert_eq!(told(100_000), "27 h");
        assert_eq!(told(200_000), "2 d");
        assert_eq!(round_trip(Duration::from_micros(123)), "0.12 ms");
        assert_eq!(milliseconds(12.34), "12.3 ms");
        assert_eq!(milliseconds(12_340.0), "12.3 s");
    }

    #[test]
    fn what_moves_text_is_written_out() {
        assert_eq!(shown("a\u{202e}b\nc"), "a\\u{202e}b\\x0ac");
        assert_eq!(shown(&"x".repeat(1_000)).chars().count(), LONGEST + 1);
    }
}
