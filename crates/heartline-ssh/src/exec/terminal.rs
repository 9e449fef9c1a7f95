//! A terminal for a command to run on (RFC 4254, sections 6.2 and 8).

use russh::Pty;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex as Index, Termios,
};

/// How many characters it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
}

/// A terminal to be made there.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// Its size.
    pub size: Size,
    /// The settings of ours, which it is to have; none: the node's own.
    pub settings: Option<Termios>,
}

impl Terminal {
    /// The settings as they are sent, as OpenSSH does it (ttymodes.c).
    pub(super) fn modes(&self) -> Vec<(Pty, u32)> {
        let Some(settings) = &self.settings else {
            return Vec::new();
        };
        let mut modes = vec![(Pty::TTY_OP_ISPEED, SPEED), (Pty::TTY_OP_OSPEED, SPEED)];
        for (index, mode) in CHARACTERS {
            let set = settings.special_codes[index];
            modes.push((mode, if set == DISABLED { NONE } else { set.into() }));
        }
        let input = |(flag, mode): (_, _)| (mode, u32::from(settings.input_modes.contains(flag)));
        modes.extend(INPUT.map(input));
        let local = |(flag, mode): (_, _)| (mode, u32::from(settings.local_modes.contains(flag)));
        modes.extend(LOCAL.map(local));
        let output = |(flag, mode): (_, _)| (mode, u32::from(settings.output_modes.contains(flag)));
        modes.extend(OUTPUT.map(output));
        let eight = settings.control_modes.contains(ControlModes::CS8);
        modes.push((Pty::CS8, u32::from(eight)));
        modes
    }
}

const CHARACTERS: [(Index, Pty); 13] = [
    (Index::VINTR, Pty::VINTR),
    (Index::VQUIT, Pty::VQUIT),
    (Index::VERASE, Pty::VERASE),
    (Index::VKILL, Pty::VKILL),
    (Index::VEOF, Pty::VEOF),
    (Index::VEOL, Pty::VEOL),
    (Index::VEOL2, Pty::VEOL2),
    (Index::VSTART, Pty::VSTART),
    (Index::VSTOP, Pty::VSTOP),
    (Index::VSUSP, Pty::VSUSP),
    (Index::VREPRINT, Pty::VREPRINT),
    (Index::VWERASE, Pty::VWERASE),
    (Index::VLNEXT, Pty::VLNEXT),
];
const INPUT: [(InputModes, Pty); 10] = [
    (InputModes::IGNPAR, Pty::IGNPAR),
    (InputModes::PARMRK, Pty::PARMRK),
    (InputModes::INPCK, Pty::INPCK),
    (InputModes::ISTRIP, Pty::ISTRIP),
    (InputModes::INLCR, Pty::INLCR),
    (InputModes::IGNCR, Pty::IGNCR),
    (InputModes::ICRNL, Pty::ICRNL),
    (InputModes::IXON, Pty::IXON),
    (InputModes::IXANY, Pty::IXANY),
    (InputModes::IXOFF, Pty::IXOFF),
];
const LOCAL: [(LocalModes, Pty); 9] = [
    (LocalModes::ISIG, Pty::ISIG),
    (LocalModes::ICANON, Pty::ICANON),
    (LocalModes::ECHO, Pty::ECHO),
    (LocalModes::ECHOE, Pty::ECHOE),
    (LocalModes::ECHOK, Pty::ECHOK),
    (LocalModes::ECHONL, Pty::ECHONL),
    (LocalModes::NOFLSH, Pty::NOFLSH),
    (LocalModes::TOSTOP, Pty::TOSTOP),
    (LocalModes::IEXTEN, Pty::IEXTEN),
];
const OUTPUT: [(OutputModes, Pty); 5] = [
    (OutputModes::OPOST, Pty::OPOST),
    (OutputModes::ONLCR, Pty::ONLCR),
    (OutputModes::OCRNL, Pty::OCRNL),
    (OutputModes::ONOCR, Pty::ONOCR),
    (OutputModes::ONLRET, Pty::ONLRET),
];
/// Of a line that is none; ttymodes.c sends ours, and no program looks at it.
const SPEED: u32 = 38_400;
/// `_POSIX_VDISABLE` on Linux.
const DISABLED: u8 = 0;
/// RFC 4254, section 8: 255 if there is none.
const NONE: u32 = 255;
