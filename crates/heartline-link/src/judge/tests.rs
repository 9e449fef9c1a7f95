use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::heard::Near;
use crate::kernel::Link;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn link(name: &str, carries: bool) -> Link {
    Link {
        names: vec![name.into()],
        is_up: true,
        is_lower_up: carries,
        knows_carrier: true,
        is_prompt: false,
    }
}

fn kernel(links: &[(u32, &str, bool)], has_address: bool) -> Kernel {
    let mut kernel = Kernel::default();
    for (index, name, carries) in links {
        kernel
            .hear(Near::Link(*index, link(name, *carries)))
            .unwrap();
    }
    kernel.hear(Near::Address(1, LOCAL, has_address)).unwrap();
    kernel
}

fn way(local: Option<IpAddr>, device: Option<&str>) -> Way {
    Way {
        peer: [192, 0, 2, 2].into(),
        local,
        device: device.map(str::to_owned),
    }
}

fn trail(index: u32, name: &str) -> Trail {
    Trail {
        index,
        name: Some(name.into()),
        has_gateway: false,
    }
}

const ROUTE: Answer = Answer::Route {
    index: 1,
    has_gateway: false,
    is_assumed: false,
};

const ASSUMED: Answer = Answer::Route {
    index: 1,
    has_gateway: false,
    is_assumed: true,
};

/// Interface, carrier, address and route, as letters: small where something is amiss.
fn told(side: &OurSide) -> String {
    let letter = |good: bool, letter: char| {
        if good {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    };
    let interface = side.interface.as_deref().unwrap_or("-");
    let (carrier, address) = (letter(side.carrier, 'c'), letter(side.address, 'a'));
    format!("{interface} {carrier}{address}{}", letter(side.route, 'r'))
}

#[test]
fn a_table_of_cases() {
    let up = kernel(&[(1, "eth0", true), (2, "eth1", true)], true);
    let cut = kernel(&[(1, "eth0", false), (2, "eth1", true)], true);
    let bare = kernel(&[(1, "eth0", true)], false);
    let none = Kernel::default();
    let anew = kernel(&[(9, "eth0", true)], true);
    let renamed = kernel(&[(1, "wan", true)], true);
    let old = trail(1, "eth0");
    let old = Some(&old);
    let free = way(None, None);
    let bound = way(Some(LOCAL), None);
    let fixed = way(None, Some("eth0"));
    for (what, way, answer, trail, kernel, wanted) in [
        ("all is well", &free, ROUTE, old, &up, "eth0 CAR"),
        ("never a route", &free, Answer::None, None, &up, "- CAr"),
        ("cannot tell", &free, Answer::Unknown, None, &up, "- CAR"),
        ("a cut with its route", &free, ROUTE, old, &cut, "eth0 cAR"),
        ("a cut without", &free, Answer::None, old, &cut, "eth0 cAr"),
        ("the route gone", &free, Answer::None, old, &up, "eth0 CAr"),
        ("deleted", &free, Answer::None, old, &none, "eth0 cAr"),
        ("made anew", &free, Answer::None, old, &anew, "eth0 CAr"),
        ("renamed", &free, ROUTE, old, &renamed, "wan CAR"),
        ("address here", &bound, ROUTE, old, &up, "eth0 CAR"),
        ("address gone", &bound, ROUTE, old, &bare, "eth0 CaR"),
        ("device", &fixed, ROUTE, old, &up, "eth0 CAR"),
        ("device cut", &fixed, ROUTE, old, &cut, "eth0 cAR"),
        ("no device", &fixed, Answer::None, None, &none, "eth0 cAr"),
        ("device anew", &fixed, ROUTE, None, &anew, "eth0 CAR"),
        (
            "taken to be on the link",
            &fixed,
            ASSUMED,
            None,
            &up,
            "eth0 CAR",
        ),
    ] {
        assert_eq!(told(&judge(way, answer, trail, kernel)), wanted, "{what}");
    }
}

#[test]
fn who_had_a_gateway_is_not_taken_to_be_on_the_link() {
    let up = kernel(&[(1, "eth0", true)], true);
    let mut by_gateway = trail(1, "eth0");
    by_gateway.has_gateway = true;
    let side = judge(&way(None, Some("eth0")), ASSUMED, Some(&by_gateway), &up);
    assert_eq!(told(&side), "eth0 CAr");
}

proptest! {
    /// What concerns other interfaces and addresses never changes what is said of a way.
    #[test]
    fn others_do_not_matter(
        others in proptest::collection::vec((10u32..20, any::<bool>(), any::<[u8; 4]>()), 0..20),
        carries: bool, has_address: bool, by_device: bool,
    ) {
        let way = way(Some(LOCAL), by_device.then_some("eth0"));
        let trail = trail(1, "eth0");
        let mut kernel = kernel(&[(1, "eth0", carries)], has_address);
        let before = judge(&way, ROUTE, Some(&trail), &kernel);
        prop_assert_eq!((before.carrier, before.address), (carries, has_address));
        for (index, carries, address) in others {
            kernel.hear(Near::Link(index, link(&format!("other{index}"), carries))).unwrap();
            if IpAddr::from(address) != LOCAL {
                kernel.hear(Near::Address(index, address.into(), true)).unwrap();
            }
        }
        prop_assert_eq!(judge(&way, ROUTE, Some(&trail), &kernel), before);
    }
}
