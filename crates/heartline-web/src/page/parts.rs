//! Small things that several pages have.

use heartline_journal::Times;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::chart::{self, Level};
use crate::events::Event;
use crate::uptime::{DAYS, Uptime, Was};
use crate::words;

/// A moment as a clock here shows it; the script turns it into the reader's own.
pub(super) fn clock(t: Timestamp) -> Markup {
    let here = t.to_zoned(TimeZone::system());
    let is_today = here.date() == Timestamp::now().to_zoned(TimeZone::system()).date();
    let form = if is_today { "%H:%M:%S" } else { "%b %-d %H:%M" };
    html! {
        time datetime=(format!("{t:.3}")) { (here.strftime(form).to_string()) }
    }
}

/// How long something has been so.
pub(super) fn lasting(since: Timestamp) -> Markup {
    html! {
        time .ago datetime=(format!("{since:.0}")) { (words::ago(since, Timestamp::now())) }
    }
}

/// Round trips, as high as they are against what is usual.
pub(super) fn spark(levels: &[Level], width: usize) -> Markup {
    let view = format!("0 0 {width} {}", u32::from(chart::TOP) + 1);
    html! {
        svg.sp viewBox=(view) preserveAspectRatio="none" aria-hidden="true" {
            path d=(chart::steps(levels, width)) {}
        }
    }
}

/// How the last 90 days were, each a bar, and the same in words.
pub(super) fn uptime(uptime: Option<&Uptime>) -> Markup {
    let Some(uptime) = uptime else {
        return html! {};
    };
    let was: Vec<_> = uptime.was().collect();
    let of = |kind: Was| chart::bars(was.iter().map(|was| *was == kind));
    let share = uptime.sum.availability();
    let share = share.map_or_else(|| "no data".to_owned(), words::percent);
    html! {
        svg.ub viewBox={ "0 0 " (DAYS) " 1" } preserveAspectRatio="none" role="img" aria-label=(in_words(uptime, &share)) {
            path.no d=(of(Was::Unknown)) {}
            path.ok d=(of(Was::Up)) {}
            path.so d=(of(Was::Dented)) {}
            path.ko d=(of(Was::Broken)) {}
        }
        span { (share) }
    }
}

fn in_words(uptime: &Uptime, share: &str) -> String {
    match uptime.bad_days() {
        0 => format!("{share} in {DAYS} days, never down"),
        1 => format!("{share} in {DAYS} days, down on 1 day"),
        days => format!("{share} in {DAYS} days, down on {days} days"),
    }
}

/// Events, the last first.
pub(super) fn events(events: &[Event]) -> Markup {
    html! {
        ol #events .events {
            @for event in events.iter().rev() {
                @if let Some(line) = &event.words {
                    li {
                        (clock(event.t)) " "
                        span .s .(state(&line.to)) { (line.to) } " "
                        b { (line.what) }
                        @if !line.why.is_empty() { " " span.w { (line.why) } }
                    }
                }
            }
        }
    }
}

/// The class of a state; none for another word.
pub(super) fn state(word: &str) -> &str {
    match word {
        "up" | "down" | "degraded" | "suspect" | "unknown" | "paused" => word,
        _ => "other",
    }
}

/// How long it was down, of a day.
pub(super) fn downtime(times: &Times) -> String {
    let [_, _, _, down, _, _] = times.0;
    let seconds = down / 1_000;
    match seconds {
        0 => format!("{down} ms"),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}
