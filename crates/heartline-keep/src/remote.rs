//! A forward for which the node listens: `-R`.
//!
//! Another session of ours, of which we know the end and the node does not, may hold the port still. Then whoever has
//! started us is asked to end that one, and it is asked for again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use heartline_ssh::{FarEnd, FarStream, ForwardError, Incoming};
use tokio::io::duplex;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::Rules;
use crate::carrier::{Carrier, Current};
use crate::local::Near;
use crate::socks::{self, Outcome};
use crate::splice::{Halves, splice};
use crate::state::{Place, Stand};
use heartline_ssh::settings::{Aim, Listen, Spec};

/// Ends what holds a port on the node that is ours and that nobody uses; says what it did, if it did anything.
pub type Rescue = Arc<
    dyn Fn(Carrier, Spec) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> + Send + Sync,
>;

/// What serves one.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) spec: Spec,
    pub(crate) rules: Rules,
    pub(crate) current: Current,
    pub(crate) place: Place,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) rescue: Rescue,
}

impl Remote {
    /// For as long as this is not dropped.
    pub(crate) async fn serve(mut self) {
        // One that the node has chosen is asked for again: somebody may have been told of it.
        let mut chosen = 0;
        while let Some(carrier) = self.current.get().await {
            let mut pause = FIRST_PAUSE;
            let mut is_rescued = false;
            loop {
                let at = self.at(chosen);
                let listened = tokio::select! {
                    listened = carrier.forwards.listen(&at, QUEUE, self.rules.patience) => listened,
                    () = self.current.instead_of(carrier.number) => break,
                };
                match listened {
                    Ok(mut listening) => {
                        let port = listening.port();
                        if self.chooses() {
                            chosen = port;
                        }
                        self.place
                            .set(Stand::Stands, self.chooses().then_some(port));
                        loop {
                            tokio::select! {
                                incoming = listening.next() => match incoming {
                                    Some(incoming) => self.take(incoming),
                                    None => break,
                                },
                                () = self.current.instead_of(carrier.number) => break,
                            }
                        }
                        break;
                    }
                    Err(ForwardError::Over) => break,
                    Err(ForwardError::NotListening) if !is_rescued => {
                        is_rescued = true;
                        let rescuing = (self.rescue)(carrier.clone(), self.spec.clone());
                        let done = tokio::select! {
                            done = rescuing => done,
                            () = self.current.instead_of(carrier.number) => break,
                        };
                        if let Some(done) = done {
                            info!("{}: {done}.", self.spec);
                            continue;
                        }
                        chosen = 0;
                        self.place
                            .set(Stand::Fails(ForwardError::NotListening.to_string()), None);
                    }
                    Err(why) => self.place.set(Stand::Fails(why.to_string()), None),
                }
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
                    () = self.current.instead_of(carrier.number) => break,
                }
                // What holds it may have become a ghost meanwhile.
                is_rescued = false;
            }
            self.place.set(Stand::Waits, None);
            // A session that is over is known to be so here before it is known there.
            self.current.instead_of(carrier.number).await;
        }
    }

    fn chooses(&self) -> bool {
        matches!(self.spec.listen, Listen::Tcp { port: 0, .. })
    }

    /// Where the node is to listen, in the words of RFC 4254, section 7.1, as ssh has them (`channel_rfwd_bind_host`).
    fn at(&self, chosen: u16) -> FarEnd {
        match &self.spec.listen {
            Listen::Unix(path) => FarEnd::Unix { path: path.clone() },
            Listen::Tcp { bind, port } => FarEnd::Tcp {
                host: match bind.as_deref() {
                    None => "localhost".to_owned(),
                    Some("*") => String::new(),
                    Some(bind) => bind.to_owned(),
                },
                port: if *port == 0 { chosen } else { *port },
            },
        }
    }

    fn take(&self, incoming: Incoming) {
        let this = self.clone();
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            this.say("too many connections at once");
            // Dropping it is a refusal.
            return;
        };
        tokio::spawn(async move {
            this.carry(incoming).await;
            drop(room);
        });
    }

    async fn carry(&self, incoming: Incoming) {
        match &self.spec.to {
            Aim::End(to) => match near(to, self.rules.patience).await {
                Ok(halves) => {
                    let far = incoming.accept().await;
                    let open = self.place.carries();
                    let done = splice(halves, far).await;
                    drop(open);
                    if let Err(why) = done {
                        self.say(&why.to_string());
                    }
                }
                Err(why) => {
                    self.say(&format!("{to}: {why}"));
                    incoming.refuse().await;
                }
            },
            Aim::Socks => self.socks(incoming.accept().await).await,
        }
    }

    /// Its client is at the far end, and what it asks for is on our side.
    async fn socks(&self, far: FarStream) {
        let (mut client, bridged) = duplex(BRIDGE);
        let (reader, writer) = tokio::io::split(bridged);
        let bridge = tokio::spawn(splice((Box::new(reader), Box::new(writer)), far));
        let _bridge = AbortOnDrop(bridge.abort_handle());
        let asked = match timeout(SOCKS, socks::ask(&mut client)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(error)) => return self.say(&error.to_string()),
            Err(_) => return,
        };
        match near(&asked.to, self.rules.patience).await {
            Ok((mut reader, mut writer)) => {
                let _open = self.place.carries();
                if socks::answer(&mut client, &asked, Outcome::Connected)
                    .await
                    .is_ok()
                {
                    let mut near = tokio::io::join(&mut reader, &mut writer);
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut near).await;
                    // What has gone through is on its way.
                    drop(client);
                    let _ = timeout(SOCKS, bridge).await;
                }
            }
            Err(why) => {
                self.say(&format!("{}: {why}", asked.to));
                let _ = socks::answer(&mut client, &asked, Outcome::Failed).await;
            }
        }
    }

    fn say(&self, why: &str) {
        if self.place.failed(why) {
            warn!("A connection to {} was not carried: {why}.", self.spec);
        }
    }
}

/// Nothing of a task outlives who has started it.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection on our side.
async fn near(to: &FarEnd, patience: Duration) -> Result<Halves, String> {
    let connected = timeout(patience, async {
        match to {
            FarEnd::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                let _ = stream.set_nodelay(true);
                Ok(stream.halves())
            }
            FarEnd::Unix { path } => Ok(UnixStream::connect(path).await?.halves()),
        }
    });
    let connected: Result<std::io::Result<Halves>, _> = connected.await;
    match connected {
        Ok(Ok(halves)) => Ok(halves),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}

/// Connections that wait for us; more are refused.
const QUEUE: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A fuse that has burnt, or a stranger who has gone, is seen so soon.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// For a client of SOCKS to say what it wants.
const SOCKS: Duration = Duration::from_secs(30);
const BRIDGE: usize = 64 << 10;
