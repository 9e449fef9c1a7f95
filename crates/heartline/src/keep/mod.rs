//! `heartline keep`: a session that stays, and what goes through it.
//!
//! The engine of `watch` holds the lines; [`heartline_keep`] serves the forwards. Here is what joins them: which line carries
//! ([`lines`]), what to do when the node says that a port of ours is taken ([`rescue`]), when to give up ([`giving_up`]), and what
//! people, programs and systemd are told ([`tell`]).

mod args;
mod beginning;
mod giving_up;
mod lines;
mod prove;
mod rescue;
mod tell;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use heartline_core::{Cause, NodeState};
use heartline_keep::{BindRules, Rules, Tunnels};
use heartline_ssh::settings::{Flag, Forwarding, Spec};
use heartline_watch::told::LineTold;
use heartline_watch::{Engine, NodePlan, Plan, Told};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::asked::Asked;
use crate::service::Service;
use crate::watch::{Ends, runtime};
use crate::words;
use args::ForwardFlags;
use giving_up::GivingUp;
use lines::Lines;
use prove::Proving;
use rescue::{Rescuer, Wish};
use tell::Teller;

pub(crate) use args::KeepArgs;

/// Runs until told to end, or until there is no sense in it.
pub(crate) fn run(args: KeepArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(keep(args))
}

async fn keep(args: KeepArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    let asked = Asked::new(vec![args.node.node.clone()], args.node.flags.clone()).patient(
        args.staying.keep_alive,
        args.staying.bound.map(|wait| wait.0),
    );
    let Some(plan) = beginning::plan(&asked, &args.staying, &mut ends).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let node = plan.nodes.first().context("no node to hold")?;
    let line = node.lines.first().context("no line to hold")?;
    let forwarding = &line.target.settings().forwarding;
    let specs = specs(&args.forwards, forwarding)?;
    let rules = rules(&args.forwards, forwarding, line.timing.stage_timeout);
    let (rescuer, wishes) = Rescuer::new();
    let (tunnels, unbound) = Tunnels::start(&specs, rules, &rescuer.rescue()).await;
    for one in &unbound {
        let mend = "give it another port, or end what holds it";
        words::complain(&anyhow::anyhow!("{}: {}; {mend}", one.spec, one.why));
    }
    if !unbound.is_empty() && (forwarding.exit_on_failure || unbound.len() == specs.len()) {
        return Ok(ExitCode::from(GAVE_UP));
    }
    let keeper = Keeper {
        engine: Engine::start(&plan)?,
        tunnels,
        lines: Lines::default(),
        giving_up: GivingUp::new(&args.staying, node.lines.len()),
        proving: Proving::new(args.forwards.prove_forwards, rules.patience),
        teller: Teller::start(&args, Arc::clone(&node.name))?,
        service: Service::start(),
        names_sessions: specs.iter().any(|spec| spec.flag() == Flag::Remote),
        exit_on_failure: forwarding.exit_on_failure,
        rescuer,
        retried: Instant::now(),
        plan,
    };
    keeper.run(&mut ends, wishes).await
}

/// All that there is to forward: flags first, then ssh_config's.
fn specs(flags: &ForwardFlags, config: &Forwarding) -> anyhow::Result<Vec<Spec>> {
    let mut specs = Vec::new();
    let given = [
        (Flag::Local, &flags.local),
        (Flag::Remote, &flags.remote),
        (Flag::Dynamic, &flags.dynamic),
    ];
    for (flag, texts) in given {
        for text in texts {
            let letter = flag.letter();
            let spec = Spec::parse(flag, text);
            specs.push(spec.with_context(|| format!("-{letter} {}", words::plain(text)))?);
        }
    }
    for spec in &config.forwards {
        if !specs.contains(spec) {
            specs.push(spec.clone());
        }
    }
    Ok(specs)
}

fn rules(flags: &ForwardFlags, config: &Forwarding, patience: Duration) -> Rules {
    Rules {
        hold: flags.hold,
        patience,
        most: usize::try_from(flags.max_connections).unwrap_or(usize::MAX),
        bind: BindRules {
            gateway_ports: flags.gateway || config.gateway_ports,
            unlink: config.bind_unlink,
            mask: config.bind_mask,
        },
    }
}

/// Everything that is held.
struct Keeper {
    plan: Plan,
    engine: Engine,
    tunnels: Tunnels,
    lines: Lines,
    giving_up: GivingUp,
    proving: Proving,
    teller: Teller,
    service: Service,
    rescuer: Rescuer,
    names_sessions: bool,
    exit_on_failure: bool,
    /// When lines that had given up were last tried again.
    retried: Instant,
}

