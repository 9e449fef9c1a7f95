//! All nodes, those that are not up first, and what happened last.

use std::sync::Arc;

use heartline_watch::board::{Known, Noted};
use maud::{Markup, html};
use serde::Deserialize;

use super::parts;
use super::shell::Frame;
use crate::row::{self, Face, Row, SPARK, STATES};
use crate::uptime::All;
use crate::{link, words};

/// Which rows are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    q: String,
    state: String,
}

/// A copy of what is shown.
pub(super) struct Seen {
    rows: Vec<Row>,
    recent: Vec<Arc<Noted>>,
}

impl Seen {
    pub(super) fn of(known: &Known) -> Self {
        let recent = known.recent.iter().rev().take(LOOKED_AT);
        Self {
            rows: Row::all(known),
            recent: recent.cloned().collect(),
        }
    }

    fn count(&self, state: &str) -> usize {
        let each = self.rows.iter();
        each.filter(|row| row.brief.state.word() == state).count()
    }
}

impl Wanted {
    fn wants(&self, row: &Row, face: &Face) -> bool {
        let is_so = self.state.is_empty() || self.state == face.s;
        let asked = self.q.trim().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&asked);
        let brief = &row.brief;
        is_so
            && (asked.is_empty()
                || has(&brief.node)
                || has(face.s)
                || has(&face.w)
                || brief.tags.iter().any(|tag| has(tag)))
    }
}

pub(super) fn page(frame: &Frame, seen: &Seen, uptimes: &All, wanted: &Wanted) -> Markup {
    let mut rows: Vec<_> = seen
        .rows
        .iter()
        .map(|row| (row, Face::of(&row.brief)))
        .collect();
    rows.sort_by_key(|(row, face)| (row::rank(face.s, row.brief.state.cause()), row.at));
    let is_any = rows.iter().any(|(row, face)| wanted.wants(row, face));
    let (headline, worst) = headline(seen);
    let main = html! {
        h1 #headline .(worst) { (headline) }
        (filter(seen, wanted))
        div.board {
            div #nodes .nodes .bare[uptimes.is_empty()] role="table" aria-label="Nodes" aria-rowcount=(rows.len() + 1) {
                div.head role="row" {
                    span role="columnheader" { "State" }
                    span role="columnheader" { "Node" }
                    span role="columnheader" { "Lines" }
                    span role="columnheader" { "Round trip" }
                    span role="columnheader" { "90 days" }
                    span role="columnheader" { "For" }
                }
                @for (row, face) in &rows { (line(row, face, uptimes, wanted)) }
            }
            p #none .none hidden[is_any] {
                @if seen.rows.is_empty() { "No node is watched." } @else { "No node is like that. " a href="/" { "Show all" } }
            }
            aside aria-labelledby="told" {
                h2 #told { "Events" }
                (recent(seen))
            }
        }
    };
    let title = format!("{headline} · heartline");
    frame.around(&title, worst, "list", &main)
}

/// What a tired person wants to know first, and the state that it has the colour of.
fn headline(seen: &Seen) -> (String, &'static str) {
    let all = seen.rows.len();
    let told: Vec<_> = STATES
        .iter()
        .filter(|state| !matches!(**state, "up" | "paused"))
        .map(|state| (seen.count(state), *state))
        .filter(|(count, _)| *count > 0)
        .collect();
    let Some((_, worst)) = told.first() else {
        return (format!("All {all} up"), "up");
    };
    let told: Vec<_> = told
        .iter()
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    (told.join(", "), worst)
}

fn filter(seen: &Seen, wanted: &Wanted) -> Markup {
    html! {
        form #filter .filter method="get" action="/" role="search" {
            nav aria-label="By state" {
                @for state in STATES {
                    (chip(state, seen.count(state), wanted))
                }
                (chip("", seen.rows.len(), wanted))
            }
            @if !wanted.state.is_empty() { input type="hidden" name="state" value=(wanted.state); }
            input #q type="search" name="q" value=(wanted.q) placeholder="Filter by name, cause or tag" aria-label="Filter nodes by name, cause or tag"
                aria-keyshortcuts="/" autocomplete="off" spellcheck="false";
            noscript { button { "Filter" } }
        }
    }
}

fn chip(state: &str, count: usize, wanted: &Wanted) -> Markup {
    let q = link::encode(&wanted.q);
    let current = (wanted.state == state).then_some("true");
    let word = if state.is_empty() { "all" } else { state };
    html! {
        a.chip .(word) .zero[count == 0] href={ "/?state=" (state) "&q=" (q) } data-s=(state) aria-current=[current] {
            b { (count) } " " (word)
        }
    }
}

/// What is not wanted is there all the same, and hidden: so a script can show it.
fn line(row: &Row, face: &Face, uptimes: &All, wanted: &Wanted) -> Markup {
    let brief = &row.brief;
    let last = row.last().map(words::round_trip);
    html! {
        div.n .(face.s) role="row" data-i=(row.at) data-n=(brief.node) hidden[!wanted.wants(row, face)] {
            span.s role="cell" { (face.s) }
            span.name role="cell" {
                a href=(link::node(&brief.node)) { bdi { (words::shown(&brief.node)) } }
                @for tag in brief.tags.iter() { i { (words::shown(tag)) } }
                span.w { (face.w) }
            }
            span.l role="cell" { (face.l) }
            span.r role="cell" { (parts::spark(&row.levels(), SPARK)) b { (last.as_deref().unwrap_or("–")) } }
            span.u role="cell" { (parts::uptime(uptimes.get(&*brief.node))) }
            span.t role="cell" { (parts::lasting(brief.since)) }
        }
    }
}

fn recent(seen: &Seen) -> Markup {
    let told = seen
        .recent
        .iter()
        .filter_map(|noted| Some((noted.told.t(), words::line(&noted.told)?)));
    html! {
        ol #events .events {
            @for (t, line) in told.take(EVENTS) {
                li {
                    (parts::clock(t)) " "
                    span .s .(parts::state(&line.to)) { (line.to) } " "
                    b { (line.what) }
                    @if !line.why.is_empty() { " " span.w { (line.why) } }
                }
            }
        }
    }
}

/// Events that are shown; `app.js` keeps as many.
const EVENTS: usize = 40;
/// Events that these are chosen from.
const LOOKED_AT: usize = 160;
