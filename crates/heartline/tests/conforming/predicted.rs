//! What `heartline explain --json` says of an end.

use std::time::Duration;

use heartline_core::explain::{Side, Span};
use serde_json::Value;

use super::row::{Asks, Judged};
use crate::explaining::json;

/// The windows; `None`: it stays.
#[derive(Clone, Debug)]
pub(crate) struct Predicted {
    pub(crate) after_fault: Option<Span>,
    pub(crate) after_data: Option<Span>,
    pub(crate) exit_code: Option<i64>,
}

impl Predicted {
    /// Asks, with `peer` as the program's banner.
    pub(crate) fn of(judged: &Judged, peer: &str) -> Self {
        if judged.asks == Asks::Nothing {
            return Self {
                after_fault: None,
                after_data: None,
                exit_code: None,
            };
        }
        let side = judged.side.word();
        let (_, value) = json(&format!("--side {side} --peer {peer} {}", judged.words));
        let (after_fault, after_data) = match judged.asks {
            Asks::Fault => (
                span(&value["after_fault_s"]),
                span(&value["after_last_data_s"]),
            ),
            Asks::Healthy | Asks::Nothing => (None, span(&value["healthy_ends_s"])),
            Asks::Login => {
                let limit = value["login_limit_s"].as_f64().map(Duration::from_secs_f64);
                (None, limit.map(Span::exact))
            }
        };
        let is_ours = judged.asks == Asks::Fault && judged.side == Side::Client;
        let exit_code = value["exit_code"].as_i64().filter(|_| is_ours);
        Self {
            after_fault,
            after_data,
            exit_code,
        }
    }

    /// Whether the end stays for ever.
    pub(crate) fn stays(&self) -> bool {
        self.after_fault.is_none() && self.after_data.is_none()
    }

    /// The latest moment of an end, from the fault or the last data on.
    pub(crate) fn latest(&self) -> Option<Duration> {
        self.after_fault.or(self.after_data).map(Span::max)
    }
}

fn span(value: &Value) -> Option<Span> {
    let seconds = |field: &str| value[field].as_f64().map(Duration::from_secs_f64);
    Some(Span::new(seconds("min")?, seconds("max")?))
}
