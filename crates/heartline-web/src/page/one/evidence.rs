//! What each layer knew of a line when it last changed, in words.

use maud::{Markup, html};
use serde_json::Value;

use crate::words;

/// A row a layer; what says nothing has none.
pub(super) fn table(known: &Value) -> Markup {
    let layers = [
        ("link", known.get("link").map(link)),
        ("tcp", known.get("tcp").map(tcp)),
        ("ssh", known.get("ssh").map(ssh)),
        ("shell", known.get("shell").map(shell)),
    ];
    html! {
        table.evidence {
            caption { "Evidence when it last changed" }
            tbody {
                @for (layer, said) in layers {
                    @if let Some(said) = said.filter(|said| !said.is_empty()) {
                        tr { th scope="row" { (layer) } td { (said) } }
                    }
                }
            }
        }
    }
}

fn link(link: &Value) -> String {
    let interface = link.get("interface").and_then(Value::as_str);
    let interface = words::shown(interface.unwrap_or("our side"));
    let missing: Vec<_> = ["carrier", "address", "route"]
        .into_iter()
        .filter(|what| link.get(*what).and_then(Value::as_bool) == Some(false))
        .collect();
    if missing.is_empty() {
        format!("{interface}: carrier, address and route are there")
    } else {
        format!("{interface}: no {}", missing.join(", no "))
    }
}

fn tcp(tcp: &Value) -> String {
    let of = |name: &str| tcp.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (unacked, unsent, again) = (of("unacked"), of("unsent"), of("retransmits"));
    let mut said = if (unacked, unsent, again) == (0, 0, 0) {
        vec!["all that we sent is acknowledged".to_owned()]
    } else {
        let mut said = vec![format!("{unacked} segments not acknowledged")];
        if unsent > 0 {
            said.push(format!("{unsent} bytes not sent"));
        }
        if again > 0 {
            said.push(format!("the first repeated {again} times"));
        }
        said
    };
    said.push(format!(
        "last acknowledgement {} ago",
        ms(of("last_ack_ms"))
    ));
    said.push(format!(
        "round trip {} ± {}",
        us(of("rtt_us")),
        us(of("rtt_var_us"))
    ));
    said.join("; ")
}

fn ssh(ssh: &Value) -> String {
    let mut said = Vec::new();
    let unanswered = ssh.get("unanswered").and_then(Value::as_u64);
    match unanswered.unwrap_or_default() {
        0 => {}
        1 => said.push("1 beat unanswered".to_owned()),
        more => said.push(format!("{more} beats unanswered")),
    }
    if let Some(rtt) = ssh.get("rtt_ms").and_then(Value::as_f64) {
        said.push(format!("last answer after {}", words::milliseconds(rtt)));
    }
    if let Some(stage) = ssh.get("stage").and_then(Value::as_str) {
        said.push(format!("a dial came as far as {}", words::shown(stage)));
    }
    // Whoever wrote it has escaped it.
    if let Some(detail) = ssh.get("detail").and_then(Value::as_str) {
        said.push(detail.to_owned());
    }
    said.join("; ")
}

fn shell(shell: &Value) -> String {
    let rtt = shell.get("rtt_ms").and_then(Value::as_f64);
    let age = shell.get("age_ms").and_then(Value::as_u64);
    format!(
        "the guard answered after {}, {} before",
        words::milliseconds(rtt.unwrap_or_default()),
        ms(age.unwrap_or_default())
    )
}

fn ms(ms: u64) -> String {
    words::round_trip(std::time::Duration::from_millis(ms))
}

fn us(us: u64) -> String {
    words::round_trip(std::time::Duration::from_micros(us))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_layer_says_its_own_and_what_is_not_there_says_nothing() {
        let known = json!({
            "link": {"interface": "eth0", "carrier": true, "address": false, "route": true},
            "ssh": {"unanswered": 2, "rtt_ms": 12.34},
            "tcp": {"unacked": 3, "retransmits": 2, "last_ack_ms": 4200, "rtt_us": 1200, "rtt_var_us": 300},
        });
        let text = table(&known).into_string();
        for said in [
            "eth0: no address",
            "2 beats unanswered; last answer after 12.3 ms",
            "3 segments not acknowledged",
            "the first repeated 2 times",
            "1.2 ms ± 0.30 ms",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("shell"), "{text}");
    }
}
