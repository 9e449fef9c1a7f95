//! Every row of facts/keepalive.md that bears on settings and has a number, reproduced by `heartline explain --json`.
//!
//! One line a row: the words, which window, and what was measured. Windows are held to ±0.25 s; `stays` rows were still
//! there when nobody looked any more.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "what fails here fails the test, and a table is as long as what was measured"
)]

mod explaining;

use explaining::json;
use serde_json::Value;

/// The window that a measured time lies in.
#[derive(Clone, Copy, Debug)]
enum Of {
    Fault,
    Data,
    Healthy,
    Login,
    ChannelClose,
}

#[track_caller]
fn holds(rows: &[(&str, Of, &[f64])]) {
    for (words, of, measured) in rows {
        let (_, value) = json(words);
        let (min, max) =
            window(&value, *of).unwrap_or_else(|| panic!("{words}: no {of:?}: {value}"));
        for seconds in *measured {
            let is_in = *seconds >= min - SLACK && *seconds <= max + SLACK;
            assert!(is_in, "{words}: {seconds} is not in {min}..{max} ({of:?})");
        }
    }
}

#[track_caller]
fn stay(rows: &[(&str, f64)]) {
    for (words, seconds) in rows {
        let (_, value) = json(words);
        if let Some((min, _)) = window(&value, Of::Fault) {
            assert!(min + SLACK >= *seconds, "{words}: ends after {min}");
        }
        assert_eq!(value["healthy_ends_s"], Value::Null, "{words}");
    }
}

fn window(value: &Value, of: Of) -> Option<(f64, f64)> {
    let field = match of {
        Of::Fault => &value["after_fault_s"],
        Of::Data => &value["after_last_data_s"],
        Of::Healthy => &value["healthy_ends_s"],
        Of::ChannelClose => &value["channel_close_s"],
        Of::Login => {
            let limit = value["login_limit_s"].as_f64()?;
            return Some((limit, limit));
        }
    };
    Some((field["min"].as_f64()?, field["max"].as_f64()?))
}

#[test]
fn section_1_ssh() {
    holds(&[
        ("--interval 1 --count 1", Of::Fault, &[1.63, 1.74]),
        ("--interval 1 --count 1", Of::Data, &[2.0]),
        ("--interval 1 --count 2", Of::Fault, &[2.28]),
        ("--interval 1 --count 2", Of::Data, &[3.0]),
        ("--interval 1 --count 3", Of::Fault, &[3.08, 3.9]),
        ("--interval 1 --count 3", Of::Data, &[4.0]),
        ("--interval 2 --count 1", Of::Fault, &[3.19]),
        ("--interval 2 --count 1", Of::Data, &[4.0]),
        ("--interval 2 --count 2", Of::Fault, &[4.98, 5.92]),
        ("--interval 2 --count 2", Of::Data, &[6.0]),
        ("--interval 3 --count 1", Of::Fault, &[4.05, 5.94]),
        ("--interval 3 --count 1", Of::Data, &[6.0]),
        ("--interval 5 --count 1", Of::Fault, &[5.04, 8.71]),
        ("--interval 5 --count 1", Of::Data, &[9.4, 10.0]),
        ("--interval 1m --count 1", Of::Fault, &[116.5]),
        ("--interval 1m --count 1", Of::Data, &[119.1]),
        ("--interval 1 --count 0", Of::Healthy, &[0.2, 0.5]),
        ("--interval 3 --count 0", Of::Healthy, &[2.5, 3.0]),
        (
            "--interval 1 --count 0 --remote-writes 0.5",
            Of::Healthy,
            &[0.52],
        ),
    ]);
    stay(&[
        ("--interval 2 --count 0 --remote-writes 0.5", 0.0),
        ("--interval 0 --count 3", 16.0),
        ("--interval 1 --count 2147483", 16.0),
        ("--interval 1 --count 2147484", 16.0),
        ("--interval 1 --count 2147483647", 16.0),
    ]);
}

