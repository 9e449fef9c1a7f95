//! What goes wrong on real machines, and the word heartline has for it.

mod watching;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cable, Direction, End, Fault, Lab, Node, NodeSpec, Part, Span};
use watching::{Told, Watch, go_first, until};

/// `--interval 400ms --count 1`.
const BOUND: Duration = Duration::from_millis(800);
/// Without a fuse: a process killed while it has still to read what starts a guard resets its connection.
const TIMING: &str = "--interval 400ms --count 1 --connect-timeout 1s --fuse 0 --detector openssh";

/// A node with one cable, watched, and up.
struct Bed {
    watch: Watch,
    cable: Cable,
    node: Node,
    // Last: what runs ends before its machines go.
    _lab: Lab,
}

impl Bed {
    fn or_skip(name: &str, spec: &NodeSpec, words: &str) -> Result<Option<Self>> {
        let Some(lab) = Lab::or_skip(name) else {
            return Ok(None);
        };
        go_first()?;
        let node = lab.node_with(spec)?;
        let cable = lab.cable(&node)?;
        let mut watch = Watch::start(&lab, &format!("db1 {words} {TIMING}"))?;
        watch.node("db1", "up")?;
        watch.forget()?;
        Ok(Some(Self {
            watch,
            cable,
            node,
            _lab: lab,
        }))
    }

    fn plain(name: &str) -> Result<Option<Self>> {
        Self::or_skip(name, &NodeSpec::new("db1"), "")
    }

    /// Puts a fault on the cable; the line must be down at the bound. Says with which cause.
    fn fault(&mut self, fault: Fault) -> Result<String> {
        let injected = self.cable.inject(fault)?;
        self.ends_at_bound(injected)
            .with_context(|| format!("{fault:?}"))
    }

    fn ends_at_bound(&mut self, fault: Span) -> Result<String> {
        let down = self.watch.node("db1", "down")?;
        // Shown where the cause is not the one wanted.
        for told in self.watch.told()? {
            eprintln!("{}", told.json);
        }
        down.is_at_bound(BOUND, fault)?;
        Ok(down.text("cause").to_owned())
    }

    /// Puts a fault on our own side; the node is down for it before the bound, and for nothing else until long after.
    fn is_known_before_the_bound(&mut self, fault: Fault, cause: &str) -> Result<()> {
        self.cable.inject(fault)?;
        let down = self.watch.node("db1", "down")?;
        assert_eq!(down.text("cause"), cause, "{fault:?}");
        ensure!(down.after()? < BOUND, "{fault:?}: {}", down.json);
        for told in self.watch.told_within(BOUND * 3)? {
            let told_cause = told.text("cause");
            ensure!(
                told_cause.is_empty() || told_cause == cause,
                "{fault:?}: {}",
                told.json
            );
        }
        Ok(())
    }

    /// Mends the cable and waits until the node is up.
    fn heal(&mut self) -> Result<()> {
        self.watch.forget()?;
        self.cable.heal()?;
        self.watch.node("db1", "up")?;
        // A beat in health, so that no deadline of the login's is measured.
        self.watch.told_within(BOUND)?;
        self.watch.forget()
    }

    /// Fails if any event since the test last forgot has this cause.
    fn never(&mut self, cause: &str) -> Result<()> {
        let wrong = self
            .watch
            .told()?
            .iter()
            .find(|told| told.text("cause") == cause);
        ensure!(wrong.is_none(), "{wrong:?}");
        Ok(())
    }
}

#[test]
fn silence_of_every_kind_is_silent_at_the_bound() -> Result<()> {
    let Some(mut bed) = Bed::plain("silence_of_every_kind")? else {
        return Ok(());
    };
    for fault in [
        Fault::Silent(Direction::ToNode),
        Fault::Silent(Direction::ToWatcher),
        Fault::Filtered(Direction::Both),
        Fault::AddressRemoved(End::Node),
    ] {
        assert_eq!(bed.fault(fault)?, "silent", "{fault:?}");
        bed.never("sshd_hung")?;
        bed.heal()?;
    }
    Ok(())
}

/// What our own side has lost is known by the kernel's event, and no silence is waited for. What our own kernel could not send it has no
/// acknowledgement to wait for: that was once taken for a peer whose kernel acknowledges everything, `sshd_hung`.
#[test]
fn a_fault_on_our_own_side_is_never_a_hung_sshd() -> Result<()> {
    let Some(mut bed) = Bed::plain("a_fault_on_our_own_side")? else {
        return Ok(());
    };
    for (fault, cause) in [
        (Fault::LinkDown(End::Watcher), "link_down"),
        (Fault::LinkDown(End::Node), "link_down"),
        (Fault::AddressRemoved(End::Watcher), "link_down"),
        (Fault::RouteRemoved(End::Watcher), "no_route"),
    ] {
        bed.is_known_before_the_bound(fault, cause)?;
        bed.heal()?;
    }
    Ok(())
}

#[test]
fn a_line_bound_to_an_interface_and_an_address_says_what_our_side_lacks() -> Result<()> {
    let words = "--line 10.77.1.2,dev=w1,src=10.77.1.1";
    let spec = NodeSpec::new("db1");
    let Some(mut bed) = Bed::or_skip("a_line_bound", &spec, words)? else {
        return Ok(());
    };
    for fault in [
        Fault::LinkDown(End::Watcher),
        Fault::AddressRemoved(End::Watcher),
    ] {
        bed.is_known_before_the_bound(fault, "link_down")?;
        bed.heal()?;
    }
    Ok(())
}

