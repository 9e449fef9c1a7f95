//! Two hundred cuts at any moment of a run's life, from dialing to closing, in any direction, with any command and any shell:
//! no process of its user is ever left on the node.

mod running;
mod shells;
mod watching;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cable, Direction, Fault, Lab, Node, Part, Signal};
use running::begin_quietly;
use shells::{POSIX, Shell, node_named};
use watching::{CEILING, seed, until};

const FUSE: Duration = Duration::from_secs(2);
const TIMING: &str = "--interval 500ms --count 1 --connect-timeout 2s --fuse 2s";
const CUTS: usize = 200;
/// Two of each shell.
const NODES: usize = 8;
/// A run is up after a third of that, and the short ones are over by its end.
const LIFE: Duration = Duration::from_millis(1_500);

const COMMANDS: [&str; 5] = [
    "exec sleep 1000",
    "trap '' HUP TERM INT; sleep 1000 & (setsid sleep 1001 &); while :; do sleep 1; done",
    "trap '' HUP TERM INT PIPE; while :; do echo it goes on and on; done",
    "sleep .2; (setsid sleep 1000 >/dev/null 2>&1 &); echo over",
    "true",
];

#[derive(Default)]
struct Count {
    /// What was alive when the cut came.
    with_processes: AtomicUsize,
    /// Sessions without anything in them, cut between login and guard: they wait for their sshd.
    bare: AtomicUsize,
    proven: AtomicUsize,
    burnt: AtomicUsize,
}

struct Place {
    shell: &'static Shell,
    name: String,
    node: Node,
    cable: Cable,
}

#[test]
fn two_hundred_cuts_at_any_moment_leave_no_process() -> Result<()> {
    let name = "two_hundred_cuts";
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(());
    };
    let seed = seed()?;
    println!("HEARTLINE_SEED={seed}");
    let mut places = Vec::new();
    for number in 0..NODES {
        let shell = POSIX.get(number % POSIX.len()).context("a shell")?;
        let name = format!("{}{}", shell.name, number / POSIX.len());
        // Who is cut before the login waits no longer than that.
        let Some(node) = node_named(&lab, &name, shell, "LoginGraceTime 10")? else {
            lab::skipped("two_hundred_cuts", shell.program);
            continue;
        };
        let cable = lab.cable(&node)?;
        places.push(Place {
            shell,
            name,
            node,
            cable,
        });
    }
    let count = Count::default();
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(number, place)| {
                let dice = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
                let (lab, count) = (&lab, &count);
                let cuts = CUTS / places.len();
                scope.spawn(move || place.cut_often(lab, cuts, dice, count))
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| anyhow::bail!("a panic"))
        };
        threads.into_iter().map(join).collect()
    });
    let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "{CUTS} cuts, {} with something running there; {} proven dead, {} burnt; {} sessions were still bare",
        of(&count.with_processes),
        of(&count.proven),
        of(&count.burnt),
        of(&count.bare),
    );
    for result in results {
        result?;
    }
    ensure!(
        of(&count.with_processes) > CUTS / 3,
        "the cuts came too early or too late"
    );
    Ok(())
}

impl Place {
    fn cut_often(
        &self,
        lab: &Lab,
        cuts: usize,
        mut dice: fastrand::Rng,
        count: &Count,
    ) -> Result<()> {
        for number in 0..cuts {
            let what = || format!("{}, cut {number}", self.name);
            self.cut(lab, &mut dice, count).with_context(what)?;
        }
        Ok(())
    }

    fn cut(&self, lab: &Lab, dice: &mut fastrand::Rng, count: &Count) -> Result<()> {
        let command = COMMANDS
            .get(dice.usize(..COMMANDS.len()))
            .context("a command")?;
        let ways = [Direction::Both, Direction::ToNode, Direction::ToWatcher];
        let way = *ways.get(dice.usize(..ways.len())).context("a way")?;
        let after = LIFE.mul_f64(dice.f64());
        let (heals, kills) = (dice.f64() < 0.25, dice.f64() < 0.4);
        let words = format!(
            "{command:?} on {}, {way:?} after {after:?}, healed {heals}, killed {kills}",
            self.shell.name
        );

        let running = begin_quietly(lab, &self.name, TIMING, command)?;
        thread::sleep(after);
        let begun = Instant::now();
        self.cable.inject(Fault::Silent(way))?;
        if !self.node.user_processes().is_empty() {
            count.with_processes.fetch_add(1, Ordering::Relaxed);
        }
        if kills {
            running.signal(Signal::SIGKILL)?;
        }
        if heals {
            thread::sleep(FUSE);
            self.cable.heal()?;
        }
        until("no process is left", || {
            Ok(self.node.user_processes().is_empty())
        })
        .with_context(|| format!("{words}: {:?}", self.node.log()))?;
        println!("{words}: clear {:?} after", begun.elapsed());
        if !kills {
            let ended = running.finish(CEILING).with_context(|| words.clone())?;
            let said = |text: &str| ended.stderr.contains(text);
            ensure!(
                ended.code() == Some(255) || ended.code() == Some(0),
                "{words}: {ended:?}"
            );
            if said("proven dead") {
                count.proven.fetch_add(1, Ordering::Relaxed);
            } else if said("cannot be alive") {
                count.burnt.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Who looked whether it was dead is on its way out.
        until("nobody came back", || {
            Ok(self.node.user_processes().is_empty())
        })
        .with_context(|| words.clone())?;
        self.cable.heal()?;
        count
            .bare
            .fetch_add(self.node.kill(Part::User)?, Ordering::Relaxed);
        until("the next may begin", || Ok(self.node.sessions().is_empty()))
    }
}
