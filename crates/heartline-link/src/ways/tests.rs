use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::heard::Near;
use crate::kernel::Link;

fn way(peer: &str, local: Option<&str>, device: Option<&str>) -> Way {
    Way {
        peer: peer.parse().unwrap(),
        local: local.map(|local| local.parse().unwrap()),
        device: device.map(str::to_owned),
    }
}

/// Follows these, and has all of them looked up once with a route through interface 1.
fn followed(kernel: &Kernel, all: &[Way]) -> Ways {
    let mut ways = Ways::default();
    for way in all {
        ways.follow(way.clone());
    }
    while ways.is_in_round() {
        for way in ways.next(3) {
            let told = ways.answered(&way, through(1), kernel);
            assert_eq!(told.unwrap().0, *way);
        }
    }
    assert!(!ways.is_stale());
    ways
}

fn through(index: u32) -> Answer {
    Answer::Route {
        index,
        has_gateway: false,
        is_assumed: false,
    }
}

fn kernel() -> Kernel {
    let mut kernel = Kernel::default();
    let link = Link {
        names: vec!["eth0".into()],
        is_up: true,
        is_lower_up: true,
        knows_carrier: true,
        is_prompt: false,
    };
    kernel.hear(Near::Link(1, link)).unwrap();
    kernel
}

/// What the next round looks up.
fn round(ways: &mut Ways) -> Vec<String> {
    ways.begin_round();
    let mut all: Vec<_> = ways
        .next(1000)
        .iter()
        .map(|way| way.peer.to_string())
        .collect();
    all.sort();
    all
}

#[test]
fn a_change_concerns_those_it_can_concern() {
    let mut ways = followed(
        &kernel(),
        &[
            way("10.0.0.1", None, None),
            way("10.0.0.2", Some("10.9.9.9"), None),
            way("10.0.1.3", None, Some("eth7")),
            way("fd00::4", None, None),
        ],
    );
    let address: IpAddr = "10.9.9.9".parse().unwrap();
    let prefix = |first: &str, last: &str| first.parse().unwrap()..=last.parse().unwrap();
    let mut concerned = |change| {
        ways.concern(&change);
        round(&mut ways)
    };
    assert_eq!(concerned(Change::Nothing), [""; 0]);
    assert_eq!(concerned(Change::Gained).len(), 4);
    let lost = concerned(Change::Lost(1, vec!["eth0".into()]));
    assert_eq!(lost, ["10.0.0.1", "10.0.0.2", "fd00::4"]);
    let other = concerned(Change::Lost(5, vec!["eth7".into()]));
    assert_eq!(other, ["10.0.1.3"]);
    assert_eq!(concerned(Change::Came(address)), ["10.0.0.2"]);
    assert_eq!(concerned(Change::Went(address)).len(), 3);
    ways.concern_peers(&prefix("10.0.0.0", "10.0.0.255"));
    assert_eq!(round(&mut ways), ["10.0.0.1", "10.0.0.2"]);
    ways.concern_peers(&everybody());
    assert_eq!(round(&mut ways).len(), 4);
}

#[test]
fn what_is_told_is_told_once() {
    let mut kernel = kernel();
    let one = way("10.0.0.1", None, None);
    let mut ways = followed(&kernel, std::slice::from_ref(&one));
    assert_eq!(ways.answered(&one, through(1), &kernel), None);
    assert_eq!(ways.answered(&one, Answer::Unknown, &kernel), None);
    assert!(ways.judge_all(&kernel).is_empty());
    kernel.hear(Near::LinkGone(1)).unwrap();
    let told = ways.judge_all(&kernel);
    assert!(!told[0].1.carrier && told[0].1.route);
    let told = ways.answered(&one, Answer::None, &kernel).unwrap().1;
    assert!(!told.carrier && !told.route);
    assert_eq!(told.interface.as_deref(), Some("eth0"));
}

#[test]
fn a_way_that_is_not_looked_up_yet_is_not_told() {
    let mut ways = Ways::default();
    ways.follow(way("10.0.0.1", None, None));
    assert!(ways.judge_all(&kernel()).is_empty());
}

#[test]
fn the_interfaces_that_may_be_late_are_known() {
    let mut kernel = kernel();
    let (one, other) = (kernel.link(1).unwrap(), kernel.link(1).unwrap());
    let (mut one, mut other) = (one.clone(), other.clone());
    one.names = vec!["eth1".into()];
    other.names = vec!["veth1".into()];
    other.is_prompt = true;
    kernel.hear(Near::Link(2, one)).unwrap();
    kernel.hear(Near::Link(3, other)).unwrap();
    let free = way("10.0.0.1", None, None);
    let ways = followed(&kernel, std::slice::from_ref(&free));
    assert_eq!(ways.unprompt(&kernel, 9), [1].into());
    let devices = ["eth1", "veth1", "none"];
    let devices = devices.map(|device| way("10.0.0.2", None, Some(device)));
    let ways = followed(&kernel, &[&[free], &devices[..]].concat());
    assert_eq!(ways.unprompt(&kernel, 9), [1, 2].into());
    assert_eq!(ways.unprompt(&kernel, 1).len(), 1);
}

#[test]
fn a_forgotten_way_is_not_looked_up() {
    let mut ways = Ways::default();
    let one = way("10.0.0.1", None, None);
    ways.follow(one.clone());
    ways.forget(&one);
    assert!(ways.next(10).is_empty() && !ways.is_in_round());
    assert_eq!(ways.answered(&one, through(1), &kernel()), None);
}

#[test]
fn what_is_marked_during_a_round_waits_for_the_next() {
    let all: Vec<_> = (1..=9)
        .map(|n| way(&format!("10.0.0.{n}"), None, None))
        .collect();
    let mut ways = followed(&kernel(), &all);
    ways.concern_peers(&everybody());
    ways.begin_round();
    let mut looked_up = 0;
    while ways.is_in_round() {
        looked_up += ways.next(2).len();
        ways.concern_peers(&everybody());
    }
    assert_eq!(looked_up, 9);
    assert!(ways.is_stale());
}

proptest! {
    /// A prefix marks exactly the peers within it.
    #[test]
    fn a_prefix_marks_what_is_in_it(peers: Vec<[u8; 4]>, first: [u8; 4], last: [u8; 4]) {
        let mut ways = Ways::default();
        for peer in &peers {
            ways.follow(Way { peer: (*peer).into(), local: None, device: None });
        }
        ways.next(usize::MAX);
        ways.concern_peers(&(IpAddr::from(first)..=IpAddr::from(last)));
        let mut wanted: Vec<_> = peers
            .iter()
            .filter(|peer| (first..=last).contains(*peer))
            .map(|peer| IpAddr::from(*peer).to_string())
            .collect();
        wanted.sort();
        wanted.dedup();
        prop_assert_eq!(round(&mut ways), wanted);
    }
}
