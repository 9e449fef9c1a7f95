//! A session of a row: its programs on both sides, from the login on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use heartline_core::explain::Side;
use lab::hostile::StepRelay;
use lab::{Line, Pid, Running};

use super::CEILING;
use super::bench::{BETWEEN_LOGINS, Bench, Place};
use super::row::{Client, Happens, Remote, Row};

/// The programs of one session.
pub(crate) struct Session {
    client: Running,
    /// Held for its end.
    _master: Option<Running>,
    relay: Option<StepRelay>,
    /// The remote command.
    pub(crate) command: Option<Pid>,
    /// The process that holds the server's side of the connection, and the one behind it.
    pub(crate) server: Vec<Pid>,
    /// When the last data in a channel came, or the login stood still.
    pub(crate) ready: Instant,
    writes_at: Option<Instant>,
}

impl Session {
    /// Logs in, or comes to where the login stands still.
    pub(crate) fn start(row: &Row, place: &Place, bench: &Bench) -> Result<Self> {
        let turn = bench.login_turn();
        let master = start_master(row, place, bench)?;
        let relay = start_relay(row, place)?;
        let mut command = bench.client(row, place, relay.as_ref().map(|relay| relay.addr().port()));
        if row.master.is_some() {
            command.args(["-o", &format!("ControlPath={}", bench.control_path(place))]);
        }
        match row.remote {
            None => command.arg("-N"),
            Some(remote) => command.arg(remote.script()),
        };
        let mut session = Self {
            client: Running::spawn(command)?,
            _master: master,
            relay,
            command: None,
            server: Vec::new(),
            ready: Instant::now(),
            writes_at: None,
        };
        if let Some(relay) = &session.relay {
            let visits = relay.wait_until_at_step(1, CEILING)?;
            let at = visits.first().and_then(|visit| visit.at_step);
            session.ready = at.context("no step")?;
        } else if row.remote.is_none() {
            let is_in = |line: &Line| line.text.starts_with("Authenticated to");
            session.ready = session.client.wait_for("login", CEILING, is_in)?.at;
        } else {
            session.read_pids(row, bench)?;
        }
        session.writes_at = row.client_writes.then(|| session.ready + WRITES_EVERY);
        std::thread::sleep(BETWEEN_LOGINS);
        drop(turn);
        Ok(session)
    }

    /// Lets time pass, the client writing as the row has it, until then or until something holds.
    pub(crate) fn live(&mut self, until: Instant, mut done: impl FnMut(&Self) -> bool) {
        while Instant::now() < until && !done(self) {
            if self.writes_at.is_some_and(|at| at <= Instant::now()) {
                // Once it has ended there is nobody to write to.
                let _ = self.client.write_stdin("x\n");
                self.writes_at = self.writes_at.map(|at| at + WRITES_EVERY);
            }
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    pub(crate) fn client(&self) -> &Running {
        &self.client
    }

    /// Whether that side is gone.
    pub(crate) fn is_gone(&self, side: Side, bench: &Bench) -> bool {
        match side {
            Side::Server => bench.watchman.ended(&self.server).is_some(),
            Side::Client => !self.client.is_alive(),
        }
    }

    /// When that side was gone.
    pub(crate) fn ended(&mut self, side: Side, bench: &Bench) -> Option<Instant> {
        match side {
            Side::Server => bench.watchman.ended(&self.server),
            Side::Client => {
                let ended = self.client.wait(Duration::ZERO);
                ended.ok().map(|ended| ended.at)
            }
        }
    }

    /// The exit code of the client, which has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let ended = self.client.wait(Duration::ZERO);
        ended.ok().and_then(|ended| ended.status.code())
    }

    /// What the client said last.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.client.lines();
        let words = lines.iter().rev().take(3).map(|line| {
            let start: String = line.text.trim_end().chars().take(80).collect();
            start.escape_debug().to_string()
        });
        words.collect::<Vec<_>>().join(" | ")
    }

