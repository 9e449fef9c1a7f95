//! A forward that listens on our side: `-L` and `-D`.
//!
//! A connection that comes while no line is up waits for one. It is never made to believe that it is connected before it is:
//! a client of SOCKS is told, another is reset.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heartline_ssh::{FarEnd, FarStream, ForwardError};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::Rules;
use crate::bind::{Accepted, Listener};
use crate::carrier::Current;
use crate::socks::{self, Outcome};
use crate::splice::{Halves, splice};
use crate::state::Place;
use heartline_ssh::settings::{Aim, Spec};

/// What serves one.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) spec: Spec,
    pub(crate) rules: Rules,
    pub(crate) current: Current,
    pub(crate) place: Place,
    pub(crate) room: Arc<Semaphore>,
}

impl Local {
    /// Takes connections for as long as this is not dropped.
    pub(crate) async fn serve(self, listener: Listener) {
        loop {
            // Who finds no room waits in the kernel's queue.
            let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok(accepted) => {
                    tokio::spawn(self.clone().one(accepted, room));
                }
                Err(error) => {
                    // Out of descriptors, mostly; one that has gone meanwhile is no loss.
                    if !is_the_clients(&error) {
                        if self.place.failed(&error.to_string()) {
                            warn!("No connection can be taken for {}: {error}.", self.spec);
                        }
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn one(mut self, accepted: Accepted, _room: OwnedSemaphorePermit) {
        match accepted {
            Accepted::Tcp(stream, from) => {
                if let Err(stream) = self.carry(stream, Some(from)).await {
                    // A close would look like an answer.
                    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
            }
            Accepted::Unix(stream) => drop(self.carry(stream, None).await),
        }
    }

    /// Until it is over; gives it back, if nothing could be done for it.
    async fn carry<S: Near>(&mut self, mut stream: S, from: Option<SocketAddr>) -> Result<(), S> {
        match self.spec.to.clone() {
            Aim::End(to) => match self.connect(&to, from).await {
                Ok(far) => self.splice(stream, far).await,
                Err(why) => {
                    self.tell(&to, &why);
                    return Err(stream);
                }
            },
            Aim::Socks => {
                let asked = match timeout(SOCKS, socks::ask(&mut stream)).await {
                    Ok(Ok(asked)) => asked,
                    Ok(Err(error)) => {
                        self.say(&error.to_string());
                        return Ok(());
                    }
                    Err(_) => return Ok(()),
                };
                match self.connect(&asked.to, from).await {
                    Ok(far) => {
                        let told = socks::answer(&mut stream, &asked, Outcome::Connected).await;
                        if told.is_ok() {
                            self.splice(stream, far).await;
                        }
                    }
                    Err(why) => {
                        self.tell(&asked.to, &why);
                        let outcome = match why {
                            ForwardError::Prohibited { .. } => Outcome::Prohibited,
                            _ => Outcome::Failed,
                        };
                        let _ = socks::answer(&mut stream, &asked, outcome).await;
                    }
                }
            }
        }
        Ok(())
    }

    async fn splice<S: Near>(&self, stream: S, far: FarStream) {
        let open = self.place.carries();
        let done = splice(stream.halves(), far).await;
        drop(open);
        if let Err(why) = done {
            self.say(&why.to_string());
        }
    }

    /// Over whatever carries now; over another, if that ends in between.
    async fn connect(
        &mut self,
        to: &FarEnd,
        from: Option<SocketAddr>,
    ) -> Result<FarStream, ForwardError> {
        let deadline = Instant::now() + self.rules.hold;
        loop {
            let Some(carrier) = self.current.by(deadline).await else {
                return Err(ForwardError::Over);
            };
            let patience = self.rules.patience;
            let made = tokio::select! {
                made = carrier.forwards.connect(to, from, patience) => made,
                () = self.current.instead_of(carrier.number) => Err(ForwardError::Over),
            };
            match made {
                Err(ForwardError::Over) if Instant::now() < deadline => {
                    // The session's end may be known here before it is known there.
                    sleep(PAUSE.min(self.rules.hold)).await;
                }
                made => return made,
            }
        }
    }

    fn tell(&self, to: &FarEnd, why: &ForwardError) {
        match (why, self.rules.hold) {
            (ForwardError::Over, hold) => self.say(&format!("no line was up within {hold:?}")),
            (why, _) => self.say(&format!("{to}: {why}")),
        }
    }

    fn say(&self, why: &str) {
        if self.place.failed(why) {
            warn!("A connection to {} was not carried: {why}.", self.spec);
        }
    }
}

/// A socket on our side.
pub(crate) trait Near:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static
{
    /// For reading and for writing.
    fn halves(self) -> Halves;
}

impl Near for TcpStream {
    fn halves(self) -> Halves {
        let (reader, writer) = self.into_split();
        (Box::new(reader), Box::new(writer))
    }
}

impl Near for UnixStream {
    fn halves(self) -> Halves {
        let (reader, writer) = self.into_split();
        (Box::new(reader), Box::new(writer))
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// For a client of SOCKS to say what it wants.
const SOCKS: Duration = Duration::from_secs(30);
