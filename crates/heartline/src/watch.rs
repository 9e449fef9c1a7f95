//! `heartline watch`.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use heartline_core::{Cause, LineState};
use heartline_watch::status_socket::{self, Asker, Request, StatusSocket};
use heartline_watch::{Engine, Plan, Told};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::asked::Asked;
use crate::cli::WatchArgs;
use crate::printer::Printer;
use crate::words;

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
    let asked = Asked::new(args.nodes, args.flags).beside(args.references);
    let file = asked.file()?;
    let plan = tokio::select! {
        plan = asked.lasting_plan(&file) => plan?,
        () = ends.next() => return Ok(ExitCode::SUCCESS),
    };
    let mut printer = Printer::start(args.json)?;
    let mut engine = Engine::start(&plan)?;
    drop(plan);
    let mut rereading: Option<Rereading<'_>> = None;
    let socket = listen(args.socket.as_ref()).await;
    let coloured = words::is_coloured();
    let end = args.for_.map(|time| Instant::now() + time);
    loop {
        tokio::select! {
            biased;
            () = ends.next() => break,
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => break,
            // Read beside everything else: `ssh -G` may take its time, and nothing else may wait for that.
            _ = hangup.recv() => rereading = Some(Box::pin(async { asked.lasting_plan(&asked.file()?).await })),
            plan = reread(&mut rereading) => reload(&mut engine, plan),
            _ = pause.recv() => engine.pause(&[], None),
            _ = resume.recv() => engine.resume(&[]),
            asker = asked_on(socket.as_ref()) => {
                if let Some(socket) = &socket {
                    obey(&mut engine, &asker.request);
                    socket.answer(asker, &engine.snapshot());
                }
            }
            told = engine.next() => {
                warn_of_name(&told);
                let text = if args.json {
                    serde_json::to_string(&told)?
                } else if words::is_worth_telling(&told) {
                    words::told(&told, coloured)
                } else {
                    continue;
                };
                if printer.line(text).is_err() {
                    break;
                }
            }
        }
    }
    engine.stop().await;
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

/// Does what is asked for, beside telling what is known.
fn obey(engine: &mut Engine, request: &Request) {
    match request {
        Request::Status => {}
        Request::Pause { nodes, for_ms } => {
            engine.pause(nodes, for_ms.map(Duration::from_millis));
        }
        Request::Resume { nodes } => engine.resume(nodes),
        Request::Redial { nodes } => engine.redial(nodes),
    }
}

/// Where the status socket is: as given, none for `none`, else its usual place.
pub(crate) fn socket_path(given: Option<&PathBuf>) -> Option<PathBuf> {
    match given {
        Some(path) if path.as_os_str() == "none" => None,
        Some(path) => Some(path.clone()),
        None => status_socket::default_path(),
    }
}

/// The watching goes on without a socket; one that was asked for and cannot be had is worth a warning.
async fn listen(given: Option<&PathBuf>) -> Option<StatusSocket> {
    let path = socket_path(given)?;
    match StatusSocket::listen(&path).await {
        Ok(socket) => Some(socket),
        Err(error) if given.is_some() => {
            warn!("Nobody can ask this watcher: {error}.");
            None
        }
        Err(error) => {
            info!("Nobody can ask this watcher: {error}.");
            None
        }
    }
}

async fn asked_on(socket: Option<&StatusSocket>) -> Asker {
    match socket {
        Some(socket) => socket.asked().await,
        None => std::future::pending().await,
    }
}

type Rereading<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Plan>> + 'a>>;

/// The plan that is being read again; never, while none is.
async fn reread(rereading: &mut Option<Rereading<'_>>) -> anyhow::Result<Plan> {
    let Some(reading) = rereading else {
        return std::future::pending().await;
    };
    let plan = reading.await;
    *rereading = None;
    plan
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