#[test]
fn a_machine_without_power_takes_the_cable_s_carrier_along_and_is_up_again_once_it_has_booted()
-> Result<()> {
    let Some(mut bed) = Bed::plain("a_machine_without_power")? else {
        return Ok(());
    };
    bed.node.power_off()?;
    let down = bed.watch.node("db1", "down")?;
    assert_eq!(down.text("cause"), "link_down");
    bed.node.power_on()?;
    bed.heal()
}

#[test]
fn a_killed_sshd_is_refused_and_a_killed_session_is_no_down() -> Result<()> {
    let Some(mut bed) = Bed::plain("a_killed_sshd")? else {
        return Ok(());
    };
    // The session alone: its machine is well, which the next dial shows before the bound has passed.
    bed.node.kill(Part::User)?;
    let suspect = bed.watch.node("db1", "suspect")?;
    assert_eq!(suspect.text("cause"), "closed_by_peer");
    bed.watch.node("db1", "up")?;
    ensure!(!was_down(bed.watch.told()?), "{:#?}", bed.watch.told()?);

    // Without a listener sessions live on, and nobody is let in any more.
    bed.watch.forget()?;
    bed.node.kill(Part::Listener)?;
    ensure!(bed.watch.told_within(BOUND)?.is_empty());
    let begun = Instant::now();
    bed.node.kill(Part::User)?;
    bed.watch.node_for("db1", "down", "refused")?;
    let down = bed.watch.node("db1", "down")?;
    ensure!(
        down.at - begun <= BOUND + watching::GRACE,
        "{:?}",
        down.at - begun
    );
    bed.watch.forget()?;
    bed.node.start()?;
    bed.watch.hang_up()?;
    bed.watch.node("db1", "up").map(drop)
}

#[test]
fn a_reset_is_a_reset_and_then_refused() -> Result<()> {
    let Some(mut bed) = Bed::plain("a_reset")? else {
        return Ok(());
    };
    // The connection alone, as by a firewall that lost it.
    bed.node.reset_sessions()?;
    let suspect = bed.watch.node("db1", "suspect")?;
    assert_eq!(suspect.text("cause"), "reset");
    bed.watch.node("db1", "up")?;
    ensure!(!was_down(bed.watch.told()?), "{:#?}", bed.watch.told()?);

    // Every segment, so that no new one is made either.
    bed.watch.forget()?;
    let fault = bed.cable.inject(Fault::Reset)?;
    let suspect = bed.watch.node("db1", "suspect")?;
    assert_eq!(suspect.text("cause"), "reset");
    let down = bed.watch.node("db1", "down")?;
    ensure!(down.at - fault.begun <= BOUND + watching::GRACE + (fault.complete - fault.begun));
    bed.watch.node_for("db1", "down", "refused")?;
    bed.heal()
}

#[test]
fn a_stopped_sshd_is_hung_and_a_frozen_machine_never_says_hello() -> Result<()> {
    let Some(mut bed) = Bed::plain("a_stopped_sshd")? else {
        return Ok(());
    };
    // Only the session's own process: another session is well.
    let begun = Instant::now();
    bed.node.stop(Part::User)?;
    let complete = Instant::now();
    assert_eq!(bed.ends_at_bound(Span { begun, complete })?, "sshd_hung");
    bed.watch.node("db1", "up")?;
    bed.watch.told_within(BOUND)?;
    bed.watch.forget()?;

    let begun = Instant::now();
    bed.node.host().freeze()?;
    let complete = Instant::now();
    assert_eq!(bed.ends_at_bound(Span { begun, complete })?, "sshd_hung");
    bed.watch.node_for("db1", "down", "banner_timeout")?;
    bed.watch.forget()?;
    bed.node.host().thaw()?;
    bed.watch.node("db1", "up").map(drop)
}

#[test]
fn a_full_sshd_is_a_penalty_and_is_left_alone() -> Result<()> {
    let spec = NodeSpec::new("db1").config("MaxStartups 1");
    let Some(mut bed) = Bed::or_skip("a_full_sshd", &spec, "")? else {
        return Ok(());
    };
    let place = (bed.cable.v4(), 22);
    let stranger = bed
        .cable
        .end(End::Watcher)
        .host
        .enter(|| TcpStream::connect(place))??;
    until("somebody else takes the only place", || {
        Ok(bed.node.pids(Part::Unauthenticated).len() == 1)
    })?;
    bed.node.kill(Part::User)?;
    let unknown = bed.watch.node_for("db1", "unknown", "penalty")?;
    assert_eq!(unknown.json["lines"][0]["state"], "down");
    let before = turned_away(&bed.node)?;
    ensure!(before > 0, "sshd turned nobody away");
    bed.watch.told_within(Duration::from_secs(10))?;
    ensure!(turned_away(&bed.node)? == before, "it went on asking");

    drop(stranger);
    until("the place is free", || {
        Ok(bed.node.pids(Part::Unauthenticated).is_empty())
    })?;
    bed.watch.forget()?;
    bed.watch.hang_up()?;
    bed.watch.node("db1", "up").map(drop)
}

/// Connections dropped for MaxStartups, by sshd's log.
fn turned_away(node: &Node) -> Result<usize> {
    Ok(node.log()?.matches("drop connection").count())
}

fn was_down(told: &[Told]) -> bool {
    told.iter().any(|told| told.text("to") == "down")
}
