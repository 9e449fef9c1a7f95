//! Where our own log goes: standard error, plain sentences.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts it: WARN by default, `-v` INFO, `-vv` DEBUG, `-q` ERROR, `-qq` nothing. `HEARTLINE_LOG` overrides.
pub(crate) fn start(verbosity: i8) {
    let level = match verbosity {
        ..=-2 => LevelFilter::OFF,
        -1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("HEARTLINE_LOG")
        .from_env_lossy();
    // A second start can only be a mistake of ours, and logging is no reason to end.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
}
