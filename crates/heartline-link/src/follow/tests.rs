//! What cannot be brought about from outside: that the kernel drops messages.

use std::io::Write;
use std::process::{Command, Stdio};

use lab::Lab;

use super::*;
use crate::OurSide;
use crate::board::News;

/// Gives `ip` lines to carry out on the machine that watches.
fn batch(lab: &Lab, lines: &str) {
    let mut command = Command::new("ip");
    command.args(["-n", lab.watcher().namespace(), "-batch", "-"]);
    let mut running = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    assert!(running.wait().unwrap().success());
}

/// More than the kernel keeps for somebody who does not read.
fn storm() -> String {
    "link set s0 down\nlink set s0 up\n".repeat(4_000)
}

/// Runs this on a machine with an interface called s0, without a carrier problem.
fn on_a_machine(test: &str, work: impl AsyncFnOnce(&Lab) + Send) {
    let Some(lab) = Lab::or_skip(test) else {
        return;
    };
    batch(
        &lab,
        "link add s0 type veth peer name s1\nlink set s0 up\nlink set s1 up\n",
    );
    let inside = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(&lab));
    };
    lab.watcher().enter(inside).unwrap();
}

#[test]
fn what_the_kernel_drops_is_noticed_once_and_what_comes_after_is_heard() {
    on_a_machine("what_the_kernel_drops", async |lab| {
        let mut tap = Tap::open(&NEAR).unwrap();
        batch(lab, &storm());
        let mut heard = 0;
        let drained = tap.drain(1, |_| heard += 1).unwrap();
        assert_eq!(drained, Drained::Overrun);
        assert!(heard > 1 && heard < 8_000, "{heard}");
        assert_eq!(tap.drain(1, |_| panic!("more")).unwrap(), Drained::Dry);
        batch(lab, "link set s0 down\n");
        let mut last = None;
        timeout(START, tap.ready()).await.unwrap();
        let drained = tap.drain(1_000, |message| last = message.near().or(last.take()));
        assert_eq!(drained.unwrap(), Drained::Dry);
        assert!(last.is_some());
    });
}

#[test]
fn what_was_dropped_is_read_anew() {
    on_a_machine("what_was_dropped", async |lab| {
        let board = Board::default();
        let mut follower = Follower::open(&board).await.unwrap();
        let way = Way {
            peer: [192, 0, 2, 7].into(),
            local: Some([198, 18, 0, 1].into()),
            device: Some("s0".to_owned()),
        };
        board.follow(&way);
        let mut told = async || {
            let following = timeout(Duration::from_millis(300), follower.follow());
            assert!(following.await.is_err(), "it has ended");
            let mut sides: Vec<(Way, OurSide)> = Vec::new();
            while let News::Changed(news) = board.news() {
                sides.extend(news);
            }
            sides.pop().unwrap().1
        };
        let before = told().await;
        assert!(before.carrier && !before.address, "{before:?}");
        batch(
            lab,
            &(storm() + "addr add 198.18.0.1/32 dev s0\nlink set s0 down\n"),
        );
        let after = told().await;
        assert!(!after.carrier && after.address, "{after:?}");
        batch(
            lab,
            &(storm() + "link set s0 up\naddr del 198.18.0.1/32 dev s0\n"),
        );
        let last = told().await;
        assert!(last.carrier && !last.address, "{last:?}");
    });
}
