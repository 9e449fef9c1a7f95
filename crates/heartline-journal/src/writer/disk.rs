//! The thread that writes, and may hang for as long as the disk does.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use rusqlite::ErrorCode;
use tracing::{info, warn};

use super::batch::{self, Subjects};
use super::desk::{Batch, Desk};
use super::{Opening, WAITING, tell_set_aside};
use crate::open::{self, NotOpen, SetAside, SetAsideWhy};

/// See the module.
pub(super) struct Writer {
    pub(super) opening: Opening,
    desk: Arc<Desk>,
    subjects: Subjects,
    /// When the disk is tried again, if it failed.
    try_again: Option<(Instant, Duration)>,
    pub(super) next_prune: Instant,
}

impl Writer {
    pub(super) fn new(opening: Opening, desk: Arc<Desk>) -> Self {
        Self {
            opening,
            desk,
            subjects: Subjects::default(),
            try_again: None,
            next_prune: Instant::now() + PRUNE_FIRST,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let from = self.try_again.map(|(at, _)| at);
            let (batch, is_last) = self.desk.next(from, self.next_prune);
            if let Some(batch) = batch {
                self.write(batch);
            }
            if is_last {
                return;
            }
            let now = Instant::now();
            if now < self.next_prune {
                continue;
            }
            if self.try_again.is_none() {
                self.prune(now);
            } else {
                self.next_prune = now + AGAIN_LAST;
            }
        }
    }

    /// Writes it in one transaction; if that fails it waits on.
    fn write(&mut self, mut batch: Batch) {
        // A second time for a journal that was set aside, or has made room.
        for _ in 0..2 {
            match self.write_once(&batch) {
                Ok(()) => {
                    self.try_again = None;
                    return self.desk.written(&batch);
                }
                Err(NotOpen::Unusable(why)) => {
                    if let Err(error) = self.begin_anew(why, &mut batch) {
                        return self.is_not_written(batch, &error);
                    }
                }
                Err(NotOpen::NoPlace(error)) => return self.is_not_written(batch, &error),
                Err(NotOpen::Failed(error)) => {
                    if !(is_full(&error) && self.make_room()) {
                        return self.is_not_written(batch, &error);
                    }
                }
            }
        }
        let error = "it cannot be used, however often it is begun anew";
        self.is_not_written(batch, &error);
    }

    /// Sets aside what is there. What rules hold goes into the new one, before what waits.
    fn begin_anew(&mut self, why: SetAsideWhy, batch: &mut Batch) -> io::Result<()> {
        self.opening.connection = None;
        self.opening.is_read = true;
        self.subjects = Subjects::default();
        let Some(place) = &self.opening.place else {
            return Ok(());
        };
        let to = open::set_aside(place.path())?;
        tell_set_aside(&SetAside { to, why });
        self.desk.everything(batch);
        Ok(())
    }

    fn write_once(&mut self, batch: &Batch) -> Result<(), NotOpen> {
        let opening = &mut self.opening;
        let Some(place) = &mut opening.place else {
            return Ok(());
        };
        if opening.connection.is_none() {
            place.hold().map_err(NotOpen::NoPlace)?;
            let connection = open::open(place.path(), opening.settings.lock_wait)?;
            if !std::mem::replace(&mut opening.is_read, true) {
                // It could not be read when we began.
                let opened = open::remembered(&connection).map_err(open::judge)?;
                self.desk.recall(&opened);
            }
            opening.connection = Some(connection);
            self.subjects = Subjects::default();
        }
        let Some(connection) = &mut opening.connection else {
            return Ok(());
        };
        batch::write(connection, &mut self.subjects, batch).map_err(|error| {
            // What it found in the transaction that is undone is not there.
            self.subjects = Subjects::default();
            open::judge(error)
        })
    }

    fn is_not_written(&mut self, batch: Batch, error: &dyn fmt::Display) {
        let pause = match self.try_again {
            None => {
                warn!(%error, "The journal cannot be written. The watching goes on, messages go out, and up to {WAITING} entries wait in memory.");
                AGAIN_FIRST
            }
            Some((_, pause)) => {
                info!(%error, "The journal still cannot be written.");
                (pause * 2).min(AGAIN_LAST)
            }
        };
        self.desk.not_written(batch);
        self.try_again = Some((Instant::now() + pause, pause));
        // Opened anew the next time: a folder may have been mounted over it.
        self.opening.connection = None;
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

const PRUNE_FIRST: Duration = Duration::from_secs(30);
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LAST: Duration = Duration::from_secs(30);