#[test]
fn section_1_faults() {
    let silent = [3.0, 3.9, 3.54, 3.21, 3.18, 3.56, 3.87, 3.08];
    holds(&[
        ("--interval 1 --count 3", Of::Fault, &silent),
        ("--interval 1 --count 3 --fault frozen", Of::Fault, &[3.93]),
        ("--interval 1 --count 3 --fault closed", Of::Fault, &[0.0]),
        ("--interval 0 --count 3 --fault closed", Of::Fault, &[0.0]),
        ("--interval 1 --count 3 --fault reset", Of::Fault, &[0.01]),
        ("--interval 0 --count 3 --fault reset", Of::Fault, &[0.01]),
        (
            "--interval 1 --count 3 --fault reset-on-send",
            Of::Fault,
            &[0.75],
        ),
        (
            "--interval 0 --fault reset-on-send --client-writes 0.5",
            Of::Fault,
            &[0.03],
        ),
        (
            "--interval 1 --count 3 --client-writes 0.5",
            Of::Fault,
            &[3.17],
        ),
        (
            "--interval 1 --count 3 --client-writes 1ms",
            Of::Fault,
            &[3.93],
        ),
        (
            "--interval 1 --count 3 --remote-writes 0.5",
            Of::Fault,
            &[3.01, 3.68],
        ),
        (
            "--interval 1 --count 3 --remote-rate 1000000",
            Of::Fault,
            &[3.95],
        ),
        ("--interval 0 --master 1/1", Of::Fault, &[1.17]),
        ("--interval 1 --count 3", Of::Login, &[3.03]),
        ("--interval 2 --count 3", Of::Login, &[6.0]),
        ("--interval 5 --count 1", Of::Login, &[5.0]),
    ]);
    stay(&[
        ("--interval 0", 60.0),
        ("--interval 0 --fault frozen", 15.0),
        ("--interval 0 --fault reset-on-send", 15.0),
        ("--interval 1 --count 3 --fault command-hung", 12.0),
        ("--interval 1 --count 1 --master 0/3", 12.0),
    ]);
    for (count, well, dead) in [(2, 1.6, 2.1), (3, 2.6, 4.0)] {
        let (_, value) = json(&format!("--interval 1 --count {count}"));
        let limit = value["rtt_limit_s"].as_f64().unwrap();
        assert!(well < limit && limit < dead, "{limit}");
    }
    let (_, value) = json("--interval 1 --count 3");
    let outage = &value["outage_survived_s"];
    assert!(outage["surely"].as_f64().unwrap() <= 2.0);
    assert!((2.0..3.0).contains(&outage["at_best"].as_f64().unwrap()));
    for words in ["--interval 0 --count 3", "--interval 3 --count 0"] {
        assert_eq!(json(words).1["login_limit_s"], Value::Null);
    }
}

#[test]
fn section_1_and_2_probes() {
    for (words, every) in [
        ("--interval 1", Some(1.0)),
        ("--interval 1 --remote-writes 0.5", Some(1.0)),
        ("--interval 2 --remote-writes 0.5", None),
        ("--interval 2 --client-writes 0.5", Some(2.0)),
        ("--interval 2 --client-writes 0.5 --remote-writes 0.5", None),
        ("--side server --peer OpenSSH_9.1 --interval 2", Some(2.0)),
        ("--side server --peer OpenSSH_9.2 --interval 2", Some(4.0)),
        ("--side server --peer OpenSSH_10.5 --interval 2", Some(2.0)),
        (
            "--side server --peer OpenSSH_9.1 --interval 2 --remote-writes 0.5",
            Some(2.0),
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 2 --remote-writes 0.5",
            None,
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 2 --remote-writes 0.5",
            None,
        ),
    ] {
        assert_eq!(json(words).1["probe_every_s"].as_f64(), every, "{words}");
    }
}

#[test]
fn section_2_sshd() {
    holds(&[
        (
            "--side server --peer OpenSSH_9.1 --interval 1 --count 1",
            Of::Data,
            &[2.0],
        ),
        (
            "--side server --peer OpenSSH_9.1 --interval 1 --count 3",
            Of::Data,
            &[4.0],
        ),
        (
            "--side server --peer OpenSSH_9.1 --interval 2 --count 2",
            Of::Data,
            &[6.0],
        ),
        (
            "--side server --peer OpenSSH_9.1 --interval 1 --count 1 --remote-writes 0.5",
            Of::Data,
            &[2.0],
        ),
        (
            "--side server --peer OpenSSH_9.1 --interval 2 --count 2 --remote-writes 0.5",
            Of::Data,
            &[6.0],
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 1 --count 1",
            Of::Data,
            &[4.0],
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 1 --count 3",
            Of::Data,
            &[8.0],
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 2 --count 2",
            Of::Data,
            &[12.0],
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 3 --count 1",
            Of::Data,
            &[12.0, 12.1],
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 1 --count 1",
            Of::Data,
            &[2.0],
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 1 --count 3",
            Of::Data,
            &[4.0],
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 2 --count 2",
            Of::Data,
            &[6.0],
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 3 --count 1",
            Of::Data,
            &[6.0, 6.1],
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 1 --count 1 --remote-rate 1000000",
            Of::Fault,
            &[5.1],
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 1 --count 1 --remote-rate 1000000",
            Of::Fault,
            &[4.1],
        ),
        (
            "--side server --peer OpenSSH_9.2 --interval 2 --count 1 --remote-writes 3",
            Of::Fault,
            &[5.5],
        ),
        (
            "--side server --peer OpenSSH_10.5 --interval 2 --count 1 --remote-writes 3",
            Of::Fault,
            &[5.5],
        ),
    ]);
    for release in ["9.2", "10.5"] {
        for pair in ["1 --count 1", "1 --count 3", "2 --count 2", "3 --count 1"] {
            let words = format!(
                "--side server --peer OpenSSH_{release} --interval {pair} --remote-writes 0.5"
            );
            stay(&[(&words, 90.0)]);
        }
    }
    for release in ["9.1", "9.2", "10.5"] {
        let words = format!("--side server --peer OpenSSH_{release} --interval 1 --count 0");
        stay(&[(&words, 25.0)]);
        let (_, value) = json(&words);
        assert_eq!(
            (&value["probes"], &value["disconnects"]),
            (&true.into(), &false.into())
        );
    }
    stay(&[
        ("--side server --peer OpenSSH_9.2", 90.0),
        ("--side server --peer OpenSSH_9.2 --remote-writes 0.5", 90.0),
    ]);
}

