//! What a person reads, and a program.

use std::fmt::Write as _;
use std::time::Duration;

use heartline_ssh::Standing;
use serde_json::{Value, json};

use super::ending::{Ended, Fate};
use crate::words;

/// One line a session.
pub(super) fn text(standings: &[&Standing]) -> String {
    let mut rows = vec![[
        "PID".to_owned(),
        "BEGAN".to_owned(),
        "SOURCE".to_owned(),
        "LAST SIGN".to_owned(),
        "PROCESSES".to_owned(),
        "VERDICT".to_owned(),
        String::new(),
    ]];
    rows.extend(standings.iter().map(|standing| row(standing)));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// One line for each that was to be ended.
pub(super) fn ends(ended: &[Ended]) -> String {
    ended.iter().fold(String::new(), |mut text, ended| {
        let _ = writeln!(text, "{}  {}", ended.pid, fate(&ended.fate));
        text
    })
}

/// One object.
pub(super) fn json(node: &str, standings: &[&Standing], ended: &[Ended]) -> Value {
    let sessions: Vec<_> = standings.iter().map(|standing| session(standing)).collect();
    let ended: Vec<_> = ended
        .iter()
        .map(|one| {
            let (result, reason) = match &one.fate {
                Fate::Gone => ("gone", None),
                Fate::Refused(why) => ("refused", Some(words::plain(why))),
                Fate::LivesOn(left) => ("lives_on", Some(processes(*left))),
                Fate::NotTold(why) => ("not_told", Some(words::plain(why))),
            };
            json!({ "pid": one.pid, "result": result, "reason": reason })
        })
        .collect();
    json!({ "node": node, "sessions": sessions, "ended": ended })
}

fn session(standing: &Standing) -> Value {
    json!({
        "pid": standing.pid,
        "age_ms": millis(standing.age),
        "source": standing.source.map(|source| source.to_string()),
        "terminal": standing.terminal,
        "last_sign_ms": standing.last_sign.map(millis),
        "processes": standing.processes,
        "verdict": standing.verdict.word(),
        "evidence": standing.evidence.word(),
    })
}

fn row(standing: &Standing) -> [String; 7] {
    let ago = |time: Duration| format!("{} ago", rounded(time));
    [
        standing.pid.to_string(),
        ago(standing.age),
        standing
            .source
            .map_or_else(|| "?".to_owned(), |source| source.to_string()),
        standing.last_sign.map_or_else(|| "?".to_owned(), ago),
        standing.processes.to_string(),
        standing.verdict.word().to_owned(),
        standing.evidence.sentence().to_owned(),
    ]
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Gone => "ended".to_owned(),
        Fate::Refused(why) => format!("refused: {}", words::plain(why)),
        Fate::LivesOn(left) => format!("lives on: {}", processes(*left)),
        Fate::NotTold(why) => format!("it may live on: {}", words::plain(why)),
    }
}

fn processes(left: usize) -> String {
    match left {
        1 => "1 process".to_owned(),
        _ => format!("{left} processes"),
    }
}

/// In the two largest units: `3d 2h`, `4m 10s`.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large, large_unit, small, small_unit| {
        if small == 0 {
            format!("{large}{large_unit}")
        } else {
            format!("{large}{large_unit} {small}{small_unit}")
        }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => two(minutes, 'm', seconds % 60, 's'),
        (0, ..) => two(hours, 'h', minutes, 'm'),
        _ => two(days, 'd', hours, 'h'),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        for (seconds, wanted) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (250, "4m 10s"),
            (3_600, "1h"),
            (11_159, "3h 5m"),
            (86_400 * 3 + 7_300, "3d 2h"),
        ] {
            assert_eq!(rounded(Duration::from_secs(seconds)), wanted);
        }
    }
}
