//! What a person reads.

use std::fmt::Write;
use std::time::Duration;

use heartline_core::idle::{Death, Finding};

use super::Path;
use super::args::ProbeArgs;
use super::idle::{Beaten, Outcome};
use super::layers::{Guarded, Layers, Unasked};
use super::spread::Spread;
use crate::words;

/// Who answers, and how soon at each layer.
pub(super) fn layers(path: &Path<'_>, layers: &Layers) -> String {
    let line = if path.is_one_of {
        format!(", line {}", words::plain(&path.line.name))
    } else {
        String::new()
    };
    let (peer, took) = (&layers.peer, &layers.took);
    let mut text = format!(
        "{}{line}: {}, key exchange {}, cipher {}\n",
        path.node, peer.ident, peer.kex, peer.cipher
    );
    let stages = [
        ("connect", took.connect),
        ("banner", took.banner),
        ("key exchange", took.kex),
        ("login", took.login),
    ];
    let stages: Vec<_> = stages
        .into_iter()
        .filter_map(|(name, took)| Some(format!("{name} {} ms", ms(took?))))
        .collect();
    let _ = writeln!(text, "dialed: {}", stages.join(", "));
    if let Ok(shell) = &layers.shell {
        let _ = writeln!(text, "a command there starts in {} ms", ms(shell.starts));
    }
    text.push('\n');
    text.push_str(&table(layers));
    text.push('\n');
    if let Err(why) = &layers.shell {
        let _ = writeln!(text, "shell: not measured: {why}");
    }
    let _ = writeln!(text, "guard: {}", guard(&layers.guard));
    text.push_str(&unasked(&layers.unasked));
    text
}

fn table(layers: &Layers) -> String {
    let connect: Vec<_> = layers.took.connect.into_iter().collect();
    let echoes = layers.shell.as_ref().map(|shell| shell.echoes.as_slice());
    let rows = [
        ("tcp", "the connection made", connect.as_slice()),
        ("tcp", "as the kernel smooths it", &layers.tcp),
        ("ssh", "a beat", &layers.ssh),
        ("shell", "a line through cat", echoes.unwrap_or_default()),
    ];
    let mut text = format!(
        "{:5}  {:24}  {:>5}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}\n",
        "LAYER", "ROUND TRIP, MS", "N", "MIN", "P50", "P90", "P99", "MAX"
    );
    for (layer, what, samples) in rows {
        let Some(spread) = Spread::of(samples) else {
            continue;
        };
        let Spread {
            n,
            min,
            p50,
            p90,
            p99,
            max,
        } = spread;
        let _ = write!(text, "{layer:5}  {what:24}  {n:>5}");
        for time in [min, p50, p90, p99, max] {
            let _ = write!(text, "  {:>9}", ms(time));
        }
        text.push('\n');
    }
    text
}

fn guard(guard: &Guarded) -> String {
    match guard {
        Guarded::Holds(within) => format!("possible; the fuse burns within {within:?}"),
        Guarded::Cannot(why) => format!("not possible: {why}"),
        Guarded::Over => "not told: the session was over before one answered".to_owned(),
        Guarded::NotAsked => "not tried (--fuse 0)".to_owned(),
    }
}

fn unasked(unasked: &Unasked) -> String {
    let listened = seconds(unasked.listened);
    let mut text = match often(&unasked.gaps) {
        None => format!("unasked: nothing came within {listened}\n"),
        Some(every) => format!(
            "unasked: something came {} times within {listened}, every {}, as the requests of a ClientAliveInterval do\n",
            unasked.gaps.len(),
            seconds(every)
        ),
    };
    if let Some(after) = unasked.channel_closed {
        let _ = writeln!(
            text,
            "an idle channel was closed after {}, as by a ChannelTimeout",
            seconds(after)
        );
    }
    if let Some((after, why)) = &unasked.ended {
        let _ = writeln!(text, "the session ended after {}: {why}", seconds(*after));
    }
    text
}

/// The middle one.
pub(super) fn often(gaps: &[Duration]) -> Option<Duration> {
    Spread::of(gaps).map(|spread| spread.p50)
}

