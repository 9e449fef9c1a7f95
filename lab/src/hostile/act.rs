//! What a hostile peer says, and how fast.

use std::time::Duration;

/// The part a [`Peer`](super::Peer) plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Accepts and never says a word.
    Silent,
    /// One byte a second of a banner line that never ends.
    BannerDrip,
    /// Lines before the identification, for ever.
    EndlessBanner,
    /// One line without an end.
    EndlessLine,
    /// An identification longer than the 255 bytes of RFC 4253, section 4.2; then silence.
    LongIdent,
    /// Bytes that mean nothing, for ever; some of them are newlines.
    Garbage,
    /// An identification, then silence: frozen before its side of the key exchange.
    IdentThenSilence,
    /// An identification and a KEXINIT, then silence: frozen in the key exchange.
    KexInitThenSilence,
    /// An identification, then a packet that claims 4 GiB, and bytes for it, for ever.
    HugePacket,
    /// An identification, then a packet of no bytes, and more of them, for ever.
    EmptyPacket,
    /// Lines full of terminal escapes before a clean identification; then silence.
    EscapesInBanner,
    /// Terminal escapes in the identification itself; then silence.
    EscapesInIdent,
    /// A server that speaks the SSH of 1995 only.
    OldProtocol,
    /// Closes every connection at once.
    CloseAtOnce,
    /// Resets every connection at once.
    ResetAtOnce,
}

impl Act {
    /// Every act there is.
    pub const ALL: [Self; 15] = [
        Self::Silent,
        Self::BannerDrip,
        Self::EndlessBanner,
        Self::EndlessLine,
        Self::LongIdent,
        Self::Garbage,
        Self::IdentThenSilence,
        Self::KexInitThenSilence,
        Self::HugePacket,
        Self::EmptyPacket,
        Self::EscapesInBanner,
        Self::EscapesInIdent,
        Self::OldProtocol,
        Self::CloseAtOnce,
        Self::ResetAtOnce,
    ];

    /// Whether the peer goes on talking for as long as anybody listens.
    pub fn is_endless(self) -> bool {
        self.script().again.is_some()
    }

    pub(super) fn script(self) -> Script {
        let once = |first: Vec<u8>| Script { first, again: None };
        let flood = |first: &[u8], chunk: Vec<u8>| Script {
            first: first.to_vec(),
            again: Some((chunk, FLOOD_EVERY)),
        };
        match self {
            Self::Silent | Self::CloseAtOnce | Self::ResetAtOnce => once(Vec::new()),
            Self::BannerDrip => Script {
                first: Vec::new(),
                again: Some((b"w".to_vec(), DRIP_EVERY)),
            },
            Self::EndlessBanner => flood(b"", b"Welcome to this machine.\r\n".repeat(300)),
            Self::EndlessLine => flood(b"", vec![b'x'; CHUNK]),
            Self::LongIdent => {
                let long = "x".repeat(300);
                once(format!("SSH-2.0-{long}\r\n").into_bytes())
            }
            Self::Garbage => flood(b"", noise()),
            Self::IdentThenSilence => once(IDENT.to_vec()),
            Self::KexInitThenSilence => once([IDENT, &kexinit()].concat()),
            Self::HugePacket => flood(&[IDENT, &[0xff; 4]].concat(), vec![0x14; CHUNK]),
            Self::EmptyPacket => flood(IDENT, vec![0; CHUNK]),
            Self::EscapesInBanner => once([ESCAPES, IDENT].concat()),
            Self::EscapesInIdent => {
                once(b"SSH-2.0-x\x1b[2J \x1b]0;owned\x07\x1b[31mred\r\n".to_vec())
            }
            Self::OldProtocol => once(b"SSH-1.5-ancient\r\n".to_vec()),
        }
    }
}

/// What is said at once, and what is repeated how often.
pub(super) struct Script {
    pub(super) first: Vec<u8>,
    pub(super) again: Option<(Vec<u8>, Duration)>,
}

/// The first packet of a key exchange (RFC 4253, section 7.1), as a current server sends it.
fn kexinit() -> Vec<u8> {
    const LISTS: [&str; 10] = [
        "curve25519-sha256,diffie-hellman-group14-sha256",
        "ssh-ed25519,rsa-sha2-512",
        "aes256-gcm@openssh.com,aes256-ctr",
        "aes256-gcm@openssh.com,aes256-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    const KEXINIT: u8 = 20;
    let mut payload = vec![KEXINIT];
    payload.extend([7; 16]);
    for list in LISTS {
        payload.extend(be_len(list.len()));
        payload.extend(list.as_bytes());
    }
    // first_kex_packet_follows, and the reserved word.
    payload.extend([0; 5]);
    // The whole is a multiple of 8, with at least 4 bytes of padding (section 6).
    let padding = 12 - (payload.len() + 5 + 4) % 8;
    let mut packet = be_len(payload.len() + padding + 1).to_vec();
    packet.extend(u8::try_from(padding));
    packet.extend(payload);
    packet.extend(vec![0; padding]);
    packet
}

fn be_len(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// The same bytes every time, of every value.
fn noise() -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()
    });
    bytes.take(CHUNK / 4).flatten().collect()
}

const IDENT: &[u8] = b"SSH-2.0-hostile_1\r\n";
/// Clears the screen, sets the title, asks the terminal to answer, rings, goes back to the start of
/// the line; 8-bit controls and an override of the writing direction as well.
const ESCAPES: &[u8] = b"\x1b[2J\x1b[H\x1b]0;owned\x07hello\x1b[6n\r\n\
    fake line\rINFO all is well\x08\x08\x7f\r\n\
    \xc2\x9b31m\xe2\x80\xaereversed\xff\xfe\r\n";
const CHUNK: usize = 8 * 1024;
/// With a chunk a millisecond, 8 MB a second: enough to see memory grow, little enough for a busy
/// machine.
const FLOOD_EVERY: Duration = Duration::from_millis(1);
const DRIP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::{Act, IDENT, kexinit};

    #[test]
    fn the_key_exchange_begins_as_the_rfc_says() {
        let packet = kexinit();
        let length = u32::from_be_bytes(packet[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap() + 4, packet.len());
        assert_eq!((packet.len() % 8, packet[5]), (0, 20));
        assert!((4..=255).contains(&packet[4]), "{}", packet[4]);
    }

    #[test]
    fn every_act_is_another() {
        for (at, act) in Act::ALL.iter().enumerate() {
            assert!(!Act::ALL[..at].contains(act));
        }
        assert!(Act::LongIdent.script().first.len() > 257);
        assert!(Act::EscapesInBanner.script().first.ends_with(IDENT));
    }
}
