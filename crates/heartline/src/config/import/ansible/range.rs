//! `web[01:10]`: many hosts in one word, as Ansible's `expand_hostname_range` has it.

use anyhow::{Context, bail};

use super::budget::{Budget, MOST_HOSTS};

/// The hosts that a word stands for, and the port behind it, if there is one.
pub(super) fn hosts(word: &str, budget: &mut Budget) -> anyhow::Result<(Vec<String>, Option<u16>)> {
    if word.len() > MOST_BYTES {
        bail!("a host's name of more than {MOST_BYTES} bytes, which is the limit");
    }
    let (pattern, port) = split_port(word);
    let mut all = Vec::new();
    expand(pattern, 0, &mut all, budget)?;
    Ok((all, port))
}

/// `name:22`, `[address]:22`; a range's colon is none of a port, nor are those of a bare IPv6 address.
fn split_port(word: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = word.rsplit_once(':') else {
        return (word, None);
    };
    let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let Some(port) = port.parse().ok().filter(|_| is_number) else {
        return (word, None);
    };
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Some(inside) = inside.filter(|inside| inside.matches(':').count() > 2) {
        return (inside, Some(port));
    }
    let mut depth = 0_u32;
    for c in host.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return (word, None),
            _ => {}
        }
    }
    if depth == 0 {
        (host, Some(port))
    } else {
        (word, None)
    }
}

fn expand(
    pattern: &str,
    depth: usize,
    all: &mut Vec<String>,
    budget: &mut Budget,
) -> anyhow::Result<()> {
    budget.spend(1)?;
    let Some((head, range, tail)) = parts(pattern) else {
        if all.len() >= MOST_HOSTS {
            bail!("a range of more than {MOST_HOSTS} hosts, which is the limit");
        }
        all.push(pattern.to_owned());
        return Ok(());
    };
    if depth >= MOST_RANGES {
        bail!("more than {MOST_RANGES} ranges in one word, which is the limit");
    }
    for one in steps(range).with_context(|| format!("the range [{range}]"))? {
        expand(&format!("{head}{one}{tail}"), depth + 1, all, budget)?;
    }
    Ok(())
}

/// What stands before, in and behind the first brackets, if a range is in them.
fn parts(pattern: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = pattern.split_once('[')?;
    let (range, tail) = rest.split_once(']')?;
    (!head.contains(':') && range.contains(':')).then_some((head, range, tail))
}

fn steps(range: &str) -> anyhow::Result<Vec<String>> {
    let bounds: Vec<_> = range.split(':').collect();
    let (begin, end, step) = match bounds.as_slice() {
        [begin, end] => (*begin, *end, "1"),
        [begin, end, step] => (*begin, *end, *step),
        _ => bail!("is not begin:end or begin:end:step"),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        bail!("has no end");
    }
    let step: usize = step.parse().context("its step is no number")?;
    if step == 0 {
        bail!("its step is 0");
    }
    let letter = |text: &str| LETTERS.find(text).filter(|_| text.len() == 1);
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        if first > last {
            bail!("begins after its end");
        }
        let letters = LETTERS.chars().skip(first).take(last - first + 1);
        return Ok(letters.step_by(step).map(String::from).collect());
    }
    let width = if begin.len() > 1 && begin.starts_with('0') {
        if begin.len() != end.len() {
            bail!("begins with zeros, and its end is not as long");
        }
        begin.len()
    } else {
        0
    };
    let first: u64 = begin.parse().context("its begin is no number")?;
    let last: u64 = end.parse().context("its end is no number")?;
    if last.saturating_sub(first) / (step as u64) >= MOST_HOSTS as u64 {
        bail!("is of more than {MOST_HOSTS} hosts, which is the limit");
    }
    let numbers = (first..=last).step_by(step);
    Ok(numbers.map(|n| format!("{n:0width$}")).collect())
}

/// Python's `string.ascii_letters`.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Nobody counts in so many places.
const MOST_RANGES: usize = 8;
/// Of a word, ranges and all.
const MOST_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(word: &str) -> String {
        let (hosts, port) = hosts(word, &mut Budget::default()).unwrap();
        let port = port.map_or_else(String::new, |port| format!(" {port}"));
        hosts.join(",") + &port
    }

    #[test]
    fn ranges() {
        assert_eq!(all("web[01:03]"), "web01,web02,web03");
        assert_eq!(all("db-[a:c].x:2222"), "db-a.x,db-b.x,db-c.x 2222");
        assert_eq!(all("n[0:6:3]-[x:y]"), "n0-x,n0-y,n3-x,n3-y,n6-x,n6-y");
        assert_eq!(all("w[:2]"), "w0,w1,w2");
        assert_eq!(all("w[9:11]"), "w9,w10,w11");
        assert_eq!(all("w[5:4]"), "");
        assert_eq!(all("plain"), "plain");
    }

    #[test]
    fn ports_and_addresses() {
        assert_eq!(all("h:22"), "h 22");
        assert_eq!(all("fe80::1"), "fe80::1");
        assert_eq!(all("[2001:db8::1]:2222"), "2001:db8::1 2222");
        assert_eq!(all("10.0.0.[1:2]"), "10.0.0.1,10.0.0.2");
        assert_eq!(all("h:x"), "h:x");
    }

    #[test]
    fn broken_ones() {
        for word in [
            "w[1:]",
            "w[01:100]",
            "w[1:2:0]",
            "w[1:2:x]",
            "w[1:2:3:4]",
            "w[c:a]",
            "w[1:9999999]",
            "w[1:999][1:999]",
            "w[1:10001]",
            "[1:9999][1:9999][2:1]",
            "[1:1][1:1][1:1][1:1][1:1][1:1][1:1][1:1][1:1]",
        ] {
            assert!(hosts(word, &mut Budget::default()).is_err(), "{word}");
        }
    }
}
