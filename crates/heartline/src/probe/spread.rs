//! How round trips are spread.

use std::time::Duration;

/// By nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) n: usize,
    pub(super) min: Duration,
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Spread {
    /// None of nothing.
    pub(super) fn of(samples: &[Duration]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        };
        Some(Self {
            n: sorted.len(),
            min: *sorted.first()?,
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
            max: *sorted.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank_is_taken() {
        let ms = Duration::from_millis;
        let samples: Vec<_> = (1..=200).rev().map(ms).collect();
        let wanted = Spread {
            n: 200,
            min: ms(1),
            p50: ms(100),
            p90: ms(180),
            p99: ms(198),
            max: ms(200),
        };
        assert_eq!(Spread::of(&samples), Some(wanted));
        let one = Spread::of(&[ms(7)]);
        assert!(one.is_some_and(|one| one.n == 1 && one.min == ms(7) && one.p99 == ms(7)));
        assert_eq!(Spread::of(&[]), None);
    }
}