impl Keeper {
    async fn run(
        mut self,
        ends: &mut Ends,
        mut wishes: tokio::sync::mpsc::Receiver<Wish>,
    ) -> anyhow::Result<ExitCode> {
        let mut now = signal(SignalKind::user_defined1())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gave_up = loop {
            let due = self.giving_up.due();
            tokio::select! {
                biased;
                () = ends.next() => break None,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                _ = now.recv() => self.engine.dial_now(),
                _ = hangup.recv() => self.engine.reload(&self.plan),
                Some(wish) = wishes.recv() => self.grant(wish),
                told = self.engine.next() => self.take_in(&told),
                () = self.tunnels.changed() => {}
                _ = tick.tick() => self.tick(),
            }
            self.show();
            if self
                .giving_up
                .end()
                .is_some_and(|end| Instant::now() >= end)
            {
                break None;
            }
            if let Some(why) = self.giving_up.verdict().or_else(|| self.unmade()) {
                break Some(why);
            }
        };
        Service::stopping();
        drop(self.tunnels);
        self.engine.stop().await;
        self.teller.finish();
        Ok(match gave_up {
            None => ExitCode::SUCCESS,
            Some(why) => {
                words::complain(&anyhow::anyhow!("gave up: {why}"));
                ExitCode::from(GAVE_UP)
            }
        })
    }

    fn node(&self) -> Option<&NodePlan> {
        self.plan.nodes.first()
    }

    fn take_in(&mut self, told: &Told) {
        match told {
            Told::Line(line) => self.take_in_line(line),
            // Whatever it waited for may be over.
            Told::Watcher(watcher) if watcher.cause == Cause::WatcherStalled => {
                self.engine.dial_now();
            }
            _ => {}
        }
        self.teller.told(told);
    }

    fn take_in_line(&mut self, told: &LineTold) {
        let is_up = told.to == "up";
        self.lines.is(&told.line, is_up, told.evidence.ssh.rtt_ms);
        if is_up {
            self.giving_up.stood(&told.line);
            let forwards = self
                .engine
                .with_line(&told.node, &told.line, |session| session.forwards());
            self.rescuer.learn(&told.line, forwards);
        } else if let Some(cause) = told.cause {
            let detail = told.evidence.ssh.detail.as_deref();
            self.giving_up.failed(&told.line, cause, detail);
        }
        self.choose();
    }

    fn choose(&mut self) {
        if !self.lines.choose() {
            return;
        }
        let carrier = self.lines.current().cloned();
        self.teller.carries(carrier.as_ref());
        self.tunnels.carry(carrier.clone());
        if let (Some(carrier), Some(node), true) = (carrier, self.node(), self.names_sessions) {
            let whose = carrier.clone();
            let asked = self
                .engine
                .with_line(&node.name, &carrier.line, move |session| {
                    rescue::name(session, &whose)
                });
            self.rescuer.name(&carrier, asked);
        }
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Stands(line, forwards) => {
                self.lines.stands(&line, forwards);
                self.choose();
            }
            Wish::Rescue(rescue) => {
                let Some(node) = self.node() else { return };
                let whose = rescue.carrier.clone();
                let looking =
                    self.engine
                        .with_line(&node.name, &rescue.carrier.line, move |session| {
                            rescue::inspector(session, &whose)
                        });
                self.rescuer.end_ghosts(rescue, looking);
            }
        }
    }

    fn tick(&mut self) {
        self.choose();
        self.giving_up.dialed_in_vain(self.engine.dialed_in_vain());
        self.service.alive();
        if self.giving_up.tries_again() && self.retried.elapsed() > AGAIN {
            self.retried = Instant::now();
            self.engine.reload(&self.plan);
        }
        self.proving
            .tick(self.lines.current(), &self.tunnels, &mut self.teller);
    }

    fn show(&mut self) {
        let states = self.tunnels.states();
        let state = self.engine.snapshot().into_iter().next();
        let Some(brief) = state else { return };
        let is_up =
            matches!(brief.state, NodeState::Up | NodeState::Degraded(_)) || self.lines.any_is_up();
        let stands = tell::Standing {
            brief: &brief,
            carrier: self.lines.current(),
            forwards: &states,
            is_up,
        };
        self.teller.forwards(&states);
        self.teller.status(&stands);
        self.service.says(&stands.sentence());
        if stands.is_whole() {
            self.service.ready();
        }
    }

    /// Why `ExitOnForwardFailure` ends it, if it does: as with ssh, when forwards are first made.
    fn unmade(&mut self) -> Option<String> {
        let states = self.tunnels.states();
        let all_stand = states
            .iter()
            .all(|state| state.stand == heartline_keep::Stand::Stands);
        // From then on one that fails is tried again and again.
        self.exit_on_failure &= !(all_stand && self.lines.current().is_some());
        if !self.exit_on_failure {
            return None;
        }
        states.iter().find_map(|state| match &state.stand {
            heartline_keep::Stand::Fails(why) => {
                Some(format!("{}: {why} (ExitOnForwardFailure)", state.spec))
            }
            _ => None,
        })
    }
}

/// How often it looks around.
const TICK: Duration = Duration::from_secs(1);
/// Between two tries at what is senseless.
const AGAIN: Duration = Duration::from_mins(5);
/// As ssh, when its connection failed.
const GAVE_UP: u8 = 255;
