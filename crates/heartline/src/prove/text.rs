//! What a person reads: a head while it measures, then a table.

use std::fmt::Write;
use std::time::Duration;

use heartline_core::lease;
use heartline_ssh::{Peer, Way};

use super::Setting;
use super::row::{CASES, Judged, Plain, Remote, Report, Row, Verdict};
use super::trial::{LATE, Ours, Outcome, SETTLE, latest};
use crate::words;

/// Before it is measured. The line is named, where there are others.
pub(super) fn head(name: &str, peer: &Peer, setting: &Setting, is_one_of: bool) -> String {
    let timing = setting.line.timing;
    let line = if is_one_of {
        format!(", line {}", words::plain(&setting.line.name))
    } else {
        String::new()
    };
    format!(
        "{name}{line} ({}): interval {:?}, count {}, bound {}; fuse {}; a plain session is looked at for {:?}\n\
         cutting {} sessions with the fuse and {} without, which takes {} at most; times count from the cut\n\n",
        peer.ident,
        timing.interval.as_duration(),
        timing.count.get(),
        timing.bound(),
        setting.fuse,
        setting.patience,
        CASES.len(),
        CASES.len(),
        round(Duration::from_secs(longest(setting).as_secs())),
    )
}

/// From the first dial to the table, but for slow logins, and with as many sessions at a time as there are.
fn longest(setting: &Setting) -> Duration {
    let far = latest(setting, Way::ToUs, Some(setting.fuse.as_duration() * 2)) + LATE;
    far.max(setting.patience)
        .saturating_add(SETTLE + Duration::from_secs(1))
}

/// The rows, and what they come to.
pub(super) fn table(report: &Report, setting: &Setting, coloured: bool) -> String {
    let mut cells = vec![TITLES.map(str::to_owned)];
    for (row, judged) in &report.rows {
        cells.push(line(row, judged, setting));
    }
    let width = |at: usize| {
        let lengths = cells.iter().filter_map(|line| line.get(at));
        lengths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..TITLES.len()).map(width).collect();
    let mut text = String::new();
    let verdicts = report.rows.iter().map(|(_, judged)| Some(judged.verdict()));
    for (line, verdict) in cells.iter().zip([None].into_iter().chain(verdicts)) {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        text.push_str(&match verdict {
            None => "verdict".to_owned(),
            Some(verdict) => paint(verdict, coloured),
        });
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&method(report, setting));
    text.push_str(&reasons(report));
    text.push_str(starved(report));
    text.push_str(&sum(report, setting));
    text
}

fn line(row: &Row, judged: &Judged, setting: &Setting) -> [String; 5] {
    let bound = setting.line.timing.bound().as_duration();
    [
        way(row.case.way).to_owned(),
        row.case.remote.word().to_owned(),
        ours(row.fused.ours, bound, &row.fused),
        far(&row.fused, judged),
        plain(&row.plain),
    ]
}

fn way(way: Way) -> &'static str {
    match way {
        Way::Both => "both ways",
        Way::ToNode => "to the node",
        Way::ToUs => "to us",
    }
}

fn ours(ours: Option<Ours>, bound: Duration, outcome: &Outcome) -> String {
    match ours {
        // It goes on while it hears the node.
        Some(ours) if ours.heard_for > HEARD => format!(
            "{}, heard until {}",
            seconds(ours.after_cut),
            seconds(ours.heard_for)
        ),
        Some(ours) => format!("{} of {}", seconds(ours.after_cut), round(bound)),
        None if outcome.failed.is_some() => "-".to_owned(),
        None => format!("not by {}", seconds(outcome.watched)),
    }
}

fn far(outcome: &Outcome, judged: &Judged) -> String {
    let Some(bound) = judged.far_bound else {
        return "no guard".to_owned();
    };
    match (outcome.far.gone, outcome.far.alive) {
        (Some(gone), _) => format!("{} of {}", seconds(gone), round(bound)),
        (None, Some(alive)) => format!("lives after {} of {}", seconds(alive), round(bound)),
        (None, None) => format!("not seen, {}", round(bound)),
    }
}

