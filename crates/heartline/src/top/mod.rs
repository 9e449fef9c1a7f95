//! `heartline top`: what a running watcher knows, live in the terminal.

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use heartline_watch::Snapshot;
use heartline_watch::status_socket::Request;
use heartline_web::client;
use jiff::Timestamp;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::watch::{runtime, socket_path};

use model::{Deed, Key, Model};

mod draw;
mod model;

/// Shows what a running watcher knows, live: sort, filter, details, pause, redial.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TopArgs {
    /// Where the watcher answers [default: as watch]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// What the watcher said; none: it does not answer.
type Answer = Option<Snapshot>;

/// Runs until somebody leaves.
pub(crate) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    if !stdout().is_terminal() {
        bail!("top needs a terminal; use heartline status, or watch --json");
    }
    let Some(path) = socket_path(args.socket.as_ref()) else {
        bail!("no folder for a watcher's socket; name it with --socket");
    };
    let first = runtime()?.block_on(client::get_nodes(&path));
    let first = first.with_context(|| {
        format!("no watcher of this user answers on {}; start heartline watch, or name its socket with --socket", path.display())
    })?;
    let mut model = Model::default();
    model.know(first);
    let (tell, told) = channel();
    let (answer, answers) = sync_channel(1);
    let asker = thread::Builder::new().name("heartline-ask".into());
    asker.spawn(move || ask(&path, &told, &answer))?;
    let mut terminal = ratatui::init();
    let done = show(&mut terminal, &mut model, &tell, &answers);
    ratatui::restore();
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Asks once a second, and at once when something is to be told. Ends with whoever listens.
fn ask(path: &Path, told: &Receiver<Request>, answer: &std::sync::mpsc::SyncSender<Answer>) {
    let Ok(runtime) = runtime() else { return };
    loop {
        let request = match told.recv_timeout(PERIOD) {
            Ok(request) => request,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Request::Status,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        };
        let known = runtime.block_on(client::order(path, &request)).ok();
        if answer.send(known).is_err() {
            return;
        }
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    model: &mut Model,
    tell: &Sender<Request>,
    answers: &Receiver<Answer>,
) -> anyhow::Result<()> {
    loop {
        while let Ok(answer) = answers.try_recv() {
            match answer {
                Some(known) => model.know(known),
                None => model.is_stale = true,
            }
        }
        let frame = terminal.draw(|frame| draw::draw(frame, model, Timestamp::now()))?;
        let page = usize::from(frame.area.height).saturating_sub(draw::AROUND);
        if !event::poll(LOOK)? {
            continue;
        }
        let Event::Key(pressed) = event::read()? else {
            continue;
        };
        if pressed.kind == KeyEventKind::Release {
            continue;
        }
        let deed = match key(pressed) {
            Some(key) => model.press(key, page),
            None if is_end(pressed) => Deed::Leave,
            None => Deed::Nothing,
        };
        match deed {
            Deed::Nothing => {}
            Deed::Leave => return Ok(()),
            Deed::Tell(request) => {
                model.said = draw::told(&request);
                tell.send(request)
                    .context("nobody asks the watcher any more")?;
            }
        }
    }
}

/// Ctrl-C, which a terminal that is read by the key gives as one.
fn is_end(pressed: KeyEvent) -> bool {
    pressed.code == KeyCode::Char('c') && pressed.modifiers.contains(KeyModifiers::CONTROL)
}

fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
    {
        return None;
    }
    Some(match pressed.code {
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Char(c) => Key::Char(c),
        _ => return None,
    })
}

/// How often the watcher is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How often it is looked whether it has answered.
const LOOK: Duration = Duration::from_millis(100);

const HELP: &str = "\
Keys: up, down, j, k, page up and down choose a node; enter shows its lines; s sorts by another column; / filters by name, state,
cause and tag; p pauses the node or resumes it; d dials what is not up now; escape takes back; q leaves.

Exit codes: 0, 2 no terminal, or no watcher answers.

Example:
  heartline top";
