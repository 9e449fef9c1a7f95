//! The table, as it is printed.

use std::fmt::Write as _;

use heartline_core::explain::Side;

use super::Verdict;
use super::row::{Client, Row, Server};

/// All rows, a line for every end that was judged.
pub(crate) fn table(rows: &[Row], verdicts: &[Vec<Verdict>], programs: &str) -> String {
    let mut text = format!(
        "{programs}; seconds, measured of predicted, held to \u{b1}0.25 s\n\n\
         row  {:<8}  {:<22}  {:<20}  {:<20}  verdict  heartline explain\n",
        "end", "what happens", "after it", "after the last data",
    );
    for (number, (row, verdicts)) in (1..).zip(rows.iter().zip(verdicts)) {
        for (judged, verdict) in row.judged.iter().zip(verdicts) {
            let (end, happens) = (row.program(judged.side), row.happens.text());
            let _ = writeln!(text, "{number:>3}  {end:<8}  {happens:<22}  {verdict}");
        }
    }
    text
}

impl Row {
    fn program(&self, side: Side) -> &'static str {
        match (side, &self.client, &self.server) {
            (Side::Client, Client::Ssh(_), _) => "ssh",
            (Side::Client, Client::Dbclient(_), _) => "dbclient",
            (Side::Server, _, Server::Sshd(_)) => "sshd",
            (Side::Server, _, Server::Dropbear(_)) => "dropbear",
        }
    }
}