    /// A client that gives up at its first probe may do so at the next whole second, before the remote command has said
    /// a word: when the last data came that it told of before.
    fn gave_up_at_once(&self, row: &Row) -> Option<Instant> {
        let gives_up = row.judged.iter().all(|judged| judged.side == Side::Client);
        let lines = self.client.lines();
        let [.., before, last] = &lines[..] else {
            return None;
        };
        let is_in = |line: &Line| line.text.contains("Entering interactive session");
        let timed_out = last.text.starts_with("Timeout, server ");
        (gives_up && timed_out && lines.iter().any(is_in)).then_some(before.at)
    }

    /// The remote command's first line has its own process id and that of the process above it.
    fn read_pids(&mut self, row: &Row, bench: &Bench) -> Result<()> {
        let is_ready = |line: &Line| line.text.starts_with("ready ");
        let line = match self.client.wait_for("session", CEILING, is_ready) {
            Ok(line) => line,
            Err(why) => {
                self.ready = self.gave_up_at_once(row).ok_or(why)?;
                return Ok(());
            }
        };
        self.ready = line.at;
        let pids: Vec<i32> = line.text.split(' ').skip(1).flat_map(str::parse).collect();
        let [own, parent] = pids[..] else {
            bail!("no process ids in {:?}", line.text)
        };
        self.command = Some(Pid::from_raw(own));
        self.server = vec![Pid::from_raw(parent)];
        let is_sshd = matches!(row.server, super::row::Server::Sshd(_));
        if is_sshd {
            let monitor = parent_of(Path::new(&format!("/proc/{parent}/status")))?;
            ensure!(monitor.as_raw() > 1, "sshd has no monitor");
            self.server.push(monitor);
        }
        for pid in &self.server {
            bench.watchman.add(*pid)?;
        }
        Ok(())
    }
}

impl Remote {
    /// What the shell there is given.
    fn script(self) -> String {
        let then = match self {
            Self::Listens => "exec cat >/dev/null".to_owned(),
            Self::Writes(every) => format!("while sleep {every}; do echo output; done"),
            // In the background, so that the pauses are not longer by what writing takes.
            Self::Floods => "while sleep 0.1; do head -c 180000 /dev/zero & done".to_owned(),
        };
        format!("echo ready $$ $PPID; {then}")
    }
}

fn start_master(row: &Row, place: &Place, bench: &Bench) -> Result<Option<Running>> {
    let Some(options) = &row.master else {
        return Ok(None);
    };
    let mut row = row.clone();
    row.client = Client::Ssh(options.clone());
    let path = bench.control_path(place);
    let _ = fs::remove_file(&path);
    let mut command = bench.client(&row, place, None);
    command.args(["-M", "-N", "-o", &format!("ControlPath={path}")]);
    let master = Running::spawn(command)?;
    let deadline = Instant::now() + CEILING;
    while !Path::new(&path).exists() {
        ensure!(Instant::now() < deadline, "no master: {:?}", master.lines());
        std::thread::sleep(TICK);
    }
    Ok(Some(master))
}

/// Between the client and sshd, on the client's machine, where a login stands still.
fn start_relay(row: &Row, place: &Place) -> Result<Option<StepRelay>> {
    let Happens::LoginStalls(step) = row.happens else {
        return Ok(None);
    };
    let target = (place.cable.v4(), place.port).into();
    let start = || StepRelay::start(target, Some(step));
    place.client_host().enter(start)?.map(Some)
}

fn parent_of(status: &Path) -> Result<Pid> {
    let text = fs::read_to_string(status)?;
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(Pid::from_raw(line.context("no parent")?.trim().parse()?))
}

/// How often a client writes that writes.
const WRITES_EVERY: Duration = Duration::from_millis(500);
/// Finer than this nothing here is timed: ends are noted elsewhere, at the moment they come.
const TICK: Duration = Duration::from_millis(20);
