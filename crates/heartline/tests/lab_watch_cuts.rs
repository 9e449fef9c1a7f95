//! Fifty cuts at random phases of the beat, every one within the bound: by the event's own count from the last sign of
//! life, and by the clock on the wall from when the cut was made.

mod watching;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Cable, Direction, Fault, Lab, Span, heal_all};
use watching::{Watch, config_file, go_first, seed};

const NODES: usize = 5;
const ROUNDS: usize = 10;
const INTERVAL: Duration = Duration::from_millis(300);
/// With a count of 1.
const BOUND: Duration = Duration::from_millis(600);

/// `HEARTLINE_SEED` repeats a run.
#[test]
fn fifty_cuts_at_random_phases_are_all_seen_within_the_bound() -> Result<()> {
    let Some(lab) = Lab::or_skip("fifty_cuts") else {
        return Ok(());
    };
    go_first()?;
    let seed = seed()?;
    println!("HEARTLINE_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);

    let mut cables = Vec::new();
    let mut config = String::from(
        "[defaults]\ninterval = \"300ms\"\ncount = 1\nconnect_timeout = \"1s\"\ndetector = \"openssh\"\n",
    );
    // All of them may fall together: what answers meanwhile says that it is they, and not the watcher.
    let gateway = lab.cable(&lab.node("gateway")?)?.v4();
    config.insert_str(0, &format!("reference = [\"{gateway}\"]\n"));
    for number in 1..=NODES {
        let name = format!("db{number}");
        cables.push(lab.cable(&lab.node(&name)?)?);
        config.extend(["[[node]]\nname = \"", &name, "\"\n"]);
    }
    std::fs::write(config_file(&lab), config)?;
    let mut watch = Watch::start(&lab, "")?;
    let mut latest = Duration::ZERO;
    for round in 0..ROUNDS {
        let name = |at: usize| format!("db{}", at + 1);
        for at in 0..NODES {
            watch.node(&name(at), "up")?;
        }
        // Some beats in health, so that no phase is that of the login.
        watch.told_within(INTERVAL * 2)?;
        watch.forget()?;
        for (at, fault) in cut_at_random(&cables, &mut dice)? {
            let down = watch.node(&name(at), "down")?;
            down.is_at_bound(BOUND, fault)
                .with_context(|| format!("round {round}, {}", name(at)))?;
            assert_eq!(down.text("cause"), "silent", "{}", down.json);
            latest = latest.max(down.after()?);
        }
        watch.forget()?;
        heal_all(&cables.iter().collect::<Vec<_>>())?;
        // Not to wait out each line's backoff.
        watch.hang_up()?;
    }
    println!("the latest came after {latest:?} of {BOUND:?}");
    Ok(())
}

/// Cuts every cable, each at a moment of its own within one interval.
fn cut_at_random(cables: &[Cable], dice: &mut fastrand::Rng) -> Result<Vec<(usize, Span)>> {
    let begun = Instant::now();
    let phase = |(at, cable)| (INTERVAL.mul_f64(dice.f64()), at, cable);
    let mut phases: Vec<_> = cables.iter().enumerate().map(phase).collect();
    phases.sort_unstable_by_key(|(phase, ..)| *phase);
    let cut = |(phase, at, cable): (Duration, usize, &Cable)| {
        std::thread::sleep((begun + phase).saturating_duration_since(Instant::now()));
        let fault = cable.inject(Fault::Silent(Direction::Both))?;
        Ok((at, fault))
    };
    phases.into_iter().map(cut).collect()
}