fn plain(outcome: &Outcome) -> String {
    match Plain::of(outcome) {
        Plain::Gone(at) => format!("gone after {}", seconds(at)),
        Plain::SshdGone(at) => match outcome.far.left {
            Some(_) => format!("sshd gone after {}, its command stays", seconds(at)),
            None => format!("sshd gone after {}", seconds(at)),
        },
        Plain::Stays => format!("stays ({} seen)", round(outcome.watched)),
        Plain::NotTold(_) => "not measured".to_owned(),
    }
}

fn method(report: &Report, setting: &Setting) -> String {
    let how = match report.method(setting) {
        None => return String::new(),
        Some("timed") => "the node's shell has `read -t`",
        Some(_) => "the node's shell has no `read -t`, so up to twice the fuse",
    };
    let burns = report.burns_within.unwrap_or_default();
    format!(
        "far end: {how}: the fuse burns within {}, and all is gone {} later\n",
        round(burns),
        round(lease::END)
    )
}

/// Each once.
fn reasons(report: &Report) -> String {
    let fused = report.rows.iter().filter_map(|(_, judged)| {
        let why = judged.why.as_ref()?;
        Some(format!("not told: {why}\n"))
    });
    let plain = report
        .rows
        .iter()
        .filter_map(|(row, _)| match Plain::of(&row.plain) {
            Plain::NotTold(why) => Some(format!("plain session not measured: {why}\n")),
            _ => None,
        });
    let mut all: Vec<String> = Vec::new();
    for reason in fused.chain(plain) {
        if !all.contains(&reason) {
            all.push(reason);
        }
    }
    all.concat()
}

/// What the plain sessions show of the node's own probes.
fn starved(report: &Report) -> &'static str {
    let plain = |remote: Remote| {
        let mut rows = report.rows.iter().map(|(row, _)| row);
        let row = rows.find(|row| row.case.way == Way::Both && row.case.remote == remote);
        row.map(|row| Plain::of(&row.plain))
    };
    let has_ended = matches!(
        plain(Remote::Nothing),
        Some(Plain::Gone(_) | Plain::SshdGone(_))
    );
    if has_ended && plain(Remote::Writing) == Some(Plain::Stays) {
        "this sshd's own probes end a session that is quiet, and not one that writes: from OpenSSH 9.2 on output starves them\n"
    } else {
        ""
    }
}

fn sum(report: &Report, setting: &Setting) -> String {
    let count = |wanted: Verdict| {
        let each = report.rows.iter();
        each.filter(|(_, judged)| judged.verdict() == wanted)
            .count()
    };
    let all = report.rows.len();
    let mut text = format!("{} of {all} within the bounds", count(Verdict::Ok));
    for (verdict, word) in [(Verdict::Late, "late"), (Verdict::NotTold, "not told")] {
        if count(verdict) > 0 {
            let _ = write!(text, ", {} {word}", count(verdict));
        }
    }
    let plain: Vec<_> = report.rows.iter().map(|(row, _)| &row.plain).collect();
    let told = plain
        .iter()
        .filter(|plain| !matches!(Plain::of(plain), Plain::NotTold(_)));
    let told = told.count();
    let stay = plain
        .iter()
        .filter(|plain| matches!(Plain::of(plain), Plain::Stays | Plain::SshdGone(_)));
    let _ = writeln!(
        text,
        "; of {told} plain sessions {} left something there for {} and more",
        stay.count(),
        round(setting.patience)
    );
    text
}

fn paint(verdict: Verdict, coloured: bool) -> String {
    let (word, code) = match verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Late => ("LATE", "1;31"),
        Verdict::NotTold => ("not told", "35"),
    };
    if coloured {
        format!("\x1b[{code}m{word}\x1b[0m")
    } else {
        word.to_owned()
    }
}

/// What was measured, to the hundredth.
fn seconds(time: Duration) -> String {
    format!("{:.2}s", time.as_secs_f64())
}

/// What was asked for, as it was.
fn round(time: Duration) -> String {
    format!("{time:?}")
}

const TITLES: [&str; 5] = [
    "cut",
    "remote",
    "our end",
    "far end, with the fuse",
    "plain session",
];
/// What was on its way when it was cut is no reason to say more.
const HEARD: Duration = Duration::from_millis(50);
