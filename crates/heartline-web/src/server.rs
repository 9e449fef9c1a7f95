//! The thread that serves.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tracing::warn;

use crate::accept::Listening;
use crate::access::Gate;
use crate::door::{Door, Kind};
use crate::live::Hub;
use crate::routes;
use crate::uptime::Uptimes;
use crate::watched::Watched;

/// A server that runs. Dropping it stops it, too.
#[derive(Debug)]
pub struct Server {
    end: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    sockets: Vec<PathBuf>,
}

/// Why it does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The system gives no thread, or no events.
    #[error("cannot serve the page: {0}")]
    Start(#[from] io::Error),
}

impl Server {
    /// Serves what is watched through these doors, on a thread of its own.
    pub fn start(doors: Vec<Door>, watched: &Watched) -> Result<Self, ServeError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(READERS)
            .thread_name("heartline-read")
            .build()?;
        let mut sockets = Vec::new();
        for door in &doors {
            if let Kind::Unix { path, .. } = &door.0 {
                sockets.push(path.clone());
            }
        }
        let serving = listen(&runtime, doors, watched)?;
        let (end, told_to_end) = oneshot::channel();
        let (tell, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("heartline-web".into())
            .spawn(move || {
                runtime.block_on(async {
                    serving.run();
                    // An error means that the server was dropped, which is an end as well.
                    let _ = told_to_end.await;
                });
                // Who still reads from a journal is not waited for.
                runtime.shutdown_timeout(GOODBYE);
                let _ = tell.send(());
            })?;
        Ok(Self {
            end: Some(end),
            ended,
            thread: Some(thread),
            sockets,
        })
    }

    /// Ends it: whoever is connected is cut off, and the socket's file is gone. Waits for a second at most.
    pub fn stop(mut self) {
        self.end_now();
    }

    fn end_now(&mut self) {
        for socket in self.sockets.drain(..) {
            let _ = std::fs::remove_file(socket);
        }
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        let Some(thread) = self.thread.take() else {
            return;
        };
        if self.ended.recv_timeout(GOODBYE * 2).is_ok() {
            let _ = thread.join();
        } else {
            warn!("The page's thread did not end in time.");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_now();
    }
}

/// All that runs on the thread.
struct Serving {
    hub: Arc<Hub>,
    uptimes: Arc<Uptimes>,
    listening: Vec<Listening>,
}

impl Serving {
    fn run(self) {
        tokio::spawn(self.hub.run());
        self.uptimes.refresh();
        for listening in self.listening {
            tokio::spawn(listening.run());
        }
    }
}

/// Hands the doors to the runtime, each with its own rights.
fn listen(runtime: &Runtime, doors: Vec<Door>, watched: &Watched) -> io::Result<Serving> {
    let _inside = runtime.enter();
    let hub = Arc::new(Hub::new(watched.board.clone()));
    let journal = watched.journal.as_ref();
    let journal = journal.map(|journal| journal.path().to_owned());
    let uptimes = Arc::new(Uptimes::new(journal));
    let mut listening = Vec::new();
    for door in doors {
        let routes = |gate| routes::all(gate, watched, &hub, &uptimes);
        listening.push(match door.0 {
            Kind::Tcp {
                listener,
                address,
                token,
            } => Listening::Tcp {
                listener: tokio::net::TcpListener::from_std(listener)?,
                routes: routes(Gate::tcp(address, token)),
            },
            Kind::Unix { listener, .. } => Listening::Unix {
                listener: tokio::net::UnixListener::from_std(listener)?,
                routes: routes(Gate::unix()),
            },
        });
    }
    Ok(Serving {
        hub,
        uptimes,
        listening,
    })
}

/// Threads that read the journal at a time.
const READERS: usize = 2;
const GOODBYE: Duration = Duration::from_millis(500);
