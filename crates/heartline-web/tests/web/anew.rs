//! The page in a real Chromium, when what it shows cannot be read for a while, or is told by another process.

use heartline_core::{Cause, NodeState};

use crate::chromium::Browser;
use crate::site::{Site, many};

const ROWS: &str = "[...document.querySelectorAll('#nodes .n')]";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_anew_is_tried_again_and_is_not_live_meanwhile() {
    let Some(browser) =
        Browser::open("what_cannot_be_read_anew_is_tried_again_and_is_not_live_meanwhile").await
    else {
        return;
    };
    let site = Site::open(many(8));
    browser.go(&site.url("/")).await;
    browser.live().await;
    browser
        .eval("window.tries = 0; window.real = window.fetch; window.fetch = async () => { window.tries += 1; throw new TypeError('no'); };")
        .await;
    site.board.set(many(5));
    browser.until("tried again", "window.tries >= 2").await;
    browser
        .until(
            "not live",
            "document.getElementById('live').textContent.startsWith('not live')",
        )
        .await;
    browser.eval("window.fetch = window.real;").await;
    browser
        .until("the new plan", &format!("{ROWS}.length === 5"))
        .await;
    browser.live().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_begins_anew_with_smaller_numbers_is_followed() {
    let Some(browser) =
        Browser::open("a_watcher_that_begins_anew_with_smaller_numbers_is_followed").await
    else {
        return;
    };
    let site = Site::open(many(8));
    let address = site.address.to_string();
    browser.go(&site.url("/")).await;
    browser.live().await;
    for _ in 0..5 {
        site.turn("web000.example.org", NodeState::Down(Cause::Silent));
    }
    let headline =
        |text: &str| format!("document.getElementById('headline').textContent === '{text}'");
    browser.until("down", &headline("1 down")).await;
    drop(site);
    let site = Site::start(many(5), &address, None, None);
    browser
        .until("the new watcher", &format!("{ROWS}.length === 5"))
        .await;
    browser.live().await;
    site.turn("db001.example.org", NodeState::Down(Cause::Silent));
    browser.until("its events", &headline("1 down")).await;
    browser.close().await;
}
