//! What the page looks like.

use heartline_core::{Cause, NodeState};

use crate::chromium::Browser;
use crate::site::{Site, TOKEN, many};

/// Pictures of it, for who wants to look: `HEARTLINE_SHOTS=folder`.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_drawn() {
    let Some(browser) = Browser::open("it_is_drawn").await else {
        return;
    };
    let journal = crate::figures::journal(&many(1_000));
    for count in [8, 1_000] {
        let mut nodes = many(count.max(100));
        nodes.truncate(count.max(18));
        if count == 8 {
            nodes = nodes.split_off(10);
            nodes[3].tags = vec!["prod".to_owned(), "eu".to_owned()].into();
        }
        let site = Site::start(
            nodes.clone(),
            "127.0.0.1:0",
            Some(TOKEN),
            Some(journal.path().join("journal.db")),
        );
        site.sample(60);
        site.turn(&nodes[2].node, NodeState::Down(Cause::SshdHung));
        site.turn(&nodes[2].node, NodeState::Up);
        let mut evidence = heartline_core::Evidence::default();
        evidence.ssh.unanswered = 2;
        evidence.tcp = Some(heartline_core::TcpEvidence {
            unacked: 3,
            retransmits: 4,
            rtt_us: 1_830,
            rtt_var_us: 240,
            last_ack_ms: 9_804,
            ..Default::default()
        });
        site.board.note(
            crate::site::line_told("cache017.example.org", "10.0.0.1", evidence),
            None,
        );
        for (is_dark, theme) in [(false, "light"), (true, "dark")] {
            browser.dark(is_dark).await;
            browser.go(&site.url("/")).await;
            browser.live().await;
            browser.shoot(&format!("{count}-{theme}.png")).await;
            browser.go(&site.url("/node/cache017.example.org")).await;
            browser.live().await;
            browser.shoot(&format!("{count}-node-{theme}.png")).await;
        }
        browser.client.set_window_size(420, 900).await.unwrap();
        browser.go(&site.url("/")).await;
        browser.shoot(&format!("{count}-phone.png")).await;
        assert_eq!(
            browser
                .eval("return document.documentElement.scrollWidth > innerWidth")
                .await,
            false
        );
        browser.client.set_window_size(1_600, 1_000).await.unwrap();
    }
    browser.close().await;
}
