use super::*;

fn named(names: &[&str]) -> Link {
    Link {
        names: names.iter().map(|name| Arc::from(*name)).collect(),
        is_up: true,
        is_lower_up: true,
        knows_carrier: true,
        is_prompt: false,
    }
}

fn kernel(links: &[(u32, &str)]) -> Kernel {
    let mut kernel = Kernel::default();
    for (index, name) in links {
        kernel.hear(Near::Link(*index, named(&[name]))).unwrap();
    }
    kernel
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn what_carries() {
    for (is_up, is_lower_up, knows_carrier, carries) in [
        (true, true, true, true),
        (true, false, true, false),
        (false, true, true, false),
        (false, false, true, false),
        (true, false, false, true),
        (false, false, false, false),
    ] {
        let link = Link {
            names: Vec::new(),
            is_up,
            is_lower_up,
            knows_carrier,
            is_prompt: false,
        };
        assert_eq!(link.carries(), carries, "{link:?}");
    }
}

#[test]
fn an_event_that_changes_nothing_is_nothing() {
    let mut kernel = kernel(&[(1, "eth0")]);
    let again = kernel.hear(Near::Link(1, named(&["eth0"]))).unwrap();
    assert_eq!(again, Change::Nothing);
    assert_eq!(kernel.hear(Near::LinkGone(9)).unwrap(), Change::Nothing);
}

#[test]
fn a_carrier_goes_and_comes() {
    let mut kernel = kernel(&[(1, "eth0")]);
    let mut down = named(&["eth0"]);
    down.is_lower_up = false;
    let lost = kernel.hear(Near::Link(1, down)).unwrap();
    assert!(matches!(lost, Change::Lost(1, names) if names.contains(&"eth0".into())));
    let gained = kernel.hear(Near::Link(1, named(&["eth0"]))).unwrap();
    assert_eq!(gained, Change::Gained);
}

#[test]
fn an_interface_made_anew_is_found_by_its_name() {
    let mut kernel = kernel(&[(1, "eth0")]);
    let gone = kernel.hear(Near::LinkGone(1)).unwrap();
    assert_eq!(gone, Change::Lost(1, names(&["eth0"])));
    assert!(kernel.named("eth0").is_none());
    kernel.hear(Near::Link(7, named(&["eth0"]))).unwrap();
    assert_eq!(kernel.named("eth0").unwrap().0, 7);
}

#[test]
fn names_may_be_given_on() {
    let mut kernel = kernel(&[(1, "eth0"), (2, "eth1")]);
    // 1 takes another name, 2 takes that of 1, and 1 goes.
    kernel.hear(Near::Link(1, named(&["old"]))).unwrap();
    kernel.hear(Near::Link(2, named(&["eth0", "wan"]))).unwrap();
    kernel.hear(Near::LinkGone(1)).unwrap();
    assert_eq!(kernel.named("eth0").unwrap().0, 2);
    assert_eq!(kernel.named("wan").unwrap().0, 2);
    assert!(kernel.named("old").is_none() && kernel.named("eth1").is_none());
}

#[test]
fn names_may_be_swapped_with_the_news_of_one_late() {
    let mut kernel = kernel(&[(1, "eth0"), (2, "eth1")]);
    kernel.hear(Near::Link(2, named(&["eth0"]))).unwrap();
    kernel.hear(Near::Link(1, named(&["eth1"]))).unwrap();
    assert_eq!(kernel.named("eth0").unwrap().0, 2);
    assert_eq!(kernel.named("eth1").unwrap().0, 1);
}

#[test]
fn an_address_is_ours_for_as_long_as_one_interface_has_it_and_may_use_it() {
    let mut kernel = kernel(&[(1, "eth0"), (2, "eth1")]);
    let ours = IpAddr::from([192, 0, 2, 1]);
    let mut hear = |heard| {
        let change = kernel.hear(heard).unwrap();
        (change, kernel.has(ours))
    };
    let tentative = hear(Near::Address(1, ours, false));
    assert_eq!(tentative, (Change::Nothing, false));
    let checked = hear(Near::Address(1, ours, true));
    assert_eq!(checked, (Change::Came(ours), true));
    let second = hear(Near::Address(2, ours, true));
    assert_eq!(second, (Change::Nothing, true));
    let one = hear(Near::AddressGone(1, ours));
    assert_eq!(one, (Change::Nothing, true));
    let failed = hear(Near::Address(2, ours, false));
    assert_eq!(failed, (Change::Went(ours), false));
    let gone = hear(Near::AddressGone(2, ours));
    assert_eq!(gone, (Change::Nothing, false));
}

#[test]
fn addresses_go_with_their_interface() {
    let mut kernel = kernel(&[(1, "eth0")]);
    let ours = IpAddr::from([192, 0, 2, 1]);
    kernel.hear(Near::Address(1, ours, true)).unwrap();
    kernel.hear(Near::LinkGone(1)).unwrap();
    assert!(!kernel.has(ours));
    assert!(kernel.has([127, 3, 2, 1].into()));
}

#[test]
fn there_is_a_limit() {
    let mut kernel = Kernel::default();
    let address = |number: usize| {
        let bits = u32::try_from(number).unwrap();
        Near::Address(1, IpAddr::V4(bits.into()), true)
    };
    for number in 0..MOST {
        kernel.hear(address(number)).unwrap();
    }
    let error = kernel.hear(address(MOST)).unwrap_err();
    assert!(matches!(error, LinkError::TooMany { limit: MOST, .. }));
    // What is known already may change.
    kernel.hear(address(0)).unwrap();
}
