use heartline_core::Cause;

use super::*;

fn letter() -> Letter {
    Letter {
        hook: "ops".into(),
        key: "ops-7-1700000000000".into(),
        token: Some(7),
        node: Some("db1".into()),
        tags: vec!["db".into()],
        from: "up".into(),
        to: "down".into(),
        cause: Some(Cause::Silent),
        sentence: Some(Cause::Silent.sentence().into()),
        t: "2026-11-20T23:31:00.123Z".into(),
        after_ms: Some(9804),
        ..Letter::default()
    }
}

#[test]
fn the_subject_says_it_all() {
    let with = |change: fn(&mut Letter)| {
        let mut letter = letter();
        change(&mut letter);
        subject(&letter)
    };
    assert_eq!(with(|_| {}), "db1 is down: silent");
    assert_eq!(
        with(|l| l.flapping = true),
        "db1 is flapping, down now: silent"
    );
    assert_eq!(
        with(|l| (l.to, l.cause, l.changes) = ("up".into(), None, Some(29))),
        "db1 has settled, and is up after 29 changes"
    );
    assert_eq!(
        with(|l| (l.to, l.cause) = ("up".into(), None)),
        "db1 is up again"
    );
    assert_eq!(
        with(|l| l.line = Some("10.0.0.5%eth0".into())),
        "db1, line 10.0.0.5%eth0, is down: silent"
    );
    assert_eq!(
        with(|l| (l.node, l.cause) = (None, Some(Cause::WatcherIsolated))),
        "the network of this watcher is down: watcher_isolated"
    );
}

#[test]
fn no_name_can_add_a_header_or_an_address() {
    let mut letter = letter();
    letter.node = Some("db1\r\nBcc: <all@example.org>\r\n\r\nBuy".into());
    letter.tags = vec!["a\r\n.\r\nMAIL FROM".into()];
    let from = "watcher@example.org".parse().unwrap();
    let to = vec!["Ops <ops@example.org>".parse().unwrap()];
    let limit = Duration::from_secs(1);
    let mailer = Mailer::new("smtp://127.0.0.1:1", from, to, None, limit).unwrap();
    let message = mailer.message(&letter).unwrap();
    let text = String::from_utf8(message.formatted()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let names: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert!(!names.contains(&"Bcc"), "{head}");
    assert!(
        head.contains("Message-ID: <ops-7-1700000000000@example.org>"),
        "{head}"
    );
    assert!(head.contains("Fri, 20 Nov 2026 23:31:00"), "{head}");
    assert!(!text.contains("\r\n.\r\n"), "{text}");
    assert_eq!(message.envelope().to().len(), 1);
    assert_eq!(
        mailer.message(&letter).unwrap().formatted(),
        message.formatted()
    );
}
