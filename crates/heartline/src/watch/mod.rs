//! `heartline watch`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use heartline_core::{Cause, LineState};
use heartline_hooks::Hooks;
use heartline_watch::board::{Wish, Wishes};
use heartline_watch::config::ConfigFile;
use heartline_watch::status_socket::{self, Request};
use heartline_watch::{Engine, Plan, Told};
use heartline_web::{Door, Token};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use crate::asked::Asked;
use crate::cli::WatchArgs;
use crate::printer::Printer;
use crate::service::Service;
use crate::words;

use heartbeat::Heartbeat;
use outlets::Outlets;
use reread::Reread;

mod heartbeat;
mod minute;
mod outlets;
mod reread;

/// Runs until told to end.
pub(crate) fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(watch(args))
}

/// The runtime of the foreground: signals, printing, judging. Lines beat on threads of their own.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// SIGINT and SIGTERM.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    /// Listens from now on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns at the first of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn watch(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut pause = signal(SignalKind::user_defined1())?;
    let mut resume = signal(SignalKind::user_defined2())?;
    let asked = Asked::new(args.nodes.clone(), args.flags.clone());
    let asked = asked.beside(args.references.clone());
    let file = asked.file()?;
    let hooks = Hooks::new(&file.hooks)?;
    Heartbeat::check(&file.heartbeat)?;
    let doors = doors(&args, &file)?;
    let plan = tokio::select! {
        plan = asked.lasting_plan(&file) => plan?,
        () = ends.next() => return Ok(ExitCode::SUCCESS),
    };
    let mut printer = Printer::start(args.json)?;
    let mut engine = Engine::start(&plan)?;
    drop(plan);
    let mut outlets = Outlets::start(&args, &file, &hooks, &mut engine)?;
    let mut reread = Reread::new(&asked, &file);
    drop(file);
    let (wishes, mut wished) = Wishes::new();
    let server = outlets.serve(doors, wishes)?;
    let mut sampling = interval(SAMPLING);
    sampling.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut service = Service::start();
    service.ready();
    let coloured = words::is_coloured();
    let end = args.for_.map(|time| Instant::now() + time);
    loop {
        tokio::select! {
            biased;
            () = ends.next() => break,
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => break,
            // Read beside everything else: `ssh -G` may take its time, and nothing else may wait for that.
            _ = hangup.recv() => reread.begin(),
            plan = reread.next() => {
                reload(&mut engine, plan);
                outlets.planned(&engine);
            }
            _ = sampling.tick() => outlets.sample(&engine),
            () = service.due() => service.tick(|| engine.snapshot()),
            _ = pause.recv() => engine.pause(&[], None),
            _ = resume.recv() => engine.resume(&[]),
            Some(wish) = wished.recv() => grant(&mut engine, wish),
            told = engine.next() => {
                service.news();
                let noted = outlets.note(&engine, told);
                let told = &noted.told;
                warn_of_name(told);
                let text = if args.json {
                    serde_json::to_string(told)?
                } else if words::is_worth_telling(told) {
                    words::told(told, coloured)
                } else {
                    continue;
                };
                if printer.line(text).is_err() {
                    break;
                }
            }
        }
    }
    Service::stopping();
    server.stop();
    engine.stop().await;
    outlets.end();
    printer.finish();
    Ok(ExitCode::SUCCESS)
}

/// A name that does not resolve when it is first dialed may be misspelt, or a name server not there yet. Nothing is kept from starting
/// by it; it is said, once.
fn warn_of_name(told: &Told) {
    if let Told::Line(line) = told
        && line.from == LineState::Dialing.word()
        && line.cause == Some(Cause::Dns)
    {
        let detail = line.evidence.detail(Cause::Dns);
        let detail = detail.as_deref().unwrap_or(Cause::Dns.sentence());
        let (node, line) = (words::plain(&line.node), words::plain(&line.line));
        warn!(
            "{node}: {detail}. Check the name, or give an address; {line} is dialed until it resolves."
        );
    }
}

/// Does what somebody wants, and tells them what is known then.
fn grant(engine: &mut Engine, wish: Wish) {
    match &wish.request {
        Request::Status => {}
        Request::Pause { nodes, for_ms } => {
            engine.pause(nodes, for_ms.map(Duration::from_millis));
        }
        Request::Resume { nodes } => engine.resume(nodes),
        Request::Redial { nodes } => engine.redial(nodes),
    }
    // Whoever has not waited for it does not want to know.
    let _ = wish.done.send(engine.snapshot());
}

/// Where a watcher is asked: as given, none for `none`, else its usual place.
pub(crate) fn socket_path(given: Option<&PathBuf>) -> Option<PathBuf> {
    path_or(given, status_socket::asked_path)
}

fn path_or(given: Option<&PathBuf>, usual: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    match given {
        Some(path) if path.as_os_str() == "none" => None,
        Some(path) => Some(path.clone()),
        None => usual(),
    }
}

/// Where others may come in: the Unix socket of this user, and the page's address. The watching goes on without the former; one that was asked for and cannot be had is worth a
/// warning.
fn doors(args: &WatchArgs, file: &ConfigFile) -> anyhow::Result<Vec<Door>> {
    let mut doors = Vec::new();
    let path = path_or(args.socket.as_ref(), status_socket::default_path);
    match path.as_deref().map(Door::unix) {
        Some(Ok(door)) => doors.push(door),
        Some(Err(error)) if args.socket.is_some() => {
            warn!("Nobody can ask this watcher: {error}.");
        }
        Some(Err(error)) => info!("Nobody can ask this watcher: {error}."),
        None => {}
    }
    if let Some(address) = args.listen.or(file.page.listen) {
        let token = args.token_file.as_ref().or(file.page.token_file.as_ref());
        let token = token.map(|path| Token::read(path)).transpose()?;
        let door = Door::tcp(address, token)?;
        if let Some(address) = door.address() {
            words::say(&format!("heartline: the page is at http://{address}/"));
        }
        doors.push(door);
    }
    Ok(doors)
}

/// Goes over to what was read again. A mistake in it changes nothing: the old plan is carried on.
fn reload(engine: &mut Engine, plan: anyhow::Result<Plan>) {
    match plan {
        Ok(plan) => {
            engine.reload(&plan);
            info!(nodes = plan.nodes.len(), "Configuration read again.");
        }
        Err(error) => {
            error!("The configuration was read again and is not used: {error:#}");
        }
    }
}

/// How often numbers are taken.
const SAMPLING: Duration = Duration::from_secs(5);
