//! What is printed.

use std::fmt::Write as _;

use lab::sshd_version;

use super::judge::{Pair, Verdict};
use super::row::Row;

/// All rows, with what was wanted and what was told.
pub(crate) fn table(rows: &[Row], verdicts: &[Verdict]) -> String {
    let wanted: Vec<String> = rows.iter().map(|row| row.wanted.to_string()).collect();
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or_default();
    let first = widest(&mut rows.iter().map(|row| row.what.len()));
    let second = widest(&mut wanted.iter().map(String::len));
    let sshd = sshd_version().unwrap_or_default();
    let sshd = sshd.split(',').next().unwrap_or_default();
    let mut text = format!(
        "{sshd}\n\nrow      {:first$}  {:second$}  told\n",
        "what was done", "wanted"
    );
    for (number, ((row, wanted), verdict)) in (1..).zip(rows.iter().zip(&wanted).zip(verdicts)) {
        let mark = match verdict {
            Verdict::Skipped(_) => "-",
            _ if verdict.is_good() => "ok",
            _ => "NOT",
        };
        let what = row.what;
        let _ = writeln!(
            text,
            "{number:>3} {mark:>3}  {what:first$}  {wanted:second$}  {verdict}"
        );
    }
    text
}

/// For each cause that was produced, in how many rows it was told, and in how many another one.
pub(crate) fn matrix(verdicts: &[Verdict]) -> String {
    let judged = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Judged(judged) => Some(judged),
        Verdict::Skipped(_) | Verdict::Failed(_) => None,
    });
    let pairs: Vec<&Pair> = judged.flat_map(|judged| &judged.pairs).collect();
    let wanted = pairs.iter().map(|(wanted, _)| wanted);
    let told = pairs.iter().map(|(_, told)| told);
    let mut names: Vec<&str> = Vec::new();
    for name in wanted.chain(told) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let width = names
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    let mut text = format!("{:width$}      told\n{:width$}    ", "produced", "");
    for number in 1..=names.len() {
        let _ = write!(text, "{number:>4}");
    }
    text.push('\n');
    for (number, wanted) in (1..).zip(&names) {
        let _ = write!(text, "{number:>2}  {wanted:width$}");
        for told in &names {
            let count = pairs
                .iter()
                .filter(|(w, t)| w == wanted && t == told)
                .count();
            let cell = if count == 0 {
                ".".to_owned()
            } else {
                count.to_string()
            };
            let _ = write!(text, "{cell:>4}");
        }
        text.push('\n');
    }
    text
}
