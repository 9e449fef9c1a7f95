//! `prove --json`: one object. Times are in milliseconds from the cut.

use std::time::Duration;

use heartline_core::Cause;
use heartline_ssh::{Peer, Way};
use heartline_watch::LinePlan;
use serde_json::{Value, json};

use super::Setting;
use super::row::{Judged, Plain, Report, Row, Verdict};
use super::trial::Outcome;

/// All of it.
pub(super) fn of(name: &str, peer: &Peer, setting: &Setting, report: &Report) -> Value {
    let timing = setting.line.timing;
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|(of, judged)| row(of, judged, setting))
        .collect();
    json!({
        "node": name,
        "line": &*setting.line.name,
        "peer": peer.ident,
        "interval_ms": ms(timing.interval.as_duration()),
        "count": timing.count.get(),
        "bound_ms": ms(timing.bound().as_duration()),
        "fuse_ms": ms(setting.fuse.as_duration()),
        "burns_within_ms": report.burns_within.map(ms),
        "method": report.method(setting),
        "patience_ms": ms(setting.patience),
        "rows": rows,
        "verdict": report.verdict().word(),
    })
}

/// Nothing was measured.
pub(super) fn unreached(name: &str, line: &LinePlan, why: &str) -> Value {
    json!({
        "node": name,
        "line": &*line.name,
        "rows": [],
        "verdict": Verdict::NotTold.word(),
        "why": why,
    })
}

fn row(row: &Row, judged: &Judged, setting: &Setting) -> Value {
    let ours = row.fused.ours;
    let far = row.fused.far;
    json!({
        "cut": way(row.case.way),
        "remote": row.case.remote.word(),
        "ours": {
            "after_cut_ms": ours.map(|ours| ms(ours.after_cut)),
            "after_life_ms": ours.map(|ours| ms(ours.after_life)),
            "bound_ms": ms(setting.line.timing.bound().as_duration()),
            "cause": ours.and_then(|ours| ours.cause).map(Cause::word),
            "verdict": judged.ours.word(),
        },
        "far": {
            "after_cut_ms": far.gone.map(ms),
            "alive_ms": far.alive.map(ms),
            "sshd_gone_ms": far.sshd_gone.map(ms),
            "bound_ms": judged.far_bound.map(ms),
            "why": judged.why,
            "verdict": judged.far.word(),
        },
        "plain": plain(&row.plain),
        "verdict": judged.verdict().word(),
    })
}

fn plain(outcome: &Outcome) -> Value {
    let told = Plain::of(outcome);
    let why = match &told {
        Plain::NotTold(why) => Some(why),
        _ => None,
    };
    json!({
        "gone_ms": outcome.far.gone.map(ms),
        "sshd_gone_ms": outcome.far.sshd_gone.map(ms),
        "left": outcome.far.left,
        "watched_ms": ms(outcome.watched),
        "why": why,
        "verdict": told.word(),
    })
}

fn way(way: Way) -> &'static str {
    match way {
        Way::Both => "both",
        Way::ToNode => "to_node",
        Way::ToUs => "to_us",
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
