//! How many segments may be under way.

/// The congestion window, and what it was before the last loss.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) size: usize,
    threshold: usize,
    /// The most that were under way since nothing was.
    used: usize,
    before: Option<(usize, usize)>,
    /// Acknowledged since it grew.
    credit: usize,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self {
            size: FIRST,
            threshold: usize::MAX,
            used: 0,
            before: None,
            credit: 0,
        }
    }

    /// So many are under way.
    pub(super) fn used(&mut self, segments: usize) {
        self.used = self.used.max(segments);
    }

    /// Some were acknowledged, and nothing is wrong.
    pub(super) fn acknowledged(&mut self, segments: usize, is_idle: bool) {
        if self.size < self.threshold {
            if self.size < 2 * self.used {
                self.size = (self.size + segments).min(self.threshold);
            }
        } else if self.used >= self.size {
            self.credit += segments;
            if self.credit >= self.size {
                self.credit = 0;
                self.size += 1;
            }
        }
        if is_idle {
            self.used = 0;
        }
    }

    /// Something is lost.
    pub(super) fn lost(&mut self) {
        self.before = Some((self.size, self.threshold));
        // CUBIC's beta, 717 of 1024.
        self.threshold = (self.size * 717 / 1024).max(2);
    }

    /// Nothing is: it was only late.
    pub(super) fn undo(&mut self) {
        if let Some((size, threshold)) = self.before.take() {
            (self.size, self.threshold) = (size.max(self.size), threshold);
        }
    }

    /// It is repaired.
    pub(super) fn repaired(&mut self, by_timeout: bool) {
        self.before = None;
        if !by_timeout {
            self.size = self.threshold;
        }
    }

    /// While it is being repaired, so many may be under way.
    pub(super) fn held(&mut self, segments: usize) {
        self.size = segments.min(self.threshold).max(1);
    }
}

/// `TCP_INIT_CWND`.
const FIRST: usize = 10;
