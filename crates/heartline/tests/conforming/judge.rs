//! The prediction held against what was seen.

use std::fmt;
use std::time::{Duration, Instant};

use heartline_core::explain::Span as Window;
use lab::Span;

use super::row::{Asks, Judged};
use super::{Predicted, SLACK};

/// What was seen of one end.
pub(crate) struct Observed {
    /// When the fault took effect; `None`: there was none.
    pub(crate) fault: Option<Span>,
    /// When it was gone; `None`: it is still there.
    pub(crate) ended: Option<Instant>,
    /// When it may have heard the last of the other end.
    pub(crate) heard: Vec<Instant>,
    /// Bytes a second that the remote command wrote, where that matters.
    pub(crate) rate: Option<u64>,
    /// How long it was looked at after the fault, or the last data.
    pub(crate) looked_for: Duration,
    /// The client's.
    pub(crate) exit_code: Option<i32>,
    /// The client's last lines.
    pub(crate) says: String,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The words for `heartline explain`.
    pub(crate) words: String,
    /// From the fault, measured and predicted.
    pub(crate) from_fault: Option<(Duration, Window)>,
    /// From the last data, measured and predicted.
    pub(crate) from_data: Option<(Duration, Window)>,
    /// How long it was seen to stay, where that was predicted.
    pub(crate) stayed: Option<Duration>,
    /// What is wrong.
    pub(crate) faults: Vec<String>,
}

impl Verdict {
    pub(crate) fn of(judged: &Judged, predicted: &Predicted, observed: &Observed) -> Self {
        let mut verdict = Self::new(judged);
        let (fault_width, data_width) = judged.widest;
        verdict.check_width("after the fault", predicted.after_fault, fault_width);
        verdict.check_width("after the last data", predicted.after_data, data_width);
        match observed.ended {
            None if predicted.stays() => verdict.stayed = Some(observed.looked_for),
            None => {
                let looked = observed.looked_for.as_secs_f64();
                verdict.wrong(format!("is still there after {looked:.2} s"));
            }
            Some(ended) => verdict.hold(judged, predicted, observed, ended),
        }
        if !verdict.is_good() {
            verdict.wrong(format!("ssh said: {}", observed.says));
        }
        verdict
    }

    /// It could not be carried out.
    pub(crate) fn failed(judged: &Judged, why: &anyhow::Error) -> Self {
        let mut verdict = Self::new(judged);
        verdict.wrong(format!("did not run: {why:#}"));
        verdict
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    fn new(judged: &Judged) -> Self {
        Self {
            words: judged.words.clone(),
            from_fault: None,
            from_data: None,
            stayed: None,
            faults: Vec::new(),
        }
    }

    fn wrong(&mut self, what: String) {
        self.faults.push(what);
    }

    /// A window is to say something.
    fn check_width(&mut self, of: &str, window: Option<Window>, widest: f64) {
        let width = window.map(|window| window.max().saturating_sub(window.min()).as_secs_f64());
        if let Some(width) = width.filter(|width| *width > widest + 0.001) {
            self.wrong(format!(
                "the window {of} is {width:.2} s wide, over {widest} s"
            ));
        }
    }

    fn hold(
        &mut self,
        judged: &Judged,
        predicted: &Predicted,
        observed: &Observed,
        ended: Instant,
    ) {
        if let Some(fault) = observed.fault {
            let (least, most) = (ended - fault.complete, ended - fault.begun);
            match predicted.after_fault {
                None => self.wrong(format!("ended {:.2} s after the fault", most.as_secs_f64())),
                Some(window) => {
                    self.from_fault = Some((most, window));
                    // Wherever in its making the fault took effect.
                    self.check(window.holds(least, SLACK) && window.holds(most, SLACK));
                }
            }
        }
        let ages = observed.heard.iter().map(|heard| ended - *heard);
        let ages: Vec<Duration> = ages.collect();
        match (predicted.after_data, ages.first()) {
            (Some(window), Some(first)) => {
                let fits = ages.iter().find(|age| window.holds(**age, SLACK));
                self.from_data = Some((*fits.unwrap_or(first), window));
                self.check(fits.is_some());
            }
            (None, _) if judged.asks != Asks::Fault => {
                let age = ages.first().copied().unwrap_or_default();
                self.wrong(format!(
                    "ended {:.2} s after the last data",
                    age.as_secs_f64()
                ));
            }
            (Some(_), None) if observed.fault.is_none() => self.wrong("heard nothing".to_owned()),
            _ => {}
        }
        let wanted = predicted.exit_code;
        if wanted.is_some() && wanted != observed.exit_code.map(i64::from) {
            self.wrong(format!(
                "exit code {:?}, not {wanted:?}",
                observed.exit_code
            ));
        }
    }

    fn check(&mut self, is_inside: bool) {
        if !is_inside {
            self.wrong("OUTSIDE".to_owned());
        }
    }
}

/// Measured and predicted, for which words, and what is wrong.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = |held: Option<(Duration, Window)>| match held {
            None => String::new(),
            Some((measured, window)) => {
                let [measured, min, max] = [measured, window.min(), window.max()]
                    .map(|time| format!("{:.2}", time.as_secs_f64()));
                format!("{measured:>5} of {min}\u{2013}{max}")
            }
        };
        let fault = match self.stayed {
            Some(stayed) => format!("stays, {:.0} s seen", stayed.as_secs_f64()),
            None => both(self.from_fault),
        };
        let result = if self.is_good() { "ok" } else { "FAILED" };
        let (data, words, why) = (both(self.from_data), &self.words, self.faults.join("; "));
        let line = format!("{fault:<20}  {data:<20}  {result:<7}  {words}  {why}");
        f.write_str(line.trim_end())
    }
}