#[test]
fn section_3_tcp() {
    holds(&[
        ("--interval 0 --tcp-keepalive 3/1/2", Of::Data, &[5.1]),
        (
            "--side server --peer OpenSSH_10.5 --tcp-keepalive 3/1/2",
            Of::Fault,
            &[2.84],
        ),
        (
            "--interval 0 --client-writes 0.5 --tcp-retries2 1",
            Of::Fault,
            &[1.87],
        ),
        (
            "--interval 0 --client-writes 0.5 --tcp-retries2 2",
            Of::Fault,
            &[3.56],
        ),
        (
            "--interval 0 --client-writes 0.5 --tcp-retries2 3",
            Of::Fault,
            &[3.69],
        ),
        (
            "--interval 0 --client-writes 0.5 --tcp-retries2 5",
            Of::Fault,
            &[14.1],
        ),
        (
            "--interval 1 --count 2147483647 --tcp-retries2 3",
            Of::Fault,
            &[7.2],
        ),
        (
            "--peer PuTTY_Release_0.78 --interval 1 --tcp-retries2 3",
            Of::Fault,
            &[7.3, 7.25],
        ),
        (
            "--side server --peer OpenSSH_10.5 --remote-writes 0.5 --tcp-retries2 3",
            Of::Fault,
            &[7.4],
        ),
        (
            "--interval 0 --client-writes 0.5 --tcp-user-timeout 4",
            Of::Fault,
            &[4.55],
        ),
        (
            "--interval 1 --count 2147483647 --tcp-user-timeout 4",
            Of::Fault,
            &[4.67],
        ),
        (
            "--interval 0 --tcp-keepalive 1/1/50 --tcp-user-timeout 4",
            Of::Fault,
            &[3.58],
        ),
    ]);
    stay(&[
        (
            "--interval 0 --tcp-keepalive 3/1/2 --client-writes 0.5",
            60.0,
        ),
        (
            "--interval 1 --count 2147483647 --tcp-keepalive 3/1/2",
            60.0,
        ),
        (
            "--side server --peer OpenSSH_10.5 --tcp-keepalive 3/1/2 --remote-writes 0.5",
            60.0,
        ),
        ("--interval 0 --tcp-keepalive no", 20.0),
        ("--interval 0 --tcp-retries2 3", 30.0),
        ("--interval 0 --tcp-user-timeout 4", 20.0),
    ]);
}

#[test]
fn section_4_nat_of_8_seconds() {
    for (words, is_kept) in [
        ("--interval 0 --tcp-keepalive 3/75/9", true),
        (
            "--side server --peer OpenSSH_9.2 --tcp-keepalive 3/75/9",
            true,
        ),
        ("--interval 3 --count 1", true),
        ("--interval 3 --count 3", true),
        ("--side server --peer OpenSSH_9.2 --interval 3", true),
        ("--interval 0", false),
        ("--interval 0 --tcp-keepalive 7200/75/9", false),
        ("--interval 10 --count 1", false),
    ] {
        let (_, value) = json(&format!("{words} --nat 8"));
        assert_eq!(value["nat"]["kept_open"], is_kept, "{words}");
        let warns = value["warnings"]
            .to_string()
            .contains("interval_over_nat_idle");
        assert_eq!(warns, !is_kept, "{words}");
    }
}

