//! `heartline demo`: the main job, on loopback, with nothing but this program.
//!
//! Embedded nodes ([`embedded`]), two lines each, every line through a [`relay`] that can be cut and healed. The watcher
//! that sees them is the one `heartline watch` runs.

mod embedded;
mod relay;
mod scene;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use heartline_core::Cause;
use heartline_watch::Told;
use serde::Serialize;

use crate::watch::runtime;
use crate::words::is_coloured;
use relay::Direction;
use scene::{COUNT, INTERVAL, Scene, Seen};

/// Starts two nodes with two lines each inside this program, cuts, half-opens, freezes and heals them, and shows each
/// verdict, its cause, how long it took, and the bound. Needs no root, no network and no ssh.
#[derive(Clone, Copy, Debug, Args)]
#[command(
    after_help = "Takes under a minute.\n\nExit codes: 0 everything was seen as it should be, 1 it was not."
)]
pub(crate) struct DemoArgs {
    /// Print one JSON object a step
    #[arg(long)]
    json: bool,
}

/// One thing that is done, and what must be seen for it.
struct Step {
    done: &'static str,
    what: fn(&mut Scene),
    /// Node or line (`node/line`), state, cause.
    wanted: &'static [(&'static str, &'static str, Option<Cause>)],
    /// Whether the bound holds for it: for what goes down.
    is_bounded: bool,
}

const STEPS: &[Step] = &[
    Step {
        done: "start both nodes",
        what: |_| {},
        // A node is up as soon as one line is; what is pulled next must not be dialing still.
        wanted: &[
            ("alpha", "up", None),
            ("alpha/east", "up", None),
            ("alpha/west", "up", None),
            ("beta", "up", None),
            ("beta/east", "up", None),
            ("beta/west", "up", None),
        ],
        is_bounded: false,
    },
    Step {
        done: "pull one cable of alpha",
        what: |scene| scene.alpha[0].cut(),
        wanted: &[
            ("alpha/east", "down", Some(Cause::Silent)),
            ("alpha", "degraded", Some(Cause::Silent)),
        ],
        is_bounded: true,
    },
    Step {
        done: "pull the other too",
        what: |scene| scene.alpha[1].cut(),
        wanted: &[
            ("alpha/west", "down", Some(Cause::Silent)),
            ("alpha", "down", Some(Cause::Silent)),
        ],
        is_bounded: true,
    },
    Step {
        done: "plug both in again",
        what: |scene| scene.alpha.iter().for_each(relay::Relay::heal),
        wanted: &[("alpha", "up", None)],
        is_bounded: false,
    },
    Step {
        done: "freeze the sshd of beta",
        what: |scene| scene.beta_node.freeze(),
        wanted: &[("beta", "down", Some(Cause::SshdHung))],
        is_bounded: true,
    },
    Step {
        done: "let it run again",
        what: |scene| scene.beta_node.thaw(),
        wanted: &[("beta", "up", None)],
        is_bounded: false,
    },
    Step {
        done: "half-open one line of beta: nothing gets there, all comes back",
        what: |scene| scene.beta[0].half_open(Direction::ToNode),
        wanted: &[
            ("beta/east", "down", Some(Cause::Silent)),
            ("beta", "degraded", Some(Cause::Silent)),
        ],
        is_bounded: true,
    },
    Step {
        done: "heal it",
        what: |scene| scene.beta[0].heal(),
        wanted: &[("beta", "up", None)],
        is_bounded: false,
    },
    Step {
        done: "reset both connections of alpha, refuse new ones",
        what: |scene| {
            for cable in &scene.alpha {
                cable.refuse();
                cable.reset();
            }
        },
        // Whether it is down for this or for the next dial depends on which line is dialed first.
        wanted: &[
            ("alpha", "suspect", Some(Cause::Reset)),
            ("alpha", "down", None),
        ],
        is_bounded: true,
    },
    Step {
        done: "(and the next dial)",
        what: |_| {},
        wanted: &[("alpha", "down", Some(Cause::Refused))],
        is_bounded: false,
    },
    Step {
        done: "listen again",
        what: |scene| scene.alpha.iter().for_each(relay::Relay::heal),
        wanted: &[("alpha", "up", None)],
        is_bounded: false,
    },
];

