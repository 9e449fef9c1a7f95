//! Each fault does what it says, to new connections and to a session, and heals without a trace.

mod reach;

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Cable, Direction, End, Fault, Icmp, Lab, Node, Running, heal_all, inject_all};
use reach::{CEILING, Echo, SOON, datagrams, failures, failures_within, shell, until, works};

fn bed(name: &str) -> Result<Option<(Lab, Node, Cable)>> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(None);
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    works(&lab, &cable)?;
    Ok(Some((lab, node, cable)))
}

fn carrier_at(cable: &Cable, end: End) -> Result<String> {
    let plug = cable.end(end);
    shell(
        &plug.host,
        &format!("cat /sys/class/net/{}/carrier", plug.ifname),
    )
}

#[test]
fn link_down_takes_the_carrier_at_the_other_end() -> Result<()> {
    let Some((lab, _node, cable)) = bed("link_down")? else {
        return Ok(());
    };
    for (down, other) in [(End::Watcher, End::Node), (End::Node, End::Watcher)] {
        cable.inject(Fault::LinkDown(down))?;
        until("carrier lost", || Ok(carrier_at(&cable, other)? == "0\n"))?;
        failures(&lab, &cable)?;
        cable.heal()?;
        works(&lab, &cable)?;
    }
    Ok(())
}

#[test]
fn silence_ends_nothing_and_heals() -> Result<()> {
    let Some((lab, node, cable)) = bed("silence")? else {
        return Ok(());
    };
    let mut echo = Echo::over(&lab, "db1", &[])?;
    for fault in [
        Fault::Silent(Direction::Both),
        Fault::Silent(Direction::ToNode),
        Fault::Silent(Direction::ToWatcher),
        Fault::Filtered(Direction::Both),
    ] {
        cable.inject(fault)?;
        assert!(!echo.answers(SOON), "{fault:?}");
        let kinds = failures(&lab, &cable)?;
        let quiet = |kind: &ErrorKind| *kind != ErrorKind::ConnectionRefused;
        assert!(kinds.iter().all(quiet), "{fault:?}: {kinds:?}");
        cable.heal()?;
        until("echo again", || Ok(echo.answers(SOON)))?;
        assert_eq!(node.sessions().len(), 1);
    }
    Ok(())
}

#[test]
fn one_way_silence_is_one_way() -> Result<()> {
    let Some((lab, node, cable)) = bed("one_way")? else {
        return Ok(());
    };
    let half_open = || shell(node.host(), "ss -Htn state syn-recv");
    cable.inject(Fault::Filtered(Direction::ToNode))?;
    failures(&lab, &cable)?;
    assert_eq!(half_open()?, "", "the node heard of it");
    cable.heal()?;
    cable.inject(Fault::Filtered(Direction::ToWatcher))?;
    failures(&lab, &cable)?;
    assert!(half_open()?.contains(":22"), "the node did not hear of it");
    Ok(())
}

#[test]
fn filtered_leaves_neighbours_silent_does_not() -> Result<()> {
    let Some((lab, _node, cable)) = bed("neighbours")? else {
        return Ok(());
    };
    let device = cable.watcher_interface();
    let address = cable.v4();
    let known = || {
        shell(
            lab.watcher(),
            &format!("ip neigh show {address} dev {device}"),
        )
    };
    let forget = format!("ip neigh flush to {address} dev {device}");
    for (fault, reachable) in [
        (Fault::Filtered(Direction::Both), true),
        (Fault::Silent(Direction::Both), false),
    ] {
        cable.inject(fault)?;
        shell(lab.watcher(), &forget)?;
        failures(&lab, &cable)?;
        assert_eq!(
            known()?.contains("lladdr"),
            reachable,
            "{fault:?}: {}",
            known()?
        );
        cable.heal()?;
        works(&lab, &cable)?;
    }
    Ok(())
}

#[test]
fn reset_refuses_and_breaks_sessions_that_send() -> Result<()> {
    let Some((lab, _node, cable)) = bed("reset")? else {
        return Ok(());
    };
    let mut echo = Echo::over(&lab, "db1", &[])?;
    cable.inject(Fault::Reset)?;
    assert!(echo.ssh().is_alive(), "an idle session knows nothing of it");
    assert!(
        failures(&lab, &cable)?
            .iter()
            .all(|kind| *kind == ErrorKind::ConnectionRefused)
    );
    assert!(!echo.answers(CEILING));
    assert_eq!(echo.ssh().wait(CEILING)?.status.code(), Some(255));
    cable.heal()?;
    works(&lab, &cable)
}

#[test]
fn icmp_says_what_it_is_told_to() -> Result<()> {
    let Some((lab, _node, cable)) = bed("icmp")? else {
        return Ok(());
    };
    for (icmp, expected) in [
        (Icmp::PortUnreachable, ErrorKind::ConnectionRefused),
        (Icmp::HostUnreachable, ErrorKind::HostUnreachable),
        (Icmp::NoRoute, ErrorKind::NetworkUnreachable),
        (Icmp::AdminProhibited, ErrorKind::HostUnreachable),
    ] {
        cable.inject(Fault::Icmp(icmp))?;
        // Long enough for a second SYN: see `Fault::Icmp`.
        let kinds = failures_within(&lab, &cable, CEILING)?;
        assert_eq!(kinds.first(), Some(&expected), "{icmp:?}");
        // What IPv6 makes of each is the kernel's business; silence it must not be.
        assert!(!kinds.contains(&ErrorKind::TimedOut), "{icmp:?}: {kinds:?}");
        cable.heal()?;
        works(&lab, &cable)?;
    }
    Ok(())
}

