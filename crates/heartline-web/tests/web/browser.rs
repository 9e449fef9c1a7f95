//! The page in a real Chromium.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::key::Key;
use heartline_core::{Cause, NodeState};
use serde_json::json;
use tokio::time::sleep;

use crate::chromium::{Browser, PATIENCE};
use crate::site::{HOSTILE, Site, TOKEN, many, node};

const ROWS: &str = "[...document.querySelectorAll('#nodes .n:not([hidden])')]";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_the_open_page() {
    let Some(browser) = Browser::open("a_change_reaches_the_open_page").await else {
        return;
    };
    let site = Site::open(many(1_000));
    site.sample(60);
    browser.go(&site.url("/")).await;
    browser.live().await;
    assert_eq!(browser.eval(&format!("return {ROWS}.length")).await, 1_000);
    // When the page shows it, by its own clock, which is this machine's.
    browser
        .eval(
            "window.shown = {}; new MutationObserver((all) => { for (const one of all) window.shown[one.target.dataset?.n + ' ' + one.target.classList?.[1]] = Date.now(); })
             .observe(document.getElementById('nodes'), { subtree: true, attributes: true, attributeFilter: ['class'] });",
        )
        .await;
    let mut took = Vec::new();
    for at in [500, 501, 502, 503, 504] {
        let name = many(1_000)[at].node.to_string();
        let begun = jiff::Timestamp::now().as_millisecond();
        site.turn(&name, NodeState::Down(Cause::Silent));
        browser
            .until("down", &format!("window.shown['{name} down']"))
            .await;
        let shown = browser
            .eval(&format!("return window.shown['{name} down']"))
            .await;
        took.push(shown.as_i64().unwrap() - begun);
    }
    println!("from the event to the page that shows it: {took:?} ms");
    assert!(took.iter().all(|ms| *ms < 2_000), "{took:?}");
    let first = browser
        .eval(&format!(
            "return {ROWS}.slice(0, 6).map((row) => row.classList[1]).join()"
        ))
        .await;
    assert_eq!(first, "down,down,down,down,down,down");
    assert_eq!(
        browser.eval("return document.title").await,
        "6 down, 1 unknown, 1 degraded · heartline"
    );
    assert_eq!(
        browser
            .eval("return document.querySelector('#events li b').textContent")
            .await,
        many(1_000)[504].node.to_string()
    );
    browser
        .until(
            "said",
            "document.getElementById('said').textContent.includes('down')",
        )
        .await;
    // Round trips are drawn on.
    let drawn = "[...document.querySelectorAll('.n.up .sp path')].map((path) => path.getAttribute('d')).join()";
    let before = browser.eval(&format!("return {drawn}")).await;
    site.sample(3);
    browser
        .until("round trips", &format!("{drawn} !== {before}"))
        .await;
    // Nodes that are not watched any more go, others come.
    site.board.set(vec![node("only", NodeState::Up)]);
    browser
        .until("another plan", &format!("{ROWS}.length === 1"))
        .await;
    browser
        .until(
            "headline",
            "document.getElementById('headline').textContent === 'All 1 up'",
        )
        .await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_shown_without_lag() {
    let Some(browser) = Browser::open("a_storm_is_shown_without_lag").await else {
        return;
    };
    let nodes = many(1_000);
    let site = Site::open(nodes.clone());
    browser.go(&site.url("/")).await;
    browser.live().await;
    browser.eval("window.longest = 0; let last = performance.now(); (function next() { const now = performance.now(); window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(next); })();").await;
    let begun = Instant::now();
    for brief in &nodes {
        site.turn(&brief.node, NodeState::Down(Cause::NoRoute));
    }
    browser
        .until(
            "all down",
            "document.getElementById('headline').textContent === '1000 down'",
        )
        .await;
    let longest = browser
        .eval("return window.longest")
        .await
        .as_f64()
        .unwrap();
    println!(
        "a thousand nodes go down: shown after {:?}, the longest frame {longest:.0} ms",
        begun.elapsed()
    );
    assert!(longest < 2_000.0, "{longest}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_filters_and_stays() {
    let Some(browser) = Browser::open("the_filter_filters_and_stays").await else {
        return;
    };
    let site = Site::open(many(100));
    browser.go(&site.url("/")).await;
    browser.live().await;
    let body = browser.client.find(Locator::Css("body")).await.unwrap();
    body.send_keys("/").await.unwrap();
    let q = browser.client.active_element().await.unwrap();
    assert_eq!(q.attr("id").await.unwrap().as_deref(), Some("q"));
    q.send_keys("db0").await.unwrap();
    browser
        .until("filtered", &format!("{ROWS}.length === 20"))
        .await;
    assert!(
        browser
            .client
            .current_url()
            .await
            .unwrap()
            .as_str()
            .ends_with("/?q=db0")
    );
    // It stays so when something happens, and over a reload.
    site.turn("db001.example.org", NodeState::Down(Cause::Silent));
    browser
        .until(
            "first",
            &format!("{ROWS}[0].dataset.n === 'db001.example.org'"),
        )
        .await;
    assert_eq!(browser.eval(&format!("return {ROWS}.length")).await, 20);
    browser.client.refresh().await.unwrap();
    browser
        .until("filtered again", &format!("{ROWS}.length === 20"))
        .await;
    browser.live().await;
    let q = browser.client.find(Locator::Css("#q")).await.unwrap();
    q.send_keys(&Key::Escape.to_string()).await.unwrap();
    browser
        .until("all", &format!("{ROWS}.length === 100"))
        .await;

    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_states_choose_and_the_keys_go_from_row_to_row() {
    let Some(browser) = Browser::open("the_states_choose_and_the_keys_go_from_row_to_row").await
    else {
        return;
    };
    let site = Site::open(many(100));
    browser.go(&site.url("/")).await;
    browser.live().await;
    let chip = browser
        .client
        .find(Locator::Css(".chip.degraded"))
        .await
        .unwrap();
    chip.click().await.unwrap();
    browser
        .until(
            "degraded",
            &format!("{ROWS}.length === 1 && {ROWS}[0].dataset.n === 'web040.example.org'"),
        )
        .await;
    site.turn("web040.example.org", NodeState::Up);
    browser
        .until(
            "none",
            &format!("{ROWS}.length === 0 && !document.getElementById('none').hidden"),
        )
        .await;
    browser
        .client
        .find(Locator::Css(".chip.all"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();

    // j, k and the arrows go from row to row, Enter opens, Escape comes back.
    let at = format!("{ROWS}.indexOf(document.activeElement.closest('.n'))");
    for (key, row) in [
        ("j".to_owned(), 0),
        ("j".to_owned(), 1),
        (Key::Down.to_string(), 2),
        ("k".to_owned(), 1),
    ] {
        browser
            .client
            .active_element()
            .await
            .unwrap()
            .send_keys(&key)
            .await
            .unwrap();
        assert_eq!(browser.eval(&format!("return {at}")).await, row, "{key:?}");
    }
    // What has the focus keeps it when its row moves.
    let name = browser
        .eval("return document.activeElement.closest('.n').dataset.n")
        .await;
    site.turn("db011.example.org", NodeState::Down(Cause::Silent));
    browser
        .until(
            "moved",
            &format!("{ROWS}.slice(0, 4).some((row) => row.dataset.n === 'db011.example.org')"),
        )
        .await;
    assert_eq!(
        browser
            .eval("return document.activeElement.closest('.n').dataset.n")
            .await,
        name
    );
    browser
        .client
        .active_element()
        .await
        .unwrap()
        .send_keys(&Key::Enter.to_string())
        .await
        .unwrap();
    browser
        .until("node page", "document.body.dataset.page === 'node'")
        .await;
    browser.live().await;
    let body = browser.client.find(Locator::Css("body")).await.unwrap();
    body.send_keys(&Key::Escape.to_string()).await.unwrap();
    browser
        .until("back", "document.body.dataset.page === 'list'")
        .await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_dark_where_the_system_is_and_where_somebody_wants_it() {
    let Some(browser) =
        Browser::open("it_is_dark_where_the_system_is_and_where_somebody_wants_it").await
    else {
        return;
    };
    let site = Site::open(many(8));
    let background = "return getComputedStyle(document.body).backgroundColor";
    browser.dark(false).await;
    browser.go(&site.url("/")).await;
    let light = browser.eval(background).await;
    browser.dark(true).await;
    let dark = browser.eval(background).await;
    assert_ne!(light, dark);
    let theme = browser.client.find(Locator::Css("#theme")).await.unwrap();
    theme.click().await.unwrap();
    assert_eq!(browser.eval(background).await, light);
    browser.client.refresh().await.unwrap();
    assert_eq!(browser.eval(background).await, light, "it is kept");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_text_and_nothing_else() {
    let Some(browser) = Browser::open("hostile_names_are_text_and_nothing_else").await else {
        return;
    };
    let long = "y".repeat(1_000);
    let names: Vec<&str> = HOSTILE.into_iter().chain([long.as_str()]).collect();
    let nodes = names.iter().map(|name| node(name, NodeState::Up)).collect();
    let site = Site::open(nodes);
    browser.go(&site.url("/")).await;
    browser.live().await;
    for name in &names {
        site.turn(name, NodeState::Down(Cause::Silent));
    }
    browser
        .until(
            "all down",
            &format!(
                "document.getElementById('headline').textContent === '{} down'",
                names.len()
            ),
        )
        .await;
    let shown: HashMap<String, String> = serde_json::from_value(
        browser
            .eval(&format!("return Object.fromEntries({ROWS}.map((row) => [row.dataset.n, row.querySelector('.name a').textContent]))"))
            .await,
    )
    .unwrap();
    assert_eq!(shown.len(), names.len());
    assert_eq!(
        shown["<script>alert(1)</script>"],
        "<script>alert(1)</script>"
    );
    assert_eq!(
        shown["abc\u{202e}gpj.exe\u{200b}"],
        "abc\\u{202e}gpj.exe\\u{200b}"
    );
    assert!(shown[&long].len() < 200);
    // Nothing was made of them: no element that the page does not have by itself, and nothing wider than it.
    assert_eq!(browser.eval("return document.querySelectorAll('img, script:not([src]), iframe, [onerror], [onmouseover]').length").await, 0);
    assert_eq!(
        browser
            .eval("return document.documentElement.scrollWidth > innerWidth")
            .await,
        false
    );
    for name in &names {
        let link = format!(
            "return {ROWS}.find((row) => row.dataset.n === arguments[0]).querySelector('a').href"
        );
        let link = browser
            .client
            .execute(&link, vec![json!(name)])
            .await
            .unwrap();
        let link = link.as_str().unwrap().to_owned();
        assert!(link.starts_with(&site.url("/node")), "{link}");
        browser.go(&link).await;
        assert_eq!(
            browser
                .eval("return document.querySelector('.title').dataset.n")
                .await,
            **name,
            "{link}"
        );
        browser.go(&site.url("/")).await;
    }
    assert!(
        browser.client.get_alert_text().await.is_err(),
        "something spoke"
    );
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_read_without_a_script() {
    let Some(browser) = Browser::open("it_can_be_read_without_a_script").await else {
        return;
    };
    let site = Site::open(many(100));
    site.sample(30);
    browser
        .cdp(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": true }),
        )
        .await;
    browser.go(&site.url("/?state=down")).await;
    let rows = browser
        .client
        .find_all(Locator::Css("#nodes .n:not([hidden])"))
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let text = rows[0].text().await.unwrap();
    assert!(
        text.contains("down") && text.contains("nothing comes back"),
        "{text}"
    );
    let q = browser.client.find(Locator::Css("#q")).await.unwrap();
    q.send_keys("nobody").await.unwrap();
    q.send_keys(&Key::Enter.to_string()).await.unwrap();
    let none = browser
        .client
        .wait()
        .at_most(PATIENCE)
        .for_element(Locator::Css("#none:not([hidden])"))
        .await
        .unwrap();
    assert!(none.text().await.unwrap().contains("No node is like that"));
    browser
        .client
        .find(Locator::Css("#none a"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let link = browser
        .client
        .wait()
        .at_most(PATIENCE)
        .for_element(Locator::LinkText("cache017.example.org"))
        .await
        .unwrap();
    link.click().await.unwrap();
    let heading = browser
        .client
        .wait()
        .at_most(PATIENCE)
        .for_element(Locator::Css(".title h1"))
        .await
        .unwrap();
    assert_eq!(heading.text().await.unwrap(), "cache017.example.org");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_sees_the_page_and_its_buttons() {
    let Some(browser) = Browser::open("who_logs_in_sees_the_page_and_its_buttons").await else {
        return;
    };
    let site = Site::start(many(8), "0.0.0.0:0", Some(TOKEN), None);
    browser.go(&site.url("/node/web000.example.org")).await;
    browser
        .client
        .find(Locator::Css("#token"))
        .await
        .unwrap()
        .send_keys(TOKEN)
        .await
        .unwrap();
    browser
        .client
        .find(Locator::Css("form.login button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    browser
        .until("node page", "document.body.dataset.page === 'node'")
        .await;
    browser.live().await;
    browser
        .client
        .find(Locator::Css("button[value=redial]"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let begun = Instant::now();
    while site.wished.lock().unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the button does nothing");
        sleep(Duration::from_millis(20)).await;
    }
    let wished = format!("{:?}", site.wished.lock().unwrap());
    assert!(
        wished.contains("Redial") && wished.contains("web000"),
        "{wished}"
    );
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}
