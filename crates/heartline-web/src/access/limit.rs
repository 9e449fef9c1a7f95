//! How often an address may be wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::accept::Peer;

/// Wrong tokens of the last minute, by where they came from; and who was right lately.
#[derive(Debug, Default)]
pub(super) struct Limit {
    wrong: HashMap<Option<IpAddr>, (u32, Instant)>,
    right: HashMap<Option<IpAddr>, Instant>,
}

impl Limit {
    /// Whether it may try, right or wrong. Who was right lately always may: behind one address there may be somebody else, who guesses.
    pub(super) fn may_try(&self, peer: Peer, now: Instant) -> bool {
        let of = peer.network();
        if let Some(was) = self.right.get(&of)
            && *was + LATELY > now
        {
            return true;
        }
        match self.wrong.get(&of) {
            Some((count, begun)) => *count < MOST || *begun + WINDOW <= now,
            None => true,
        }
    }

    /// It was right, and what was wrong before is forgotten.
    pub(super) fn succeeded(&mut self, peer: Peer, now: Instant) {
        let of = peer.network();
        self.wrong.remove(&of);
        make_room(&mut self.right, of, |was| *was);
        self.right.insert(of, now);
    }

    /// It was wrong.
    pub(super) fn failed(&mut self, peer: Peer, now: Instant) {
        let of = peer.network();
        make_room(&mut self.wrong, of, |(_, begun)| *begun);
        let (count, begun) = self.wrong.entry(of).or_insert((0, now));
        if *begun + WINDOW <= now {
            (*count, *begun) = (0, now);
        }
        *count = count.saturating_add(1);
    }
}

/// For one more, at the cost of the oldest: many that are wrong lock out nobody else.
fn make_room<T>(
    all: &mut HashMap<Option<IpAddr>, T>,
    of: Option<IpAddr>,
    since: impl Fn(&T) -> Instant,
) {
    if all.len() < ADDRESSES || all.contains_key(&of) {
        return;
    }
    let oldest = all.iter().min_by_key(|(_, what)| since(what));
    if let Some(oldest) = oldest.map(|(of, _)| *of) {
        all.remove(&oldest);
    }
}

const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// How long somebody who was right is known for it.
const LATELY: Duration = Duration::from_mins(10);
const ADDRESSES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(Some(text.parse().unwrap()))
    }

    #[test]
    fn ten_wrong_ones_and_an_address_waits_for_a_minute_and_others_do_not() {
        let mut limit = Limit::default();
        let now = Instant::now();
        for _ in 0..MOST {
            assert!(limit.may_try(peer("2001:db8::1"), now));
            limit.failed(peer("2001:db8::1"), now);
        }
        assert!(!limit.may_try(peer("2001:db8::2"), now));
        assert!(limit.may_try(peer("2001:db8:0:1::2"), now));
        assert!(limit.may_try(peer("2001:db8::2"), now + WINDOW));
    }

    #[test]
    fn what_it_remembers_is_bounded_and_many_that_are_wrong_lock_out_nobody() {
        let mut limit = Limit::default();
        let begun = Instant::now();
        let guessed = peer("198.51.100.1");
        for _ in 0..MOST {
            limit.failed(guessed, begun);
        }
        let now = begun + Duration::from_secs(1);
        for at in 0..1_023_u32 {
            let from = Peer(Some(std::net::Ipv4Addr::from_bits(at).into()));
            assert!(limit.may_try(from, now));
            limit.failed(from, now);
        }
        assert_eq!(limit.wrong.len(), ADDRESSES);
        assert!(!limit.may_try(guessed, now));
        assert!(limit.may_try(peer("192.0.2.1"), now));
        limit.failed(peer("192.0.2.1"), now);
        assert_eq!(limit.wrong.len(), ADDRESSES);
        // The oldest made room.
        assert!(limit.may_try(guessed, now));
    }

    #[test]
    fn who_was_right_lately_is_listened_to_whatever_somebody_else_guesses_from_there() {
        let mut limit = Limit::default();
        let now = Instant::now();
        let here = peer("192.0.2.1");
        limit.succeeded(here, now);
        for _ in 0..100 {
            limit.failed(here, now);
        }
        assert!(limit.may_try(here, now));
        let later = now + LATELY;
        for _ in 0..MOST {
            assert!(limit.may_try(here, later));
            limit.failed(here, later);
        }
        assert!(!limit.may_try(here, later));
        limit.succeeded(here, later);
        assert!(limit.wrong.is_empty());
        for at in 0..2_000_u32 {
            let from = Peer(Some(std::net::Ipv4Addr::from_bits(at).into()));
            limit.succeeded(from, later + Duration::from_millis(at.into()));
        }
        assert_eq!(limit.right.len(), ADDRESSES);
    }
}
