use futures::FutureExt;

use super::*;

fn put(filler: &Filler, bytes: usize) {
    filler.put(Piece::Out(vec![7; bytes].into())).unwrap();
}

fn take(inbox: &Inbox) -> usize {
    inbox.next().now_or_never().unwrap().unwrap().len()
}

fn is_drained(inbox: &Inbox) -> bool {
    inbox.drained.notified().now_or_never().is_some()
}

#[test]
fn a_window_is_withheld_from_the_high_mark_to_the_low_one() {
    let inboxes = Inboxes::default();
    let filler = inboxes.open_numbered(3);
    let inbox = filler.inbox();
    for bytes in [HIGH - LOW - 1_000, LOW - 1, 1] {
        put(&filler, bytes);
    }
    assert!(!inboxes.withholds_numbered(3));
    put(&filler, SMALL);
    assert!(inboxes.withholds_numbered(3));
    assert_eq!(take(&inbox), HIGH - LOW - 1_000);
    assert!(inboxes.withholds_numbered(3) && !is_drained(&inbox));
    assert_eq!(take(&inbox), LOW - 1);
    assert!(is_drained(&inbox) && !inboxes.withholds_numbered(3));
    assert!(!is_drained(&inbox));
}

#[test]
fn channels_wait_apart() {
    let inboxes = Inboxes::default();
    let (full, empty) = (inboxes.open_numbered(1), inboxes.open_numbered(2));
    put(&full, 2 * HIGH);
    assert!(inboxes.withholds_numbered(1) && !inboxes.withholds_numbered(2));
    assert!(!inboxes.withholds_numbered(7));
    full.inbox().abandon();
    assert!(is_drained(&full.inbox()) && !inboxes.withholds_numbered(1));
    put(&full, MOST);
    assert!(!inboxes.withholds_numbered(1));
    drop((full, empty));
    assert!(inboxes.all().is_empty());
}

#[test]
fn what_is_there_is_taken_also_when_nothing_comes_any_more() {
    let filler = Inboxes::default().open_numbered(1);
    let inbox = filler.inbox();
    assert!(inbox.next().now_or_never().is_none());
    put(&filler, 5);
    filler.put(Piece::Err(Bytes::from_static(b"e"))).unwrap();
    filler.put(Piece::Closed).unwrap();
    drop(filler);
    assert_eq!((take(&inbox), take(&inbox)), (5, 1));
    assert_eq!(inbox.next().now_or_never(), Some(Some(Piece::Closed)));
    assert_eq!(inbox.next().now_or_never(), Some(None));
}

#[test]
fn single_bytes_cost_no_more_than_a_block_of_them() {
    let filler = Inboxes::default().open_numbered(1);
    for byte in 0..200_000_u32 {
        let byte = u8::try_from(byte % 251).unwrap();
        filler
            .put(Piece::Out(Bytes::copy_from_slice(&[byte])))
            .unwrap();
    }
    let inbox = filler.inbox();
    assert!(inbox.state().parts.len() < 30);
    drop(filler);
    let mut got = Vec::new();
    while let Some(Piece::Out(bytes)) = inbox.next().now_or_never().unwrap() {
        got.extend_from_slice(&bytes);
    }
    assert_eq!(got.len(), 200_000);
    assert!(
        (0..200_000_u32)
            .zip(&got)
            .all(|(at, byte)| at % 251 == u32::from(*byte))
    );
}

#[test]
fn when_too_much_waits_in_all_the_fullest_is_ended() {
    let inboxes = Inboxes::default();
    let many = MOST_IN_ALL / MOST;
    let fillers: Vec<_> = (0..u32::try_from(many).unwrap())
        .map(|channel| inboxes.open_numbered(channel))
        .collect();
    for filler in &fillers {
        put(filler, MOST - 10);
    }
    assert!(fillers.iter().all(|filler| !filler.inbox().is_sacrificed()));
    put(&fillers[1], 10);
    let last = inboxes.open_numbered(u32::MAX);
    put(&last, MOST);
    let ended: Vec<_> = fillers
        .iter()
        .map(|one| one.inbox().is_sacrificed())
        .collect();
    assert_eq!(
        ended.iter().filter(|ended| **ended).count() + usize::from(last.inbox().is_sacrificed()),
        1
    );
    assert!(ended[1] || last.inbox().is_sacrificed());
    assert!(inboxes.0.bytes.load(Ordering::Relaxed) <= MOST_IN_ALL);
    drop((fillers, last));
    assert_eq!(inboxes.0.bytes.load(Ordering::Relaxed), 0);
}

/// No window bounds those.
#[test]
fn what_has_no_length_gathers_nothing() {
    let filler = Inboxes::default().open_numbered(1);
    for _ in 0..1_000 {
        filler.put(Piece::Eof).unwrap();
        filler.put(Piece::Ended(Ending::Status(0))).unwrap();
    }
    assert_eq!(filler.inbox().state().parts.len(), 2);
}

#[test]
fn who_does_not_heed_its_window_is_found_out() {
    let filler = Inboxes::default().open_numbered(1);
    put(&filler, MOST);
    assert_eq!(
        filler.put(Piece::Out(Bytes::from_static(b"x"))),
        Err(Overrun)
    );
}
