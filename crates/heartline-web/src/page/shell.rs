//! What is around every page.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::parts;
use crate::assets;

/// What it is told.
pub(super) struct Frame {
    /// The last event that the page knows.
    pub(super) seq: u64,
    pub(super) plans: u64,
    pub(super) isolated: bool,
    pub(super) begun: Timestamp,
    /// Whether a script keeps it up to date.
    pub(super) is_live: bool,
    /// The journal has not been read yet: a script asks again soon.
    pub(super) is_early: bool,
    pub(super) can_log_in: bool,
    pub(super) can_log_out: bool,
}

impl Frame {
    /// A page of that title, with the sign in the colour of that state.
    pub(super) fn around(&self, title: &str, state: &str, kind: &str, main: &Markup) -> Markup {
        let version = assets::VERSION.as_str();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    link id="icon" rel="icon" type="image/svg+xml" href={ "/icon.svg?" (state) };
                    link rel="stylesheet" href={ "/app.css?" (version) };
                    script src={ "/app.js?" (version) } {}
                }
                body data-page=(kind) data-seq=(self.seq) data-plan=(self.plans) data-begun=(self.begun) data-live[self.is_live] data-early[self.is_early] {
                    a.skip href="#main" { "Skip to content" }
                    (self.header())
                    p #banner .banner role="alert" hidden[!self.isolated] {
                        strong { "This watcher is cut off." }
                        " Nothing at all is heard, of nobody. What is below is what was known before; no node is called down for it."
                    }
                    main #main { (main) }
                    p #said .sr role="status" aria-live="polite" {}
                }
            }
        }
    }

    fn header(&self) -> Markup {
        html! {
            header.top {
                a.brand href="/" {
                    svg viewBox="0 0 24 16" aria-hidden="true" {
                        path d="M1 8.500h5l3-7 4.500 13 3-6h6.500" {}
                    }
                    "heartline"
                }
                @if self.is_live {
                    p #live .live { "as of " (parts::clock(Timestamp::now())) }
                }
                button #theme type="button" hidden { "Dark" }
                @if self.can_log_in { a.button href="/login" { "Log in" } }
                @if self.can_log_out {
                    form method="post" action="/logout" { button { "Log out" } }
                }
            }
        }
    }
}
