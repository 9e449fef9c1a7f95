//! One node: its lines, what each layer knew of them, how it was, and what happened.

mod evidence;

use std::fmt::Write;
use std::time::Duration;

use heartline_journal::Hour;
use heartline_watch::LineBrief;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::parts;
use super::shell::Frame;
use crate::access::Rights;
use crate::api::Detail;
use crate::row::Face;
use crate::uptime::{self, Was};
use crate::{chart, words};

pub(super) fn page(frame: &Frame, detail: &Detail, rights: Rights) -> Markup {
    let brief = &detail.now.brief;
    let face = Face::of(brief);
    let name = words::shown(&brief.node);
    let main = html! {
        p.back { a href="/" { "All nodes" } }
        div.title data-n=(brief.node) {
            h1 { bdi { (name) } }
            span .s .(face.s) { (face.s) }
            span.t { "for " (parts::lasting(brief.since)) }
            @for tag in brief.tags.iter() { i { (words::shown(tag)) } }
        }
        @if !face.w.is_empty() { p.why .(face.s) { (face.w) } }
        @if rights == Rights::Order { (orders(&brief.node)) }
        section aria-labelledby="lines" {
            h2 #lines { "Lines" }
            div.lines { @for one in &brief.lines { (line(detail, one)) } }
        }
        (ninety_days(detail))
        section aria-labelledby="told" {
            h2 #told { "Events" }
            @if detail.events.is_empty() { p.none { "Nothing was told of it yet." } }
            (parts::events(&detail.events))
        }
    };
    frame.around(
        &format!("{name} {} · heartline", face.s),
        face.s,
        "node",
        &main,
    )
}

/// There is none of that name.
pub(super) fn nobody(frame: &Frame, name: &str) -> Markup {
    let main = html! {
        p.back { a href="/" { "All nodes" } }
        h1 { "No such node" }
        p { "No node called " b { bdi { (words::shown(name)) } } " is watched." }
    };
    frame.around("No such node · heartline", "unknown", "nobody", &main)
}

/// Its journal does not answer. A script asks again.
pub(super) fn busy(frame: &Frame, name: &str) -> Markup {
    let main = html! {
        p.back { a href="/" { "All nodes" } }
        h1 { bdi { (words::shown(name)) } }
        p { "The journal does not answer now. How the node is, is said with " a href="/" { "all nodes" } "." }
    };
    frame.around("Journal busy · heartline", "unknown", "node", &main)
}

fn orders(node: &str) -> Markup {
    html! {
        form.orders method="post" action="/order" {
            input type="hidden" name="node" value=(node);
            label { "Pause for "
                select name="for_s" {
                    option value="3600" { "1 hour" }
                    option value="28800" { "8 hours" }
                    option value="0" { "until resumed" }
                }
            }
            button name="what" value="pause" { "Pause" }
            button name="what" value="resume" { "Resume" }
            button name="what" value="redial" { "Dial now" }
        }
    }
}

fn line(detail: &Detail, line: &LineBrief) -> Markup {
    let trail = detail.now.trail(&line.line);
    let levels = chart::levels(&trail);
    let why = words::because(line.cause, line.detail.clone(), None);
    html! {
        article .line .(parts::state(&line.state)) {
            h3 {
                bdi { (words::shown(&line.line)) }
                span .s .(parts::state(&line.state)) { (line.state) }
                span.t { "for " (parts::lasting(line.since)) }
            }
            @if !why.is_empty() { p.w { (why) } }
            @if line.flaps > 1 { p.w { "Down " (line.flaps) " times in ten minutes." } }
            div.r {
                (parts::spark(&levels, SPARK))
                b { @if let Some(ms) = line.rtt_ms { (words::milliseconds(ms)) } @else { "–" } }
            }
            (two_days(detail.hours.get(&*line.line)))
            @if let Some(known) = detail.evidence.get(&line.line) { (evidence::table(known)) }
        }
    }
}

/// The mean of each hour of the last two days, and between what they were.
fn two_days(hours: Option<&Vec<Hour>>) -> Markup {
    let Some(hours) = hours.filter(|hours| hours.len() > 1) else {
        return html! {};
    };
    let longest = hours
        .iter()
        .map(|hour| hour.longest)
        .max()
        .unwrap_or_default();
    let shortest = hours
        .iter()
        .map(|hour| hour.shortest)
        .min()
        .unwrap_or_default();
    let top = longest.as_secs_f64().max(1e-6);
    let begun = Timestamp::now()
        .checked_sub(SignedDuration::from_hours(crate::api::HOURS))
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let height = |share: f64| format!("{:.1}", 40.0 - 39.0 * share);
    let mut band = String::new();
    let mut mean = String::new();
    for hour in hours {
        let x = hour.t.as_second().saturating_sub(begun.as_second()) / 3_600;
        let at = |time: Duration| height(time.as_secs_f64() / top);
        let _ = write!(
            band,
            "M{x} {}h1V{}h-1z",
            at(hour.longest),
            at(hour.shortest)
        );
        let _ = write!(mean, "M{x} {}h1", at(hour.mean));
    }
    html! {
        figure {
            svg.hours viewBox={ "0 0 " (crate::api::HOURS + 1) " 41" } preserveAspectRatio="none" aria-hidden="true" {
                path.band d=(band) {}
                path.mean d=(mean) {}
            }
            figcaption { "Two days by the hour: " (words::round_trip(shortest)) " to " (words::round_trip(longest)) }
        }
    }
}

fn ninety_days(detail: &Detail) -> Markup {
    let Some(uptime) = detail.uptimes.get("") else {
        return html! {};
    };
    let days = uptime.days.iter().rev().zip(0_i64..);
    let bad = days.filter_map(|(times, ago)| {
        let day = uptime::today() - ago;
        let is_bad = matches!(Was::of(times.as_ref()), Was::Dented | Was::Broken);
        times.as_ref().filter(|_| is_bad).map(|times| (day, times))
    });
    html! {
        section aria-labelledby="days" {
            h2 #days { "90 days" }
            div.u.wide { (parts::uptime(Some(uptime))) }
            @if uptime.bad_days() > 0 {
                details {
                    summary { "Days on which it was down" }
                    table {
                        thead { tr { th { "Day (UTC)" } th { "Down for" } } }
                        tbody { @for (day, times) in bad { tr { td { (date(day)) } td { (parts::downtime(times)) } } } }
                    }
                }
            }
        }
    }
}

fn date(day: i64) -> String {
    let noon = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::UNIX_EPOCH);
    noon.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d")
        .to_string()
}

/// Round trips that are drawn of a line.
const SPARK: usize = 60;
