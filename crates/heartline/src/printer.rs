//! Lines to standard output, by a thread of its own: a reader that does not read must never stop a beat.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// Prints lines in order.
pub(crate) struct Printer {
    lines: SyncSender<String>,
    thread: JoinHandle<()>,
    lost: u64,
    json: bool,
}

/// Nobody reads any more.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl Printer {
    /// Starts the thread; `json`: what the printer itself has to say is a JSON object too.
    pub(crate) fn start(json: bool) -> io::Result<Self> {
        let (lines, to_print) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("heartline-out".into())
            .spawn(move || print_all(&to_print))?;
        Ok(Self {
            lines,
            thread,
            lost: 0,
            json,
        })
    }

    /// Prints a line, or, while the reader is too slow, counts it as lost and says so later.
    pub(crate) fn line(&mut self, text: String) -> Result<(), ReaderGone> {
        if self.lost > 0 {
            let lost = self.lost;
            let note = if self.json {
                format!(r#"{{"event":"not_printed","lines":{lost}}}"#)
            } else {
                format!("# {lost} lines were not printed: the reader is too slow")
            };
            if self.lines.try_send(note).is_ok() {
                self.lost = 0;
            }
        }
        match self.lines.try_send(text) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(ReaderGone),
        }
    }

    /// Prints what is left, unless the reader does not read.
    pub(crate) fn finish(self) {
        drop(self.lines);
        let until = std::time::Instant::now() + PATIENCE;
        while !self.thread.is_finished() && std::time::Instant::now() < until {
            thread::sleep(LOOK);
        }
    }
}

fn print_all(lines: &Receiver<String>) {
    let mut out = io::stdout().lock();
    while let Ok(mut line) = lines.recv() {
        line.push('\n');
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            // A disk that is full, say: no reason to stop watching. The line is lost.
            Ok(()) | Err(_) => {}
        }
    }
}

/// Lines that wait for a slow reader.
const QUEUE: usize = 16_384;
/// The longest wait for a reader at the end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
const LOOK: std::time::Duration = std::time::Duration::from_millis(2);
