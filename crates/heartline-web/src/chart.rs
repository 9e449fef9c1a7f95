//! Small drawings, as the data of an SVG path: they need no script and no font, and take little room where nothing happens.

use std::fmt::Write;
use std::time::Duration;

/// How high a round trip is drawn, 0 to [`TOP`]; none where there was none.
pub(crate) type Level = Option<u8>;

/// Round trips against what is usual of them: the middle is their median, and each doubling three steps. So a steady line is flat, at whatever distance.
pub(crate) fn levels(trips: &[Option<Duration>]) -> Vec<Level> {
    let mut known: Vec<_> = trips.iter().flatten().collect();
    known.sort_unstable();
    let median = known
        .get(known.len() / 2)
        .map_or(0.0, |median| median.as_secs_f64());
    trips
        .iter()
        .map(|trip| trip.map(|trip| level(trip.as_secs_f64(), median)))
        .collect()
}

fn level(trip: f64, median: f64) -> u8 {
    let ratio = trip / median.max(LEAST);
    let steps = f64::from(MIDDLE) + STEPS * ratio.max(f64::MIN_POSITIVE).log2();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a small positive number"
    )]
    let level = steps.round().clamp(0.0, f64::from(TOP)) as u8;
    level
}

/// Steps from left to right, each one wide, from the top down; `m1 0` passes over where there was none. `app.js` reads and writes the same.
pub(crate) fn steps(levels: &[Level], width: usize) -> String {
    let mut path = String::with_capacity(width * 2 + 8);
    let empty = width.saturating_sub(levels.len());
    let mut at: Level = None;
    for (x, level) in (empty..).zip(levels) {
        match (at, level) {
            (_, None) => {}
            (None, Some(now)) => {
                let _ = write!(path, "M{x} {}h1", TOP - now);
            }
            (Some(before), Some(now)) if before == *now => path.push_str("h1"),
            (Some(_), Some(now)) => {
                let _ = write!(path, "V{}h1", TOP - now);
            }
        }
        at = *level;
    }
    path
}

/// Bars one wide and one high where it is so, those that touch made one.
pub(crate) fn bars(days: impl IntoIterator<Item = bool>) -> String {
    let mut path = String::new();
    let mut begun: Option<usize> = None;
    let mut bar = |begun: &mut Option<usize>, end: usize| {
        if let Some(first) = begun.take() {
            let wide = end - first;
            let _ = write!(path, "M{first} 0h{wide}v1h-{wide}z");
        }
    };
    let mut count = 0;
    for (x, is_so) in days.into_iter().enumerate() {
        if is_so {
            begun.get_or_insert(x);
        } else {
            bar(&mut begun, x);
        }
        count = x + 1;
    }
    bar(&mut begun, count);
    path
}

/// The highest.
pub(crate) const TOP: u8 = 9;
const MIDDLE: u8 = 3;
const STEPS: f64 = 3.0;
/// Below this, differences are the clock's and not the network's.
const LEAST: f64 = 50e-6;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(all: &[u64]) -> Vec<Option<Duration>> {
        let each = all.iter();
        each.map(|ms| (*ms > 0).then(|| Duration::from_millis(*ms)))
            .collect()
    }

    #[test]
    fn a_steady_line_is_flat_and_what_stands_out_stands_out() {
        let levels = levels(&ms(&[10, 11, 9, 10, 0, 20, 1_000, 10]));
        let middle = Some(MIDDLE);
        assert_eq!(
            levels,
            [
                middle,
                middle,
                middle,
                middle,
                None,
                Some(6),
                Some(TOP),
                middle
            ]
        );
        assert_eq!(steps(&levels, 10), "M2 6h1h1h1h1M7 3h1V0h1V6h1");
        assert_eq!(steps(&[], 10), "");
    }

    #[test]
    fn days_that_touch_are_one_bar() {
        assert_eq!(bars([true, true, false, true]), "M0 0h2v1h-2zM3 0h1v1h-1z");
        assert_eq!(bars([false; 90]), "");
        assert_eq!(bars([true; 90]), "M0 0h90v1h-90z");
    }
}