/// What the silence came to, and what to set.
pub(super) fn idle(path: &Path<'_>, outcome: &Outcome, args: &ProbeArgs) -> String {
    let Ok(finding) = &outcome.finding else {
        return String::new();
    };
    let mut text = format!("\nidle: {}\n", found(*finding, args.at_most));
    match outcome.beaten {
        Some(Beaten::Lives) => text.push_str("one with beats outlived them\n"),
        Some(Beaten::Ends) => text.push_str(
            "one with beats ended as well: no keepalive helps (UnusedConnectionTimeout, or a limit of the session's time)\n",
        ),
        None => {}
    }
    let _ = writeln!(
        text,
        "{} silences tried, {} logins, {}",
        outcome.tries.len(),
        outcome.logins,
        rounded(outcome.took)
    );
    if let Some(setting) = recommended(path, outcome) {
        let _ = writeln!(
            text,
            "\nrecommended: a beat every {}{}\n",
            seconds(setting.interval),
            setting.why
        );
        for line in &setting.ssh_config {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "\n{}", setting.command);
    }
    text
}

fn found(finding: Finding, at_most: Duration) -> String {
    match finding {
        Finding::Forgets {
            survived,
            died,
            how,
        } => {
            let survived = if survived.is_zero() {
                "none shorter survived".to_owned()
            } else {
                format!("survived {}", seconds(survived))
            };
            format!(
                "forgets after about {} ({survived}, dead at {}): {}",
                seconds(finding.limit().unwrap_or(died)),
                seconds(died),
                fate(how)
            )
        }
        Finding::Ends { after, how } => format!("{} after {}", fate(how), seconds(after)),
        Finding::Nothing { .. } => format!("nothing forgets within {}", seconds(at_most)),
        Finding::Held { every } => format!(
            "not told beyond {}: the server speaks by itself that often (as by ClientAliveInterval), so no connection was silent for longer; nothing forgets within that",
            seconds(every)
        ),
        Finding::Unsteady => {
            "could not tell: connections died and lived after the same silence, again and again"
                .to_owned()
        }
    }
}

fn fate(how: Death) -> &'static str {
    match how {
        Death::Dropped => "mapping dropped silently",
        Death::Reset => "reset when it is used again",
        Death::ResetUnasked => "reset, unasked,",
        Death::Closed => "closed by the server",
    }
}

/// What to set.
pub(super) struct Setting {
    pub(super) interval: Duration,
    pub(super) why: String,
    pub(super) ssh_config: Vec<String>,
    pub(super) command: String,
}

/// Nothing, where nothing was found out or nothing helps.
pub(super) fn recommended(path: &Path<'_>, outcome: &Outcome) -> Option<Setting> {
    let finding = *outcome.finding.as_ref().ok()?;
    if finding == Finding::Unsteady || outcome.beaten == Some(Beaten::Ends) {
        return None;
    }
    let interval = finding.interval();
    let harmless = finding.harmless();
    let why = if interval == Finding::OFTEN {
        format!(
            ", which costs nothing ({} of silence do no harm)",
            seconds(harmless)
        )
    } else if interval * 5 > harmless * 3 {
        ", the least that ssh takes; that may be too seldom here".to_owned()
    } else {
        format!(
            ": three fifths of the {} that do no harm, so that one that is lost and sent again is in time",
            seconds(harmless)
        )
    };
    let every = interval.as_secs();
    let host = words::plain(&path.line.target.settings().typed);
    Some(Setting {
        interval,
        why,
        ssh_config: vec![
            format!("Host {host}"),
            format!("    ServerAliveInterval {every}"),
            "    ServerAliveCountMax 3".to_owned(),
            "    TCPKeepAlive no".to_owned(),
        ],
        command: format!("heartline keep {} --keep-alive {every}s", path.node),
    })
}

/// To the tenth.
pub(super) fn seconds(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    if tenths.is_multiple_of(10) {
        format!("{} s", tenths / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}

/// In whole seconds, minutes or hours.
pub(super) fn rounded(time: Duration) -> String {
    let all = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    match (all / 3_600, all / 60 % 60, all % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

fn ms(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
