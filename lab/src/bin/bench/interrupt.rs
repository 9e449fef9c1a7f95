//! Ctrl-C: noted, and looked at by every wait, so that all that was started is ended by the guards
//! that hold it.
//!
//! By a handler and not by a blocked mask: what is started would inherit that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Starts noting.
pub(crate) fn install() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&ASKED))?;
    }
    Ok(())
}

/// Fails once the bench has been told to end.
pub(crate) fn check() -> Result<()> {
    if ASKED.load(Ordering::Relaxed) {
        bail!("interrupted; everything that was started is ended");
    }
    Ok(())
}

/// Sleeps, unless told to end.
pub(crate) fn sleep(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(SLICE));
    }
}

/// Between two looks; a wake-up of the bench is one more for the machine.
pub(crate) const SLICE: Duration = Duration::from_millis(200);
