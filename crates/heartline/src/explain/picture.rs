//! Time as a line of characters: what flows, the cut, the probes that nobody answers, the end.

use std::fmt::Write as _;
use std::time::Duration;

use heartline_core::explain::{EventKind, Explanation, Fault, Scene, spoken};

/// The picture, without colours; empty where there is nothing to draw.
pub(super) fn draw(scene: &Scene, explanation: &Explanation) -> String {
    let is_silent = matches!(scene.fault, Fault::Silence | Fault::Frozen);
    let Some(last) = explanation.timeline.events.last() else {
        return String::new();
    };
    if !is_silent || last.at.is_zero() {
        return String::new();
    }
    let shows_cut = explanation.ending.as_ref().is_none_or(|ending| {
        explanation
            .healthy_ending
            .as_ref()
            .is_none_or(|end| end.by != ending.by)
    });
    let axis = Axis::new(explanation, last.at);
    let cut = if shows_cut {
        axis.cut(explanation)
    } else {
        None
    };
    let mut line = axis.background(explanation, cut);
    for event in &explanation.timeline.events {
        axis.put(&mut line, event.at, mark(event.kind));
    }
    let labels = axis.labels(explanation);
    let line = text_of(&line);
    let legend = legend(&line);
    let mut text = format!("  {line}\n  {labels}\n  {legend}\n");
    let omitted = explanation.timeline.omitted;
    if omitted > 0 {
        let _ = writeln!(
            text,
            "  {omitted} more probes before the end are not drawn."
        );
    }
    text.push_str("  Times count from the last data that came");
    if cut.is_some() {
        text.push_str("; the cut may come at any moment up to the next probe");
    }
    text.push_str(".\n");
    text
}

/// What the signs mean that stand in the line.
fn legend(line: &str) -> String {
    let signs = [
        ('=', "well"),
        ('?', "probe"),
        ('!', "reply"),
        ('/', "the cut"),
        ('.', "silence"),
        ('k', "the kernel's probe"),
        ('X', "the end"),
        ('>', "and so on, for ever"),
    ];
    let used = signs.into_iter().filter(|(sign, _)| line.contains(*sign));
    let said: Vec<String> = used.map(|(sign, what)| format!("{sign} {what}")).collect();
    said.join("   ")
}

/// Columns for moments, from some time before the last data on.
struct Axis {
    before: f64,
    after: f64,
    replies: bool,
}

impl Axis {
    fn new(explanation: &Explanation, last: Duration) -> Self {
        let after = last.as_secs_f64();
        // One interval before the last data is drawn, a sixth of the whole at most.
        let every = explanation.probe_every.map(|every| every.as_secs_f64());
        let before = every.unwrap_or(after / 6.0).min(after);
        Self {
            before,
            after: if explanation.ending.is_some() {
                after
            } else {
                after * 1.15
            },
            replies: explanation.probe_every.is_some(),
        }
    }

    /// Where a moment is drawn, counted from the last data.
    fn column(&self, at: f64) -> usize {
        let part = (at + self.before) / (self.before + self.after);
        // Rounded and clamped to the width, so nothing is lost.
        let mut column = 0;
        while column + 1 < WIDTH
            && f64::from(u32::try_from(column).unwrap_or(u32::MAX)) + 0.5 < part * LAST
        {
            column += 1;
        }
        column
    }

    /// In the middle of where it may be.
    fn cut(&self, explanation: &Explanation) -> Option<usize> {
        let ending = explanation.ending.as_ref();
        let oldest = match ending {
            Some(ending) => ending
                .after_last_data
                .max()
                .saturating_sub(ending.after_fault.min()),
            None => explanation.probe_every?,
        };
        Some(
            self.column(oldest.as_secs_f64() / 2.0)
                .max(self.column(0.0) + 1),
        )
    }

    fn background(&self, explanation: &Explanation, cut: Option<usize>) -> Vec<char> {
        let fill = |column: usize| match cut {
            Some(cut) if column == cut => '/',
            Some(cut) if column > cut => '.',
            _ => '=',
        };
        let mut line: Vec<char> = (0..WIDTH).map(fill).collect();
        if self.replies {
            for at in [-self.before, 0.0] {
                let column = self.column(at);
                set(&mut line, column.saturating_sub(1), '?');
                set(&mut line, column.max(1), '!');
            }
        }
        if explanation.ending.is_none() {
            set(&mut line, WIDTH - 1, '>');
        }
        line
    }

    fn put(&self, line: &mut [char], at: Duration, mark: char) {
        set(line, self.column(at.as_secs_f64()), mark);
    }

    /// The times of the events, where there is room.
    fn labels(&self, explanation: &Explanation) -> String {
        let mut text = vec![' '; WIDTH + MARGIN];
        let mut free = 0;
        let events = &explanation.timeline.events;
        let (last, others) = match events.split_last() {
            Some((last, others)) => (Some(last), others),
            None => (None, &[][..]),
        };
        // The end is the one that must stand there.
        let end = last.map(|last| (self.column(last.at.as_secs_f64()), spoken(last.at)));
        let reserved = end
            .as_ref()
            .map_or(WIDTH, |(column, label)| start_of(*column, label));
        let zero = (self.column(0.0), "0".to_owned());
        let others = others
            .iter()
            .map(|event| (self.column(event.at.as_secs_f64()), spoken(event.at)));
        for (column, label) in std::iter::once(zero).chain(others) {
            let start = start_of(column, &label);
            if start >= free && start + label.chars().count() < reserved {
                free = start + place(&mut text, start, &label) + 2;
            }
        }
        if let Some((column, label)) = end {
            place(&mut text, start_of(column, &label), &label);
        }
        text_of(&text).trim_end().to_owned()
    }
}

fn mark(kind: EventKind) -> char {
    match kind {
        EventKind::Disconnect => 'X',
        EventKind::Probe { .. } => '?',
        _ => 'k',
    }
}

fn start_of(column: usize, label: &str) -> usize {
    column.saturating_sub(label.chars().count() / 2)
}

fn place(text: &mut [char], start: usize, label: &str) -> usize {
    let slots = text.iter_mut().skip(start);
    slots
        .zip(label.chars())
        .map(|(slot, letter)| *slot = letter)
        .count()
}

fn set(line: &mut [char], column: usize, mark: char) {
    if let Some(slot) = line.get_mut(column) {
        *slot = mark;
    }
}

fn text_of(line: &[char]) -> String {
    line.iter().collect()
}

const WIDTH: usize = 76;
const LAST: f64 = 75.0;
/// Labels may stand over the end of the line by so much.
const MARGIN: usize = 16;
