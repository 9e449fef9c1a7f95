//! The signals that are the command's rather than ours.

use std::process::ExitCode;

use futures::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that pass through, and the change of our terminal's size.
pub(super) struct Signals {
    forwarded: Vec<(Kind, Signal)>,
    resized: Signal,
}

/// One that passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name in RFC 4254, section 6.10.
    pub(super) name: &'static str,
    number: i32,
}

impl Kind {
    /// What a shell shows of a program that died of it.
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(self.code_number())
    }

    /// The same as a number.
    pub(super) fn code_number(self) -> u8 {
        u8::try_from(128 + self.number).unwrap_or(super::FAILED)
    }

    /// Whether a program is usually ended by it.
    pub(super) fn is_end(self) -> bool {
        matches!(self.name, "INT" | "TERM" | "HUP" | "QUIT")
    }
}

impl Signals {
    /// Listens from now on: none of them ends us any more.
    pub(super) fn listen() -> std::io::Result<Self> {
        let kinds = [
            ("HUP", SignalKind::hangup()),
            ("INT", SignalKind::interrupt()),
            ("QUIT", SignalKind::quit()),
            ("TERM", SignalKind::terminate()),
            ("USR1", SignalKind::user_defined1()),
            ("USR2", SignalKind::user_defined2()),
        ];
        let listen = |(name, kind): (_, SignalKind)| {
            let number = kind.as_raw_value();
            Ok((Kind { name, number }, signal(kind)?))
        };
        Ok(Self {
            forwarded: kinds
                .into_iter()
                .map(listen)
                .collect::<std::io::Result<_>>()?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// The next of them; none, when our terminal has another size. Losing the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Kind> {
        let Self { forwarded, resized } = self;
        let each = forwarded.iter_mut().map(|(kind, signal)| {
            let kind = *kind;
            Box::pin(async move {
                signal.recv().await;
                kind
            })
        });
        tokio::select! {
            (kind, ..) = select_all(each) => Some(kind),
            _ = resized.recv() => None,
        }
    }

    /// The next that asks us to end.
    pub(super) async fn ends(&mut self) -> Kind {
        loop {
            if let Some(kind) = self.next().await.filter(|kind| kind.is_end()) {
                return kind;
            }
        }
    }
}
