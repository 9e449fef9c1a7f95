//! `probe --json`: one object. Times are in milliseconds.

use std::time::Duration;

use heartline_core::idle::{Death, Finding, Trial};
use serde_json::{Value, json};

use super::Path;
use super::idle::{Beaten, Outcome};
use super::layers::{Guarded, Layers};
use super::spread::Spread;
use super::text::{often, recommended};

/// All of it.
pub(super) fn of(path: &Path<'_>, layers: &Layers, outcome: Option<&Outcome>) -> Value {
    let (peer, took) = (&layers.peer, &layers.took);
    let shell = layers.shell.as_ref();
    let echoes = shell.map(|shell| shell.echoes.as_slice());
    let connect: Vec<_> = took.connect.into_iter().collect();
    let rows = [
        ("tcp", "connect", connect.as_slice()),
        ("tcp", "smoothed", &layers.tcp),
        ("ssh", "beat", &layers.ssh),
        ("shell", "echo", echoes.unwrap_or_default()),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(layer, of, samples)| Some(spread(layer, of, Spread::of(samples)?)))
        .collect();
    let unasked = &layers.unasked;
    json!({
        "node": path.node,
        "line": &*path.line.name,
        "peer": { "ident": peer.ident, "kex": peer.kex, "cipher": peer.cipher },
        "dial": {
            "connect_ms": took.connect.map(fine),
            "banner_ms": took.banner.map(fine),
            "kex_ms": took.kex.map(fine),
            "login_ms": took.login.map(fine),
        },
        "layers": rows,
        "shell": {
            "starts_ms": shell.ok().map(|shell| fine(shell.starts)),
            "why": layers.shell.as_ref().err(),
        },
        "guard": guard(&layers.guard),
        "unasked": {
            "listened_ms": ms(unasked.listened),
            "count": unasked.gaps.len(),
            "every_ms": often(&unasked.gaps).map(ms),
            "channel_closed_ms": unasked.channel_closed.map(ms),
            "session_ended_ms": unasked.ended.as_ref().map(|(after, _)| ms(*after)),
        },
        "idle": outcome.map(idle),
        "recommended": outcome.and_then(|outcome| recommended(path, outcome)).map(|setting| json!({
            "server_alive_interval_s": setting.interval.as_secs(),
            "ssh_config": setting.ssh_config.join("\n"),
            "command": setting.command,
        })),
    })
}

/// Nothing was measured.
pub(super) fn unreached(path: &Path<'_>, why: &str) -> Value {
    json!({
        "node": path.node,
        "line": &*path.line.name,
        "layers": [],
        "idle": null,
        "recommended": null,
        "why": why,
    })
}

fn spread(layer: &str, of: &str, spread: Spread) -> Value {
    json!({
        "layer": layer,
        "of": of,
        "n": spread.n,
        "min_ms": fine(spread.min),
        "p50_ms": fine(spread.p50),
        "p90_ms": fine(spread.p90),
        "p99_ms": fine(spread.p99),
        "max_ms": fine(spread.max),
    })
}

fn guard(guard: &Guarded) -> Value {
    let (state, within, why) = match guard {
        Guarded::Holds(within) => ("holds", Some(ms(*within)), None),
        Guarded::Cannot(why) => (why.word(), None, Some(why.to_string())),
        Guarded::Over => ("over", None, None),
        Guarded::NotAsked => ("not_asked", None, None),
    };
    json!({ "state": state, "burns_within_ms": within, "why": why })
}

fn idle(outcome: &Outcome) -> Value {
    let finding = outcome.finding.as_ref();
    let (word, survived, died, how) = match finding.ok() {
        None => ("not_told", None, None, None),
        Some(Finding::Unsteady) => ("unsteady", None, None, None),
        Some(Finding::Nothing { survived }) => ("nothing_forgets", Some(*survived), None, None),
        Some(Finding::Held { every }) => ("held_open", Some(*every), None, None),
        Some(Finding::Ends { after, how }) => ("ends", None, Some(*after), Some(*how)),
        Some(Finding::Forgets {
            survived,
            died,
            how,
        }) => ("forgets", Some(*survived), Some(*died), Some(*how)),
    };
    let tries: Vec<_> = outcome
        .tries
        .iter()
        .map(|(wanted, trial)| {
            let (silent, fate) = match trial {
                Trial::Survived { silent } => (silent, "survived"),
                Trial::Died { silent, how } => (silent, how.word()),
            };
            json!({ "wanted_ms": ms(*wanted), "silent_ms": ms(*silent), "fate": fate })
        })
        .collect();
    json!({
        "finding": word,
        "limit_ms": finding.ok().and_then(|finding| finding.limit()).map(ms),
        "survived_ms": survived.map(ms),
        "died_ms": died.map(ms),
        "how": how.map(Death::word),
        "why": finding.err(),
        "unasked_every_ms": often(&outcome.unasked).map(ms),
        "beats_help": outcome.beaten.map(|beaten| beaten == Beaten::Lives),
        "tries": tries,
        "logins": outcome.logins,
        "left_there": outcome.left,
        "took_ms": ms(outcome.took),
    })
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// With its thousandths.
fn fine(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
