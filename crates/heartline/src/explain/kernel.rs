//! What this machine's kernel does by itself.

use std::fs;
use std::str::FromStr;

use heartline_core::explain::{Kernel, KernelKeepAlive};

/// Its values; where one cannot be read, Linux's default and a word in `missing`.
pub(super) fn read(missing: &mut Vec<String>) -> Kernel {
    let default = Kernel::default();
    let mut value = |name: &str, default: u32| {
        read_one(name).unwrap_or_else(|| {
            missing.push(format!(
                "{FOLDER}{name} (cannot be read; Linux's default, {default}, is assumed)"
            ));
            default
        })
    };
    Kernel {
        keep_alive: KernelKeepAlive {
            time: value("tcp_keepalive_time", default.keep_alive.time),
            interval: value("tcp_keepalive_intvl", default.keep_alive.interval),
            probes: value("tcp_keepalive_probes", default.keep_alive.probes),
        },
        retries2: value("tcp_retries2", default.retries2),
    }
}

fn read_one(name: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("{FOLDER}{name}")).ok()?;
    u32::from_str(text.trim()).ok()
}

const FOLDER: &str = "/proc/sys/net/ipv4/";
