//! What must hold for any settings at all.

use proptest::prelude::*;

use super::*;

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0_u32..20,
        1 => Just(2_147_483_u32),
        1 => Just(i32::MAX as u32),
        1 => 0..=i32::MAX as u32,
        1 => Just(u32::MAX),
    ]
}

fn time() -> impl Strategy<Value = Option<Duration>> {
    let millis = prop_oneof![0_u64..30_000, Just(u64::MAX / 2_000)];
    proptest::option::of(millis.prop_map(Duration::from_millis))
}

fn software() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "OpenSSH",
        "OpenSSH_8.1",
        "OpenSSH_9.1",
        "OpenSSH_9.2p1 Debian-2",
        "OpenSSH_9.6",
        "OpenSSH_10.5",
        "dropbear_2022.83",
        "PuTTY_Release_0.78",
        "paramiko_5.1.0",
        "AsyncSSH_2.24.1",
        "autossh",
        "who",
    ])
}

prop_compose! {
    fn traffic()(
        client_writes in time(),
        remote_writes in time(),
        remote_rate in proptest::option::of(any::<u64>()),
    ) -> Traffic {
        Traffic { client_writes, remote_writes, remote_rate }
    }
}

prop_compose! {
    fn tcp()(
        kind in 0..3, times in (number(), number(), number()),
        retries2 in proptest::option::of(number()), user_timeout in time(),
    ) -> Tcp {
        let (time, interval, probes) = times;
        let keep_alive = match kind {
            0 => KeepAliveSetting::Unsaid,
            1 => KeepAliveSetting::No,
            _ => KeepAliveSetting::Yes(KernelKeepAlive { time, interval, probes }),
        };
        Tcp { keep_alive, retries2, user_timeout }
    }
}

prop_compose! {
    fn scene()(
        banner in software(),
        is_client in any::<bool>(),
        interval in proptest::option::of(number()),
        numbers in (number(), number(), number()),
        traffic in traffic(),
        tcp in tcp(),
        fault in prop::sample::select(vec![
            Fault::Silence, Fault::Silence, Fault::Frozen, Fault::Closed, Fault::Reset,
            Fault::ResetOnSend, Fault::CommandHung,
        ]),
        flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        pairs in (
            proptest::option::of((number(), number())), proptest::option::of((number(), number())),
        ),
        path in (time(), time()),
        channel in prop::sample::select(vec!["none", "session:*=4", "session=4", "global=3 *=1w"]),
    ) -> Scene {
        let side = if is_client { Side::Client } else { Side::Server };
        let pair = |(interval, count)| Pair { interval, count };
        Scene {
            interval,
            count: numbers.0,
            idle_timeout: numbers.1,
            unused_connection_timeout: Some(numbers.2),
            traffic,
            tcp,
            fault,
            batch_mode: flags.0,
            control_master: flags.1,
            has_session: flags.2,
            master: pairs.0.map(pair),
            other_end: pairs.1.map(pair),
            nat: path.0,
            rtt: path.1,
            channel_timeouts: ChannelTimeouts::parse(channel).unwrap(),
            ..Scene::new(side, Software::from_banner(banner, side))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_explanation_agrees_with_itself(scene in scene()) {
        let explanation = explain(&scene);
        let endings = [&explanation.ending, &explanation.healthy_ending, &explanation.backstop];
        for ending in endings.into_iter().flatten() {
            for span in [ending.after_fault, ending.after_last_data] {
                prop_assert!(span.min() <= span.mean() && span.mean() <= span.max());
            }
            prop_assert!(ending.after_fault.max() <= ending.after_last_data.max());
        }
        let events = &explanation.timeline.events;
        prop_assert!(events.len() <= 200);
        prop_assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let ends: Vec<_> =
            events.iter().filter(|event| event.kind == EventKind::Disconnect).collect();
        match &explanation.ending {
            None => prop_assert!(ends.is_empty()),
            Some(ending) => {
                prop_assert_eq!(ends.len(), 1);
                prop_assert_eq!(Some(ends[0]), events.last());
                prop_assert!(ending.after_last_data.holds(ends[0].at, Duration::ZERO));
            }
        }
        let probes = events.iter().filter_map(|event| match event.kind {
            EventKind::Probe { unanswered } => Some(unanswered),
            _ => None,
        });
        prop_assert!(probes.zip(1..).all(|(unanswered, nth)| unanswered == nth));
        if let Some(outage) = explanation.outage {
            prop_assert!(outage.surely <= outage.at_best);
        }
        for warning in &explanation.warnings {
            prop_assert!(!warning.text.is_empty() && !warning.fix.is_empty());
        }
    }

    #[test]
    fn no_text_panics_a_parser(text in ".{0,40}") {
        for side in [Side::Client, Side::Server] {
            let _ = Software::from_banner(&text, side);
        }
        for keyword in [
            Keyword::ServerAliveInterval, Keyword::ClientAliveCountMax,
            Keyword::UnusedConnectionTimeout,
        ] {
            if let Err(error) = keyword.parse(&text) {
                prop_assert!(error.to_string().starts_with("command-line line 0: "));
            }
        }
        if let Err(error) = ChannelTimeouts::parse(&text) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }
}