#[test]
fn addresses_and_routes_go_and_come_back() -> Result<()> {
    let Some((lab, _node, cable)) = bed("addresses")? else {
        return Ok(());
    };
    for fault in [
        Fault::AddressRemoved(End::Watcher),
        Fault::RouteRemoved(End::Watcher),
    ] {
        cable.inject(fault)?;
        let kinds = failures(&lab, &cable)?;
        let unreachable = |kind: &ErrorKind| *kind == ErrorKind::NetworkUnreachable;
        assert!(kinds.iter().all(unreachable), "{fault:?}: {kinds:?}");
        cable.heal()?;
        works(&lab, &cable)?;
    }
    for fault in [
        Fault::AddressRemoved(End::Node),
        Fault::RouteRemoved(End::Node),
    ] {
        cable.inject(fault)?;
        failures(&lab, &cable)?;
        cable.heal()?;
        works(&lab, &cable)?;
    }
    Ok(())
}

/// As where an address is taken away by hand: whoever listens to the kernel hears of the address first.
#[test]
fn an_address_goes_before_its_routes() -> Result<()> {
    let Some((lab, _node, cable)) = bed("before_its_routes")? else {
        return Ok(());
    };
    let mut command = lab.watcher().command("ip");
    command.args(["-o", "monitor", "address", "route"]);
    let mut monitor = Running::spawn(command)?;
    until("the monitor listens", || {
        shell(
            lab.watcher(),
            "ip address add 127.1.1.1 dev lo; ip address del 127.1.1.1 dev lo",
        )?;
        Ok(!monitor.lines().is_empty())
    })?;
    cable.inject(Fault::AddressRemoved(End::Watcher))?;
    let first = monitor.wait_for("word of it", CEILING, |line| {
        line.text.starts_with("Deleted ") && line.text.contains("10.77.1.")
    })?;
    assert!(first.text.contains("inet 10.77.1.1/24"), "{}", first.text);
    Ok(())
}

#[test]
fn loss_is_of_the_percentage_asked_for() -> Result<()> {
    let Some((lab, _node, cable)) = bed("loss")? else {
        return Ok(());
    };
    assert_eq!(datagrams(&lab, &cable, 50, 100)?, 50);
    cable.inject(Fault::Loss(Direction::ToNode, 50))?;
    // 200 fair coins: fewer than 55 or more than 145 heads has a chance below one in 10^9.
    let arrived = datagrams(&lab, &cable, 200, 100)?;
    assert!((55..=145).contains(&arrived), "{arrived} of 200");
    cable.heal()?;
    cable.inject(Fault::Loss(Direction::ToWatcher, 100))?;
    assert_eq!(datagrams(&lab, &cable, 20, 100)?, 20, "the other way");
    failures(&lab, &cable)?;
    cable.heal()?;
    works(&lab, &cable)
}

#[test]
fn large_packets_are_lost_alone() -> Result<()> {
    let Some((lab, _node, cable)) = bed("large_packets")? else {
        return Ok(());
    };
    cable.inject(Fault::LossAbove(Direction::ToNode, 600))?;
    assert_eq!(datagrams(&lab, &cable, 20, 500)?, 20);
    assert_eq!(datagrams(&lab, &cable, 5, 700)?, 0);
    works(&lab, &cable)
}

#[test]
fn faults_add_up_and_heal_together() -> Result<()> {
    let Some((lab, _node, cable)) = bed("add_up")? else {
        return Ok(());
    };
    cable.inject(Fault::LinkDown(End::Watcher))?;
    cable.inject(Fault::AddressRemoved(End::Watcher))?;
    cable.inject(Fault::Reset)?;
    cable.inject(Fault::Reset)?;
    cable.inject(Fault::Silent(Direction::ToNode))?;
    assert_eq!(cable.faults().len(), 4);
    failures(&lab, &cable)?;
    cable.heal()?;
    assert!(cable.faults().is_empty());
    for end in [End::Watcher, End::Node] {
        assert_eq!(shell(&cable.end(end).host, "nft list ruleset")?, "");
    }
    works(&lab, &cable)
}

#[test]
fn several_cables_are_cut_at_once() -> Result<()> {
    let Some((lab, node, first)) = bed("at_once")? else {
        return Ok(());
    };
    let second = lab.cable(&node)?;
    let cut = Fault::Silent(Direction::Both);
    let span = inject_all(&[(&first, cut), (&second, cut)])?;
    failures(&lab, &first)?;
    failures(&lab, &second)?;
    assert!(
        span.complete - span.begun < Duration::from_secs(5),
        "{span:?}"
    );
    heal_all(&[&first, &second])?;
    works(&lab, &first)?;
    works(&lab, &second)
}

/// OpenSSH's rule is known (exit no later than interval·(count+1) after the last data), so it
/// shows that the lab's clock, its cut and its exit times belong together.
#[test]
fn a_cut_is_timed_by_openssh_itself() -> Result<()> {
    let Some((lab, _node, cable)) = bed("timed")? else {
        return Ok(());
    };
    let alive = ["ServerAliveInterval=1", "ServerAliveCountMax=1"];
    let mut echo = Echo::over(&lab, "db1", &alive)?;
    let cut = cable.inject(Fault::Silent(Direction::Both))?;
    let ended = echo.ssh().wait(CEILING)?;
    assert_eq!(ended.status.code(), Some(255));
    let (least, most) = (ended.at - cut.complete, ended.at - cut.begun);
    ensure!(most > Duration::from_millis(900), "too soon: {most:?}");
    ensure!(least < Duration::from_millis(2500), "too late: {least:?}");
    Ok(())
}
