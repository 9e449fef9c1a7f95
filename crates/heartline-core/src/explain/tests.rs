//! Everything that was measured, held against the engine; and what must hold for any settings.

mod channels;
mod client_loop;
mod lints;
mod others;
mod path;
mod properties;
mod ssh;
mod sshd;
mod tcp;

use std::time::Duration;

use super::*;

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// How far a single measured row may lie beside the rule: jitter of the measurement.
const SLACK: Duration = Duration::from_millis(250);

fn client(interval: u32, count: u32) -> Scene {
    of("OpenSSH_9.2p1", Side::Client, interval, count)
}

fn server(banner: &str, interval: u32, count: u32) -> Scene {
    of(banner, Side::Server, interval, count)
}

fn of(banner: &str, side: Side, interval: u32, count: u32) -> Scene {
    let mut scene = Scene::new(side, Software::from_banner(banner, side));
    scene.interval = Some(interval);
    scene.count = count;
    scene
}

fn with(mut scene: Scene, change: impl FnOnce(&mut Scene)) -> Scene {
    change(&mut scene);
    scene
}

/// All these were measured from the fault to the end.
#[track_caller]
fn after_fault(scene: &Scene, measured: &[f64]) {
    let ending = explain(scene).ending;
    let ending = ending.unwrap_or_else(|| panic!("never, but measured {measured:?}: {scene:?}"));
    for seconds in measured {
        let span = ending.after_fault;
        assert!(
            span.holds(s(*seconds), SLACK),
            "{seconds} is not in {span:?}"
        );
    }
}

/// All these were measured from the last data received to the end.
#[track_caller]
fn after_data(scene: &Scene, measured: &[f64]) {
    let ending = explain(scene).ending;
    let ending = ending.unwrap_or_else(|| panic!("never, but measured {measured:?}: {scene:?}"));
    for seconds in measured {
        let span = ending.after_last_data;
        assert!(
            span.holds(s(*seconds), SLACK),
            "{seconds} is not in {span:?}"
        );
    }
}

/// It was still there when nobody looked any more, after so long.
#[track_caller]
fn stays(scene: &Scene, seconds: f64) {
    if let Some(ending) = explain(scene).ending {
        let least = ending.after_fault.min();
        assert!(
            least + SLACK >= s(seconds),
            "ends after {least:?}: {scene:?}"
        );
    }
}

/// The window is no wider than the rule has it.
#[track_caller]
fn window(scene: &Scene, fault: (f64, f64), data: (f64, f64)) {
    let ending = explain(scene).ending.expect("it ends");
    assert_eq!(ending.after_fault, Span::new(s(fault.0), s(fault.1)));
    assert_eq!(ending.after_last_data, Span::new(s(data.0), s(data.1)));
}
