//! Values of `explain` that are more than one number.

use anyhow::{Context, bail};
use heartline_core::explain::{KernelKeepAlive, Keyword, Pair};

use super::args::KeepAliveArg;

/// `INTERVAL/COUNT`, each as ssh reads it.
pub(super) fn pair(text: &str) -> anyhow::Result<Pair> {
    let parts = text.split_once('/');
    let (interval, count) = parts.context("give INTERVAL/COUNT, like 15/3")?;
    let interval = Keyword::ClientAliveInterval.parse(interval)?;
    let count = Keyword::ClientAliveCountMax.parse(count)?;
    Ok(Pair {
        interval: interval.unwrap_or_default(),
        count: count.unwrap_or_default(),
    })
}

/// `TIME/INTVL/PROBES` in seconds, `yes` or `no`.
pub(super) fn keep_alive(text: &str) -> anyhow::Result<KeepAliveArg> {
    match text {
        "yes" => return Ok(KeepAliveArg::Yes),
        "no" => return Ok(KeepAliveArg::No),
        _ => {}
    }
    let parts: Vec<u32> = text
        .split('/')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context(KEEP_ALIVE)?;
    let &[time, interval, probes] = parts.as_slice() else {
        bail!(KEEP_ALIVE);
    };
    // The kernel's own limits (tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT).
    if !(1..=32_767).contains(&time)
        || !(1..=32_767).contains(&interval)
        || !(1..=127).contains(&probes)
    {
        bail!("the kernel takes times of 1 to 32767 s and 1 to 127 probes");
    }
    Ok(KeepAliveArg::Times(KernelKeepAlive {
        time,
        interval,
        probes,
    }))
}

const KEEP_ALIVE: &str = "give yes, no or TIME/INTVL/PROBES in seconds, like 60/10/3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_keepalives() {
        let read = pair("1m30s/3").unwrap();
        assert_eq!((read.interval, read.count), (90, 3));
        for text in ["", "15", "15/", "/3", "15/-1", "x/3", "15/3/1"] {
            assert!(pair(text).is_err(), "{text}");
        }
        let times = keep_alive("3/1/2").unwrap();
        let expected = KernelKeepAlive {
            time: 3,
            interval: 1,
            probes: 2,
        };
        assert_eq!(times, KeepAliveArg::Times(expected));
        assert_eq!(keep_alive("yes").unwrap(), KeepAliveArg::Yes);
        for text in [
            "",
            "3/1",
            "0/1/2",
            "3/1/128",
            "3/1/2/1",
            "-3/1/2",
            "40000/1/2",
        ] {
            assert!(keep_alive(text).is_err(), "{text}");
        }
    }
}
