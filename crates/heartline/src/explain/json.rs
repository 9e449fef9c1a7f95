//! `explain --json`: the fields of docs, and more.

use std::time::Duration;

use heartline_core::explain::{Ending, Event, Explanation, Scene, Span};
use serde::Serialize;

use super::Report;

/// One object.
#[derive(Serialize)]
pub(super) struct Json<'a> {
    side: &'static str,
    implementation: &'a str,
    interval_s: u32,
    count_max: u32,
    probes: bool,
    disconnects: bool,
    after_last_data_s: Option<JsonSpan>,
    after_fault_s: Option<JsonSpan>,
    ended_by: Option<&'static str>,
    exit_code: Option<u8>,
    says: Option<&'static str>,
    timeline: Vec<JsonEvent>,
    timeline_omitted: u32,
    warnings: Vec<JsonWarning<'a>>,
    /// Seconds between probes of a connection that is well.
    probe_every_s: Option<f64>,
    /// When a connection that is well is ended.
    healthy_ends_s: Option<JsonSpan>,
    healthy_ended_by: Option<&'static str>,
    login_limit_s: Option<f64>,
    outage_survived_s: Option<JsonOutage>,
    rtt_limit_s: Option<f64>,
    channel_close_s: Option<JsonSpan>,
    nat: Option<JsonNat>,
    tcp_backstop: Option<JsonEnding>,
    other_end: Option<JsonOther<'a>>,
    banner: Option<&'a str>,
    missing: &'a [String],
}

#[derive(Serialize)]
struct JsonSpan {
    min: f64,
    mean: f64,
    max: f64,
}

#[derive(Serialize)]
struct JsonEvent {
    at_s: f64,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered: Option<u32>,
}

#[derive(Serialize)]
struct JsonWarning<'a> {
    code: &'static str,
    text: &'a str,
    fix: &'a str,
}

#[derive(Serialize)]
struct JsonOutage {
    surely: f64,
    at_best: f64,
}

#[derive(Serialize)]
struct JsonNat {
    forgets_after_s: f64,
    longest_silence_s: Option<f64>,
    kept_open: bool,
    by: &'static str,
}

#[derive(Serialize)]
struct JsonEnding {
    by: &'static str,
    after_last_data_s: JsonSpan,
    after_fault_s: JsonSpan,
}

#[derive(Serialize)]
struct JsonOther<'a> {
    side: &'static str,
    implementation: &'a str,
    interval_s: u32,
    count_max: u32,
    after_last_data_s: Option<JsonSpan>,
    after_fault_s: Option<JsonSpan>,
}

impl<'a> Json<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let explanation = &report.explanation;
        let ending = explanation.ending.as_ref();
        let healthy = explanation.healthy_ending.as_ref();
        let timeline = &explanation.timeline;
        Self {
            side: report.scene.side.word(),
            implementation: &report.scene.software.name,
            interval_s: explanation.pair.interval,
            count_max: explanation.pair.count,
            probes: explanation.probes,
            disconnects: explanation.disconnects(),
            after_last_data_s: ending.map(|ending| span(ending.after_last_data)),
            after_fault_s: ending.map(|ending| span(ending.after_fault)),
            ended_by: ending.map(|ending| ending.by.word()),
            exit_code: explanation.outcome.and_then(|outcome| outcome.exit_code),
            says: explanation.outcome.map(|outcome| outcome.says),
            timeline: timeline.events.iter().map(event).collect(),
            timeline_omitted: timeline.omitted,
            warnings: warnings(explanation),
            probe_every_s: explanation.probe_every.map(seconds),
            healthy_ends_s: healthy.map(|ending| span(ending.after_last_data)),
            healthy_ended_by: healthy.map(|ending| ending.by.word()),
            login_limit_s: explanation.login_limit.map(seconds),
            outage_survived_s: explanation.outage.map(|outage| JsonOutage {
                surely: seconds(outage.surely),
                at_best: seconds(outage.at_best),
            }),
            rtt_limit_s: explanation.rtt_limit.map(seconds),
            channel_close_s: explanation.channel_close.map(span),
            nat: nat(explanation),
            tcp_backstop: explanation.backstop.as_ref().map(backstop),
            other_end: report.other.as_ref().map(|(scene, end)| other(scene, end)),
            banner: report.banner.as_deref(),
            missing: &report.missing,
        }
    }
}

fn warnings(explanation: &Explanation) -> Vec<JsonWarning<'_>> {
    let warnings = explanation.warnings.iter();
    let warning = warnings.map(|warning| JsonWarning {
        code: warning.lint.code(),
        text: &warning.text,
        fix: &warning.fix,
    });
    warning.collect()
}

fn nat(explanation: &Explanation) -> Option<JsonNat> {
    explanation.nat.map(|nat| JsonNat {
        forgets_after_s: seconds(nat.forgets_after),
        longest_silence_s: nat.longest_silence.map(seconds),
        kept_open: nat.is_kept(),
        by: nat.by,
    })
}

fn backstop(ending: &Ending) -> JsonEnding {
    JsonEnding {
        by: ending.by.word(),
        after_last_data_s: span(ending.after_last_data),
        after_fault_s: span(ending.after_fault),
    }
}

fn other<'a>(scene: &'a Scene, explanation: &Explanation) -> JsonOther<'a> {
    let ending = explanation.ending.as_ref();
    JsonOther {
        side: scene.side.word(),
        implementation: &scene.software.name,
        interval_s: explanation.pair.interval,
        count_max: explanation.pair.count,
        after_last_data_s: ending.map(|ending| span(ending.after_last_data)),
        after_fault_s: ending.map(|ending| span(ending.after_fault)),
    }
}

fn event(event: &Event) -> JsonEvent {
    JsonEvent {
        at_s: seconds(event.at),
        event: event.kind.word(),
        unanswered: event.kind.unanswered(),
    }
}

fn span(span: Span) -> JsonSpan {
    JsonSpan {
        min: seconds(span.min()),
        mean: seconds(span.mean()),
        max: seconds(span.max()),
    }
}

/// To the millisecond, which is more than any of it is worth.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}
