//! Reads along in the part of an SSH conversation that is not encrypted, to find a step of it.

/// A place in the conversation, seen from what the server has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing of the server's has passed: the client waits for the banner.
    BeforeBanner,
    /// The server's identification line has passed, nothing else.
    AfterBanner,
    /// The server's KEXINIT has passed: the client waits in the key exchange.
    AfterKexInit,
    /// The server's NEWKEYS has passed: the client waits for encrypted packets, in authentication.
    AfterNewKeys,
    /// So many bytes of the server's have passed.
    AfterServerBytes(u64),
}

/// Counts what may pass from the server until a step is reached.
#[derive(Debug)]
pub(super) struct Watch {
    step: Option<Step>,
    passed: u64,
    place: Place,
}

impl Watch {
    /// `None` is never reached.
    pub(super) fn new(step: Option<Step>) -> Self {
        Self {
            step,
            passed: 0,
            place: Place::Line(Vec::new()),
        }
    }

    /// Whether the step is reached before anything has passed.
    pub(super) fn is_reached_at_once(&self) -> bool {
        matches!(
            self.step,
            Some(Step::BeforeBanner | Step::AfterServerBytes(0))
        )
    }

    /// The server's next bytes: how many of them may pass, and whether the step is reached then.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.step.is_none() {
            return (bytes.len(), false);
        }
        for (at, byte) in bytes.iter().enumerate() {
            let seen = self.place.take(*byte);
            self.passed += 1;
            let reached = match self.step {
                Some(Step::AfterBanner) => seen == Some(Seen::Ident),
                Some(Step::AfterKexInit) => seen == Some(Seen::Packet(KEXINIT)),
                Some(Step::AfterNewKeys) => seen == Some(Seen::Packet(NEWKEYS)),
                Some(Step::AfterServerBytes(count)) => self.passed >= count,
                Some(Step::BeforeBanner) | None => false,
            };
            if reached {
                self.step = None;
                return (at + 1, true);
            }
        }
        (bytes.len(), false)
    }
}

/// What a byte has completed.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Ident,
    /// Of this type (RFC 4250, section 4.1.2).
    Packet(u8),
}

#[derive(Debug)]
enum Place {
    /// In a line before the packets: its first bytes.
    Line(Vec<u8>),
    /// In the length, the padding length and the type of a packet.
    Head(Vec<u8>),
    /// In the rest of a packet.
    Body { kind: u8, left: u32 },
    /// After NEWKEYS, or in something that is not SSH.
    Lost,
}

impl Place {
    fn take(&mut self, byte: u8) -> Option<Seen> {
        match self {
            Self::Line(start) if byte == b'\n' => {
                let is_ident = start.starts_with(b"SSH-");
                *self = if is_ident {
                    Self::Head(Vec::new())
                } else {
                    Self::Line(Vec::new())
                };
                is_ident.then_some(Seen::Ident)
            }
            Self::Line(start) => {
                if start.len() < 4 {
                    start.push(byte);
                }
                None
            }
            Self::Head(head) => {
                head.push(byte);
                let &[a, b, c, d, _, kind] = head.as_slice() else {
                    return None;
                };
                let length = u32::from_be_bytes([a, b, c, d]);
                // Of it, the padding length and the type have come.
                *self = match length.checked_sub(2) {
                    Some(left) if left > 0 && length <= LONGEST => Self::Body { kind, left },
                    _ => Self::Lost,
                };
                None
            }
            Self::Body { kind, left } => {
                *left -= 1;
                if *left > 0 {
                    return None;
                }
                let kind = *kind;
                *self = if kind == NEWKEYS {
                    Self::Lost
                } else {
                    Self::Head(Vec::new())
                };
                Some(Seen::Packet(kind))
            }
            Self::Lost => None,
        }
    }
}

const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
/// OpenSSH's `PACKET_MAX_SIZE`.
const LONGEST: u32 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::{Step, Watch};

    fn packet(kind: u8, body: usize) -> Vec<u8> {
        let length = u32::try_from(body + 2 + 4).unwrap();
        let mut packet = length.to_be_bytes().to_vec();
        packet.extend([4, kind]);
        packet.extend(vec![21; body + 4]);
        packet
    }

    fn conversation() -> (Vec<u8>, [usize; 3]) {
        let mut all = b"hello\r\nSSHX\nSSH-2.0-x\r\n".to_vec();
        let ident = all.len();
        all.extend(packet(20, 900));
        let kexinit = all.len();
        all.extend(packet(31, 300));
        all.extend(packet(21, 0));
        let newkeys = all.len();
        all.extend([0xff; 100]);
        (all, [ident, kexinit, newkeys])
    }

    #[test]
    fn each_step_is_found_to_the_byte_however_the_bytes_come() {
        let (all, [ident, kexinit, newkeys]) = conversation();
        for (step, expected) in [
            (Step::AfterBanner, ident),
            (Step::AfterKexInit, kexinit),
            (Step::AfterNewKeys, newkeys),
            (Step::AfterServerBytes(7), 7),
        ] {
            for size in [1, 2, 7, 100, all.len()] {
                let mut watch = Watch::new(Some(step));
                assert!(!watch.is_reached_at_once());
                let mut passed = 0;
                for chunk in all.chunks(size) {
                    let (some, reached) = watch.pass(chunk);
                    passed += some;
                    if reached {
                        break;
                    }
                }
                assert_eq!(passed, expected, "{step:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn reached_once_or_never_everything_passes() {
        let (all, [ident, ..]) = conversation();
        assert_eq!(Watch::new(None).pass(&all), (all.len(), false));
        let mut watch = Watch::new(Some(Step::AfterBanner));
        assert_eq!(watch.pass(&all), (ident, true));
        assert_eq!(watch.pass(&all[ident..]), (all.len() - ident, false));
        assert!(Watch::new(Some(Step::BeforeBanner)).is_reached_at_once());
        assert!(Watch::new(Some(Step::AfterServerBytes(0))).is_reached_at_once());
    }

    #[test]
    fn what_is_not_ssh_is_never_at_a_step() {
        let mut nonsense = b"SSH-2.0-x\r\n".to_vec();
        nonsense.extend([0xff; 4000]);
        let mut watch = Watch::new(Some(Step::AfterNewKeys));
        assert_eq!(watch.pass(&nonsense), (nonsense.len(), false));
        let mut empty = b"SSH-2.0-x\r\n".to_vec();
        empty.extend([0; 4000]);
        let mut watch = Watch::new(Some(Step::AfterNewKeys));
        assert_eq!(watch.pass(&empty), (empty.len(), false));
    }
}