/// Runs every step.
pub(crate) fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(demo(args.json))
}

async fn demo(json: bool) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let mut scene = Scene::start().await?;
    let bound = INTERVAL * (COUNT + 1);
    if !json {
        println!(
            "Two nodes, two lines each, a beat every {INTERVAL:?}; the bound is {bound:?} after the last sign of life.\n"
        );
    }
    let mut missed = 0;
    for step in STEPS {
        let acted = Instant::now();
        (step.what)(&mut scene);
        for (who, state, cause) in step.wanted {
            let seen = scene.see(who, state, *cause, acted + PATIENCE).await;
            let row = Row::new(step, who, state, *cause, acted, bound, seen.as_ref());
            missed += usize::from(!row.ok);
            if json {
                println!("{}", serde_json::to_string(&row)?);
            } else {
                row.print(is_coloured());
            }
        }
    }
    scene.end().await;
    if !json {
        let all: usize = STEPS.iter().map(|step| step.wanted.len()).sum();
        println!(
            "\n{} of {all} seen as they should be, in {:.0} s.",
            all - missed,
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(ExitCode::from(u8::from(missed > 0)))
}

/// One row of what is printed.
#[derive(Serialize)]
struct Row<'a> {
    step: &'a str,
    who: &'a str,
    state: &'a str,
    cause: Option<Cause>,
    /// From the last sign of life to the verdict.
    after_ms: Option<u64>,
    /// From the act to the verdict.
    took_ms: Option<u64>,
    /// What `after_ms` may be at most.
    bound_ms: Option<u64>,
    ok: bool,
}

impl<'a> Row<'a> {
    fn new(
        step: &'a Step,
        who: &'a str,
        state: &'a str,
        cause: Option<Cause>,
        acted: Instant,
        bound: Duration,
        seen: Option<&Seen>,
    ) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let after_ms = seen.and_then(|seen| seen.after_ms);
        let bound_ms = step.is_bounded.then(|| ms(bound));
        let in_bound = match (bound_ms, after_ms) {
            (Some(bound), Some(after)) => after <= bound + ms(SCHEDULING),
            (Some(_), None) => false,
            (None, _) => true,
        };
        Self {
            step: step.done,
            who,
            state,
            cause,
            after_ms: after_ms.filter(|_| step.is_bounded),
            took_ms: seen.map(|seen| ms(seen.at.saturating_duration_since(acted))),
            bound_ms,
            ok: seen.is_some() && in_bound,
        }
    }

    fn print(&self, coloured: bool) {
        let cause = self
            .cause
            .map_or_else(String::new, |cause| format!("({cause})"));
        let time = match (self.after_ms, self.bound_ms, self.took_ms) {
            (Some(after), Some(bound), _) => {
                format!("{after} ms after its last sign of life, bound {bound} ms")
            }
            (_, _, Some(took)) => format!("{took} ms later"),
            _ => "not seen".to_owned(),
        };
        let (ok, colour) = if self.ok {
            ("ok", "32")
        } else {
            ("MISSED", "1;31")
        };
        let ok = if coloured {
            format!("\x1b[{colour}m{ok}\x1b[0m")
        } else {
            ok.to_owned()
        };
        println!(
            "{:<62} {:<11} {:<9}{:<13} {time}  {ok}",
            self.step, self.who, self.state, cause
        );
    }
}

/// What of an event concerns us: who, state, cause, time.
fn of(told: &Told) -> Option<(String, &'static str, Option<Cause>, Option<u64>)> {
    match told {
        Told::Node(node) => Some((node.node.to_string(), node.to, node.cause, node.after_ms)),
        Told::Line(line) => {
            let who = format!("{}/{}", line.node, line.line);
            Some((who, line.to, line.cause, line.after_ms))
        }
        _ => None,
    }
}

/// The longest wait for one verdict: a healed line is dialed again within its backoff's cap and TCP's own.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a busy machine may add to the bound.
const SCHEDULING: Duration = Duration::from_millis(100);
