//! A node inside this process: heartline's own SSH endpoint, on a thread that can be stopped as SIGSTOP stops an sshd.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use heartline_serve::{AuthorizedKeys, PublicKey, ServeConfig, Server, host_key};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One node.
pub(super) struct Embedded {
    name: &'static str,
    addr: SocketAddr,
    host_key: String,
    runtime: Handle,
    frozen: Arc<Frozen>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

#[derive(Default)]
struct Frozen {
    is_frozen: Mutex<bool>,
    thawed: Condvar,
}

impl Embedded {
    /// Starts it on a free port of 127.0.0.1; lets in whoever holds `key`.
    pub(super) fn start(name: &'static str, key: PublicKey) -> anyhow::Result<Self> {
        let host_key = host_key::generate()?;
        let public = host_key.public_key().to_openssh().context("host key")?;
        let listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
        let authorized = AuthorizedKeys::from_keys([key]);
        let config = ServeConfig::new(listen, vec![host_key], authorized);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(async {
                let server = match Server::bind(config).await {
                    Ok(server) => server,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let _ = tell.send(Ok(server.local_addrs().first().copied()));
                let end = async {
                    let _ = stopped.await;
                };
                server.run(end).await;
            });
        })?;
        let addr = told
            .recv_timeout(START)
            .context("the node did not start")??;
        let addr = addr.context("no address")?;
        Ok(Self {
            name,
            addr,
            host_key: public,
            runtime: handle,
            frozen: Arc::default(),
            stop,
            thread,
        })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its host key, as known_hosts takes it.
    pub(super) fn known_hosts_line(&self) -> String {
        format!("{} {}\n", self.name, self.host_key.trim_end())
    }

    /// Stops its thread in its tracks. The kernel goes on accepting and acknowledging for it, as for any stopped sshd.
    pub(super) fn freeze(&self) {
        *self.frozen.lock() = true;
        let frozen = Arc::clone(&self.frozen);
        self.runtime.spawn(async move { frozen.wait() });
    }

    /// Lets it run again.
    pub(super) fn thaw(&self) {
        *self.frozen.lock() = false;
        self.frozen.thawed.notify_all();
    }

    /// Ends it.
    pub(super) fn stop(self) {
        self.thaw();
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

impl Frozen {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_frozen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks the thread it is called on, for a minute at most.
    fn wait(&self) {
        let guard = self.lock();
        let thawed = self
            .thawed
            .wait_timeout_while(guard, LONGEST, |frozen| *frozen);
        drop(thawed);
    }
}

const START: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_mins(1);
