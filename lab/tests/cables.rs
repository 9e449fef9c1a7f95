//! Cables and logins when nothing is wrong.

mod reach;

use std::net::IpAddr;

use anyhow::Result;
use lab::{Lab, NodeSpec, Running, TEST_USER};
use reach::{CEILING, Echo, banner, until, works};

#[test]
fn a_cable_carries_both_families() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_cable_carries_both_families") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    assert_eq!(cable.v4().to_string(), "10.77.1.2");
    assert_eq!(cable.v6().is_some(), lab.has_ipv6());
    works(&lab, &cable)
}

#[test]
fn plain_ssh_logs_in_by_name_and_by_each_address() -> Result<()> {
    let Some(lab) = Lab::or_skip("plain_ssh_logs_in") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let mut targets = vec!["db1".to_owned()];
    targets.extend(cable.addresses().iter().map(IpAddr::to_string));
    for (done, target) in targets.iter().enumerate() {
        let mut command = lab.ssh(target);
        command.arg("id -un");
        let said = Running::spawn(command)?.finish(CEILING)?.success()?;
        assert_eq!(said.stdout.trim(), TEST_USER);
        assert_eq!(node.logins()?, done + 1);
    }
    until("no session left", || Ok(node.sessions().is_empty()))?;
    Ok(())
}

#[test]
fn another_port_is_known_under_its_own_name() -> Result<()> {
    let Some(lab) = Lab::or_skip("another_port") else {
        return Ok(());
    };
    let node = lab.node_with(&NodeSpec::new("db1").port(2222).config("Banner none"))?;
    let cable = lab.cable(&node)?;
    assert!(banner(lab.watcher(), cable.v4().into(), 22, CEILING)?.is_err());
    let mut command = lab.ssh("db1");
    command.arg("true");
    Running::spawn(command)?.finish(CEILING)?.success()?;
    Ok(())
}

#[test]
fn two_cables_are_two_ways_to_one_node() -> Result<()> {
    let Some(lab) = Lab::or_skip("two_cables") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    assert_ne!(first.v4(), second.v4());
    assert_ne!(first.watcher_interface(), second.watcher_interface());
    let mut over_first = Echo::over(&lab, &first.v4().to_string(), &[])?;
    let mut over_second = Echo::over(&lab, &second.v4().to_string(), &[])?;
    assert_eq!(node.sessions().len(), 2);
    first.inject(lab::Fault::Silent(lab::Direction::Both))?;
    assert!(!over_first.answers(reach::SOON), "the first is cut");
    assert!(over_second.answers(CEILING), "the second is not");
    Ok(())
}

#[test]
fn a_jump_host_stands_between() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_jump_host") else {
        return Ok(());
    };
    let (bastion, inner) = (lab.node("bastion")?, lab.node("inner")?);
    lab.cable(&bastion)?;
    let behind = lab.cable_from(bastion.host(), &inner)?;
    assert!(banner(lab.watcher(), behind.v4().into(), 22, reach::SOON)?.is_err());
    let mut command = lab.ssh("inner");
    // `-J` would start an ssh without our configuration.
    let proxy = format!("ssh -F {} -W %h:%p bastion", lab.ssh_config().display());
    command.args(["-o", &format!("ProxyCommand={proxy}"), "echo inside"]);
    let said = Running::spawn(command)?.finish(CEILING)?.success()?;
    assert_eq!(said.stdout, "inside\n");
    // The bastion's plug to the inside survives its reboot.
    bastion.reboot()?;
    assert!(banner(bastion.host(), behind.v4().into(), 22, CEILING)?.is_ok());
    Ok(())
}

#[test]
fn a_router_forwards_both_families() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_router") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let router = lab.router("r1")?;
    let cable = lab.cable_through(&router, &node)?;
    works(&lab, &cable)?;
    // Pulling the node's end is not seen at the watcher's: the router is in between.
    cable.inject(lab::Fault::LinkDown(lab::End::Node))?;
    let carrier = format!("cat /sys/class/net/{}/carrier", cable.watcher_interface());
    assert_eq!(reach::shell(lab.watcher(), &carrier)?, "1\n");
    reach::failures(&lab, &cable)?;
    cable.heal()?;
    works(&lab, &cable)
}

#[test]
fn nodes_behind_an_uplink_share_it_and_have_a_cable_each() -> Result<()> {
    let Some(lab) = Lab::or_skip("nodes_behind_an_uplink") else {
        return Ok(());
    };
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    let router = lab.router("r1")?;
    let uplink = lab.uplink(&router)?;
    let (first, second) = (
        lab.cable_behind(&uplink, &db1)?,
        lab.cable_behind(&uplink, &db2)?,
    );
    assert!(lab.uplink(&router).is_err(), "a second one");
    assert!(lab.cable_behind(&first, &db2).is_err(), "behind a node");
    for fault in [
        lab::Fault::LinkDown(lab::End::Watcher),
        lab::Fault::LinkDown(lab::End::Node),
        lab::Fault::Silent(lab::Direction::Both),
    ] {
        works(&lab, &first)?;
        works(&lab, &second)?;
        uplink.inject(fault)?;
        for cable in [&first, &second] {
            reach::failures(&lab, cable)?;
            let neighbour = banner(router.host(), cable.v4().into(), 22, CEILING)?;
            assert!(neighbour.is_ok(), "{fault:?}: the router reaches it still");
        }
        uplink.heal()?;
    }
    // A node's own cable is its own.
    first.inject(lab::Fault::Silent(lab::Direction::Both))?;
    reach::failures(&lab, &first)?;
    works(&lab, &second)?;
    first.heal()?;
    db1.reboot()?;
    works(&lab, &first)
}

#[test]
fn names_resolve_as_set() -> Result<()> {
    let Some(lab) = Lab::or_skip("names_resolve") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    lab.watcher()
        .set_names(&[("db1.example.org", &cable.addresses())])?;
    let said = reach::shell(lab.watcher(), "getent ahosts db1.example.org")?;
    for address in cable.addresses() {
        assert!(said.contains(&address.to_string()), "{said}");
    }
    assert_eq!(
        reach::shell(lab.watcher(), "getent ahosts nowhere.example.org")?,
        ""
    );
    Ok(())
}
