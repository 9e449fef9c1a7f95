use netlink_packet_core::{DefaultNla, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage, Prop, State};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::rule::RuleMessage;
use proptest::prelude::*;

use super::*;

fn bytes(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.sequence_number = 7;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn near(message: RouteNetlinkMessage) -> Option<Near> {
    messages(&bytes(message)).next().unwrap().near()
}

fn far(message: RouteNetlinkMessage) -> Option<Peers> {
    messages(&bytes(message)).next().unwrap().far()
}

fn answer(message: RouteMessage) -> Option<Answer> {
    let bytes = bytes(RouteNetlinkMessage::NewRoute(message));
    messages(&bytes).next().unwrap().answer()
}

fn link(flags: LinkFlags, state: State) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = 3;
    link.header.flags = flags;
    link.attributes = vec![
        LinkAttribute::IfName("eth0".to_owned()),
        // What no crate can read does not matter.
        LinkAttribute::Other(DefaultNla::new(4, vec![1])),
        LinkAttribute::Other(DefaultNla::new(999, vec![1, 2, 3])),
        LinkAttribute::OperState(state),
        LinkAttribute::PropList(vec![Prop::AltIfName("enp1s0".to_owned())]),
    ];
    link
}

fn route(family: AddressFamily, length: u8, attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = family;
    route.header.destination_prefix_length = length;
    route.header.table = 254;
    route.header.kind = RouteType::Unicast;
    route.attributes = attributes;
    route
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_interface() {
    let up = LinkFlags::Up | LinkFlags::LowerUp;
    let wanted = |is_up, is_lower_up, knows_carrier| {
        let names = vec!["eth0".into(), "enp1s0".into()];
        let link = Link {
            names,
            is_up,
            is_lower_up,
            knows_carrier,
            is_prompt: false,
        };
        Some(Near::Link(3, link))
    };
    let heard = |flags, state| near(RouteNetlinkMessage::NewLink(link(flags, state)));
    assert_eq!(heard(up, State::Up), wanted(true, true, true));
    assert_eq!(heard(LinkFlags::Up, State::Down), wanted(true, false, true));
    assert_eq!(
        heard(LinkFlags::empty(), State::Down),
        wanted(false, false, true)
    );
    assert_eq!(heard(up, State::Unknown), wanted(true, true, false));
    let loopback = up | LinkFlags::Loopback;
    assert_eq!(heard(loopback, State::Up), wanted(true, true, false));
    for (lower, wanted) in [(7, true), (3, false)] {
        let mut stacked = link(up, State::Up);
        stacked.attributes.push(LinkAttribute::Link(lower));
        let Some(Near::Link(3, link)) = near(RouteNetlinkMessage::NewLink(stacked)) else {
            panic!("no interface");
        };
        assert_eq!(link.is_prompt, wanted, "on {lower}");
    }
    let gone = near(RouteNetlinkMessage::DelLink(link(up, State::Up)));
    assert_eq!(gone, Some(Near::LinkGone(3)));
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_gone() {
    let mut port = link(LinkFlags::Up, State::Up);
    port.header.interface_family = AddressFamily::Bridge;
    assert_eq!(near(RouteNetlinkMessage::DelLink(port)), None);
}

#[test]
fn an_address() {
    let message = |attributes, flags| {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.index = 3;
        message.header.flags = flags;
        message.attributes = attributes;
        message
    };
    let none = AddressHeaderFlags::empty();
    let (ours, theirs) = (ip("192.0.2.1"), ip("192.0.2.2"));
    let pair = vec![
        AddressAttribute::Address(theirs),
        AddressAttribute::Local(ours),
    ];
    let pair = message(pair, none);
    let heard = near(RouteNetlinkMessage::NewAddress(pair.clone()));
    assert_eq!(heard, Some(Near::Address(3, ours, true)));
    let gone = near(RouteNetlinkMessage::DelAddress(pair));
    assert_eq!(gone, Some(Near::AddressGone(3, ours)));
    for (flags, is_usable) in [
        (AddressFlags::Permanent, true),
        (AddressFlags::Deprecated, true),
        (AddressFlags::Tentative, false),
        (AddressFlags::Tentative | AddressFlags::Optimistic, true),
        (AddressFlags::Permanent | AddressFlags::Dadfailed, false),
    ] {
        let mut one = message(vec![AddressAttribute::Address(ip("fd00::1"))], none);
        one.header.family = AddressFamily::Inet6;
        one.attributes.push(AddressAttribute::Flags(flags));
        let heard = near(RouteNetlinkMessage::NewAddress(one));
        assert_eq!(
            heard,
            Some(Near::Address(3, ip("fd00::1"), is_usable)),
            "{flags:?}"
        );
    }
    let tentative = message(
        vec![AddressAttribute::Address(ours)],
        AddressHeaderFlags::Tentative,
    );
    let heard = near(RouteNetlinkMessage::NewAddress(tentative));
    assert_eq!(heard, Some(Near::Address(3, ours, false)));
}

#[test]
fn whom_a_route_concerns() {
    let (v4, v6) = (AddressFamily::Inet, AddressFamily::Inet6);
    let to = |text: &str| vec![RouteAttribute::Destination(ip(text).into())];
    for (message, first, last) in [
        (route(v4, 0, vec![]), "0.0.0.0", "255.255.255.255"),
        (route(v4, 8, to("10.0.0.0")), "10.0.0.0", "10.255.255.255"),
        (route(v4, 32, to("10.0.0.7")), "10.0.0.7", "10.0.0.7"),
        (
            route(v6, 0, vec![]),
            "::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ),
        (
            route(v6, 64, to("fd00::")),
            "fd00::",
            "fd00::ffff:ffff:ffff:ffff",
        ),
        (route(v6, 128, to("fd00::7")), "fd00::7", "fd00::7"),
    ] {
        let wanted = Some(ip(first)..=ip(last));
        assert_eq!(far(RouteNetlinkMessage::NewRoute(message.clone())), wanted);
        assert_eq!(far(RouteNetlinkMessage::DelRoute(message)), wanted);
    }
    let rule = far(RouteNetlinkMessage::NewRule(RuleMessage::default())).unwrap();
    assert!(rule.contains(&ip("10.0.0.1")) && rule.contains(&ip("fd00::1")));
    assert_eq!(
        far(RouteNetlinkMessage::NewLink(LinkMessage::default())),
        None
    );
    let mut cloned = route(v6, 128, to("fd00::7"));
    cloned.header.flags = RouteFlags::Cloned;
    assert_eq!(far(RouteNetlinkMessage::NewRoute(cloned)), None);
}

#[test]
fn answers() {
    let v4 = AddressFamily::Inet;
    let oif = RouteAttribute::Oif(3);
    let wanted = |has_gateway, is_assumed| {
        Some(Answer::Route {
            index: 3,
            has_gateway,
            is_assumed,
        })
    };
    assert_eq!(
        answer(route(v4, 32, vec![oif.clone()])),
        wanted(false, false)
    );
    let gateway = RouteAttribute::Gateway(ip("10.0.0.1").into());
    let by_gateway = route(v4, 32, vec![gateway, oif.clone()]);
    assert_eq!(answer(by_gateway), wanted(true, false));
    let no_table = route(v4, 32, vec![RouteAttribute::Table(0), oif.clone()]);
    assert_eq!(answer(no_table), wanted(false, true));
    for kind in [
        RouteType::Unreachable,
        RouteType::Prohibit,
        RouteType::BlackHole,
    ] {
        let mut refused = route(v4, 32, vec![oif.clone()]);
        refused.header.kind = kind;
        assert_eq!(answer(refused), Some(Answer::None));
    }
    assert_eq!(answer(route(v4, 32, vec![])), Some(Answer::None));
}

#[test]
fn errors() {
    let report = |errno: i32| {
        let mut bytes = vec![36, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        bytes[..4].copy_from_slice(&36u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&2u16.to_ne_bytes());
        bytes.extend((-errno).to_ne_bytes());
        bytes.extend([0; 16]);
        let message = messages(&bytes).next().unwrap();
        (message.error(), message.answer())
    };
    let unreachable = report(libc::ENETUNREACH);
    assert_eq!(unreachable, (Some(libc::ENETUNREACH), Some(Answer::None)));
    let busy = report(libc::ENOBUFS);
    assert_eq!(busy, (Some(libc::ENOBUFS), Some(Answer::Unknown)));
}

#[test]
fn several_messages_in_a_datagram() {
    let one = bytes(RouteNetlinkMessage::NewLink(link(LinkFlags::Up, State::Up)));
    let mut all = one.repeat(3);
    all.truncate(all.len() - 1);
    let sequences: Vec<_> = messages(&all).map(|message| message.sequence).collect();
    assert_eq!(sequences, [7, 7]);
}

proptest! {
    /// Whatever comes, nothing breaks.
    #[test]
    fn garbage(rest: Vec<u8>, kind in 0u16..130, flip in any::<prop::sample::Index>(), to: u8) {
        let up = link(LinkFlags::Up, State::Up);
        let mut message = bytes(RouteNetlinkMessage::NewLink(up));
        let place = flip.index(message.len());
        message[place] = to;
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.extend(&rest);
        for datagram in [&message, &rest] {
            for message in messages(datagram) {
                let _ = (message.near(), message.far(), message.answer(), message.error());
            }
        }
    }
}