#[test]
fn section_5_others() {
    holds(&[
        (
            "--peer dropbear_2022.83 --interval 1",
            Of::Fault,
            &[2.5, 2.7],
        ),
        ("--peer dropbear_2022.83 --interval 1", Of::Data, &[3.0]),
        ("--peer dropbear_2022.83 --interval 2", Of::Fault, &[5.4]),
        ("--peer dropbear_2022.83 --interval 2", Of::Data, &[6.0]),
        (
            "--peer dropbear_2022.83 --idle-timeout 4",
            Of::Healthy,
            &[4.0],
        ),
        (
            "--peer dropbear_2022.83 --interval 1 --idle-timeout 6",
            Of::Healthy,
            &[6.0],
        ),
        (
            "--side server --peer dropbear_2022.83 --interval 1",
            Of::Fault,
            &[2.5],
        ),
        (
            "--side server --peer dropbear_2022.83 --interval 1 --remote-writes 0.5",
            Of::Fault,
            &[2.1],
        ),
        (
            "--side server --peer dropbear_2022.83 --idle-timeout 5",
            Of::Healthy,
            &[5.0, 4.7],
        ),
        (
            "--peer PuTTY_Release_0.78 --tcp-keepalive 3/1/2",
            Of::Data,
            &[5.1],
        ),
        (
            "--peer AsyncSSH_2.24.1 --interval 1 --count 1",
            Of::Data,
            &[2.3],
        ),
        (
            "--peer AsyncSSH_2.24.1 --interval 1 --count 3",
            Of::Data,
            &[4.1, 4.3],
        ),
        (
            "--peer AsyncSSH_2.24.1 --interval 2 --count 2",
            Of::Data,
            &[6.1],
        ),
        (
            "--peer paramiko_5.1.0 --interval 1 --tcp-retries2 3",
            Of::Fault,
            &[3.85],
        ),
        ("--interval 1 --count 3", Of::Fault, &[3.3, 3.6]),
        ("--peer autossh --interval 2", Of::Fault, &[1.15]),
        ("--peer autossh --interval 4", Of::Fault, &[4.14]),
        ("--peer autossh --interval 10", Of::Fault, &[13.2]),
    ]);
    stay(&[
        ("--peer PuTTY_Release_0.78 --interval 1", 60.0),
        ("--peer paramiko_5.1.0 --interval 1", 60.0),
        ("--interval 0", 40.0),
    ]);
    let (_, value) = json("--peer autossh");
    assert_eq!(value["after_fault_s"]["max"], 615.0);
    assert_eq!(value["after_fault_s"]["min"], 15.0);
    for (words, code) in [
        ("--peer dropbear_2022.83 --interval 1", Some(1)),
        ("--peer dropbear_2022.83 --idle-timeout 4", Some(0)),
        (
            "--peer PuTTY_Release_0.78 --interval 1 --tcp-retries2 3",
            Some(1),
        ),
        ("--interval 1", Some(255)),
        ("--peer AsyncSSH_2.24.1 --interval 1", None),
    ] {
        assert_eq!(json(words).1["exit_code"].as_u64(), code, "{words}");
    }
}

#[test]
fn section_6_channels() {
    for release in ["9.2", "10.5"] {
        let of = |words: &str| format!("--side server --peer OpenSSH_{release} {words}");
        for interval in ["0", "1"] {
            let row = of(&format!(
                "--interval {interval} --channel-timeout session:*=4"
            ));
            holds(&[(&row, Of::Healthy, &[3.1, 3.8])]);
            let row = of(&format!(
                "--interval {interval} --unused-connection-timeout 3 -N"
            ));
            holds(&[(&row, Of::Healthy, &[3.2, 3.9])]);
        }
        stay(&[
            (&of("--channel-timeout session=4"), 12.0),
            (
                &of("--channel-timeout session:*=4 --client-writes 0.5"),
                30.0,
            ),
            (
                &of("--channel-timeout session:*=4 --client-writes 0.5 --remote-writes 0.5"),
                30.0,
            ),
        ]);
        let row = of("--channel-timeout session:*=4 --client-writes 0.5");
        holds(&[(&row, Of::ChannelClose, &[3.1, 3.7])]);
    }
    let both = "--channel-timeout session:*=4 --unused-connection-timeout 2 --client-writes 0.5 --side server --peer";
    holds(&[
        (&format!("{both} OpenSSH_9.2"), Of::Fault, &[4.5]),
        (&format!("{both} OpenSSH_10.5"), Of::Fault, &[6.35]),
        (
            "--side server --peer OpenSSH_10.5 --channel-timeout global=4",
            Of::Healthy,
            &[3.8],
        ),
    ]);
}

const SLACK: f64 = 0.25;
