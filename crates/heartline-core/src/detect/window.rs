//! The last of a stream of times, and their mean and deviation, which stay exact for ever: they are counted in whole numbers.

use std::collections::VecDeque;

/// Times in nanoseconds, some of which may be negative.
#[derive(Clone, Debug)]
pub(super) struct Window {
    most: usize,
    values: VecDeque<i64>,
    sum: i128,
    squares: i128,
}

impl Window {
    /// An empty one, that keeps the last `most`.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            values: VecDeque::new(),
            sum: 0,
            squares: 0,
        }
    }

    pub(super) fn push(&mut self, value: i64) {
        self.values.push_back(value);
        self.count(value, 1);
        if self.values.len() > self.most
            && let Some(oldest) = self.values.pop_front()
        {
            self.count(oldest, -1);
        }
    }

    fn count(&mut self, value: i64, times: i128) {
        let value = i128::from(value);
        self.sum += value * times;
        self.squares += value * value * times;
    }

    /// None, of an empty one.
    pub(super) fn mean(&self) -> Option<f64> {
        (!self.values.is_empty()).then(|| float(self.sum) / float(self.len()))
    }

    /// The standard deviation of these, not an estimate of another's.
    pub(super) fn deviation(&self) -> Option<f64> {
        let length = self.len();
        let scaled = length * self.squares - self.sum * self.sum;
        (length > 0).then(|| float(scaled).sqrt() / float(length))
    }

    fn len(&self) -> i128 {
        self.values.len() as i128
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a difference of nanoseconds is no matter here"
)]
fn float(whole: i128) -> f64 {
    whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_is_old_and_stays_exact() {
        let mut window = Window::new(3);
        assert_eq!((window.mean(), window.deviation()), (None, None));
        // An uptime of a century, and a thousandth of a microsecond.
        let far = 100 * 365 * 86_400 * 1_000_000_000;
        for _ in 0..10_000 {
            window.push(far);
        }
        for value in [1, 2, 3] {
            window.push(value);
        }
        assert_eq!(window.mean(), Some(2.0));
        let deviation = window.deviation().unwrap();
        assert!((deviation - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
