//! TCP as Linux has it, in as much as it decides when a lost beat comes after all.
//!
//! A connection carries *messages*: beats one way, replies the other, each smaller than a segment and counted from 0. Several that
//! are written or repeated together share a segment, as Linux appends and collapses them.
//!
//! | here | rule |
//! |---|---|
//! | `RoundTrip` | RFC 6298 with Linux's numbers (`tcp_rtt_estimator`): a variation of 200 ms at least, taken over a window |
//! | `fires` | the timer wheel at 250 Hz (`calc_index`): a timeout of 252 ms and more is up to 32 ms late |
//! | retransmission timeout | RFC 6298, section 5: doubled each time, 120 s at most; head first and what follows collapsed into it; not doubled six times on a thin stream that asked for it (`TCP_THIN_LINEAR_TIMEOUTS`) |
//! | tail loss probe | RFC 8985, section 7 (`tcp_schedule_loss_probe`): after two round trips, 200 ms more for a lone segment, never later than the timeout |
//! | time-based loss detection | RFC 8985, section 6 (`tcp_rack_detect_loss`): lost, if a segment that was sent a quarter of the least round trip later has come |
//! | window | ten segments; CUBIC's 0.7 at a loss, one at a timeout, and growth only when it was used; given back where the timestamp shows that the repetition was needless (RFC 3522) |
//! | round trip of a repeated segment | by the echoed timestamp (RFC 7323), else Karn's rule |
//! | delayed acknowledgement | RFC 5681, section 4.2: 40 ms; at once for anything out of order, repeated, or filling a gap; [`Acks`] has what Linux 6.18 was seen to do |
//! | `TCP_INFO` | smoothed round trip, mean deviation, time since an acknowledgement in ticks of 4 ms, state |
//!
//! Not here: the handshake, receive windows, pacing, ECN, fast open, forward RTO recovery (timestamps find the same), CUBIC's curve,
//! segments overtaken by later ones, keepalive, and the peer's reset after a reboot.

mod packet;
mod receiver;
mod round_trip;
mod sender;
mod wheel;

#[cfg(test)]
mod tests;

pub use receiver::Acks;

pub(super) use packet::Packet;
pub(super) use receiver::{Due, Receiver};
pub(super) use sender::Sender;
