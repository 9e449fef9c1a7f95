//! Carrier, address and route of a way, as a real kernel takes and gives them.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod told;

use std::collections::HashMap;

use heartline_link::{OurSide, Way};
use lab::{End, Fault, Lab};

use told::{Told, ip, on, way, ways};

#[test]
fn each_fault_is_told_as_what_it_is_and_so_is_its_end() {
    let Some(lab) = Lab::or_skip("each_fault_is_told") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let (cable, other) = (lab.cable(&node).unwrap(), lab.cable(&node).unwrap());
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        let (all, elsewhere) = (ways(&cable), ways(&other));
        told.follow(&elsewhere).await;
        told.follow(&all).await;
        told.until("well", |sides| sides.values().all(OurSide::is_well))
            .await;
        let every = |sides: &HashMap<Way, OurSide>, good: &dyn Fn(&Way, &OurSide) -> bool| {
            all.iter().all(|way| good(way, &sides[way]))
        };
        let go = async |told: &mut Told, fault, good: &dyn Fn(&Way, &OurSide) -> bool| {
            let before = told.all.len();
            let (cut, heal) = (cable.clone(), cable.clone());
            told.after(
                &format!("{fault:?}"),
                move || cut.inject(fault).unwrap(),
                |sides| every(sides, good),
            )
            .await;
            // Routes may go with the carrier, but nobody is told of them first.
            let is_cut = matches!(fault, Fault::LinkDown(_));
            let told_first = |side: &OurSide| side.carrier && !side.route;
            assert!(!(is_cut && told.all[before..].iter().any(told_first)));
            assert!(
                elsewhere.iter().all(|way| told.sides[way].is_well()),
                "{fault:?}"
            );
            told.after(
                "  healed",
                move || heal.heal().unwrap(),
                |sides| every(sides, &|_, side| side.is_well()),
            )
            .await;
        };
        go(&mut told, Fault::LinkDown(End::Node), &|_, side| {
            !side.carrier && side.address && side.route
        })
        .await;
        go(&mut told, Fault::LinkDown(End::Watcher), &|_, side| {
            !side.carrier
        })
        .await;
        go(
            &mut told,
            Fault::AddressRemoved(End::Watcher),
            &|way, side| side.carrier && side.address == way.local.is_none(),
        )
        .await;
        // Through a device IPv4 takes every peer to be on the link.
        go(
            &mut told,
            Fault::RouteRemoved(End::Watcher),
            &|way, side| {
                let is_assumed = way.device.is_some() && way.peer.is_ipv4();
                side.carrier && side.address && side.route == is_assumed
            },
        )
        .await;
    });
}

#[test]
fn a_route_that_refuses_is_none_wherever_it_is_written() {
    let Some(lab) = Lab::or_skip("a_route_that_refuses") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let cable = lab.cable(&node).unwrap();
    let here = lab.watcher().namespace().to_owned();
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        told.follow(&ways(&cable)).await;
        told.until("well", |sides| sides.values().all(OurSide::is_well))
            .await;
        for (family, peer) in ["-4", "-6"].into_iter().zip(cable.addresses()) {
            let routed = |sides: &HashMap<Way, OurSide>, wanted| {
                // What goes through a device is not asked of every table.
                let free = sides.iter().filter(|(way, _)| way.device.is_none());
                let mut family = free.filter(|(way, _)| way.peer == peer);
                family.all(|(_, side)| side.route == wanted && side.carrier)
            };
            for refuses in [
                format!("route V unreachable {peer}"),
                format!("route V prohibit {peer}"),
                format!("route V blackhole {peer}"),
                format!("rule V to {peer} unreachable"),
                format!("rule V to {peer} prohibit"),
            ] {
                let words = |verb| format!("-n {here} {family} {}", refuses.replace('V', verb));
                let (add, delete) = (words("add"), words("del"));
                told.after(&refuses, move || ip(&add), |sides| routed(sides, false))
                    .await;
                told.after("  healed", move || ip(&delete), |sides| routed(sides, true))
                    .await;
            }
        }
    });
}

#[test]
fn a_link_local_peer_is_known_by_its_interface_alone() {
    let Some(lab) = Lab::or_skip("a_link_local_peer") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let (cable, _other) = (lab.cable(&node).unwrap(), lab.cable(&node).unwrap());
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        let peer = "fe80::1".parse().unwrap();
        let (free, scoped) = (way(peer, None, None), way(peer, None, Some("w1")));
        let mapped = cable.v4().to_ipv6_mapped().into();
        let mapped = way(mapped, None, None);
        told.follow(&[free.clone(), scoped.clone(), mapped.clone()])
            .await;
        assert!(told.sides[&free].is_well() && told.sides[&free].interface.is_none());
        let down = Fault::LinkDown(End::Watcher);
        told.after(
            "cut",
            move || cable.inject(down).unwrap(),
            |sides| !sides[&scoped].carrier && !sides[&mapped].carrier,
        )
        .await;
        assert!(told.sides[&free].is_well());
    });
}

#[test]
fn who_was_reached_by_a_gateway_has_no_route_without_it() {
    let Some(lab) = Lab::or_skip("who_was_reached_by_a_gateway") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let router = lab.router("router").unwrap();
    let cable = lab.cable_through(&router, &node).unwrap();
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        told.follow(&ways(&cable)).await;
        told.until("well", |sides| sides.values().all(OurSide::is_well))
            .await;
        let (cut, heal) = (cable.clone(), cable.clone());
        let fault = Fault::RouteRemoved(End::Watcher);
        told.after(
            "route removed",
            move || cut.inject(fault).unwrap(),
            |sides| {
                sides
                    .values()
                    .all(|side| side.carrier && side.address && !side.route)
            },
        )
        .await;
        told.after(
            "  healed",
            move || heal.heal().unwrap(),
            |sides| sides.values().all(OurSide::is_well),
        )
        .await;
    });
}

#[test]
fn an_interface_that_is_deleted_and_made_anew_is_found() {
    let Some(lab) = Lab::or_skip("an_interface_that_is_deleted") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let cable = lab.cable(&node).unwrap();
    let (here, there) = (lab.watcher().namespace(), node.host().namespace());
    on(lab.watcher(), async || {
        let mut told = Told::start().await;
        told.follow(&ways(&cable)).await;
        for _ in 0..3 {
            let delete = format!("-n {here} link del w1");
            told.after(
                "deleted",
                move || ip(&delete),
                |sides| sides.values().all(|side| !side.carrier && !side.route),
            )
            .await;
            let gone = |side: &OurSide| side.interface.as_deref() == Some("w1");
            assert!(told.sides.values().all(gone), "{:#?}", told.sides);
            let (cable, ns) = (cable.clone(), (here.to_owned(), there.to_owned()));
            let make = move || {
                let (here, there) = ns;
                ip(&format!(
                    "-n {here} link add w1 type veth peer name n1 netns {there}"
                ));
                cable.heal().unwrap();
            };
            told.after("made anew", make, |sides| {
                sides.values().all(OurSide::is_well)
            })
            .await;
        }
    });
}
