//! A watcher of ways on a machine of the lab, and what it was told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use heartline_link::{Links, OurSide, Way};
use lab::{Cable, End, Finished, Host, Running};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Generous: a loaded machine is no failure.
pub(crate) const CEILING: Duration = Duration::from_secs(20);

/// A watcher of ways, and what it was told: last of each, and all of it.
pub(crate) struct Told {
    pub(crate) links: Links,
    pub(crate) sides: HashMap<Way, OurSide>,
    pub(crate) all: Vec<OurSide>,
}

impl Told {
    pub(crate) async fn start() -> Self {
        let begun = Instant::now();
        let links = Links::start().await.unwrap();
        println!("started in {:?}", begun.elapsed());
        Self {
            links,
            sides: HashMap::new(),
            all: Vec::new(),
        }
    }

    /// Follows ways, until each is known.
    pub(crate) async fn follow(&mut self, ways: &[Way]) {
        for way in ways {
            self.links.follow(way);
        }
        let begun = Instant::now();
        self.until("known", |sides| {
            ways.iter().all(|way| sides.contains_key(way))
        })
        .await;
        println!("{} ways known after {:?}", ways.len(), begun.elapsed());
    }

    /// Waits until all that was told is so; when it was.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&HashMap<Way, OurSide>) -> bool,
    ) -> Instant {
        let begun = Instant::now();
        while !holds(&self.sides) {
            let left = CEILING.saturating_sub(begun.elapsed());
            let Ok(changed) = timeout(left, self.links.changed()).await else {
                panic!("not within {CEILING:?}: {what}: {:#?}", self.sides);
            };
            for (way, side) in changed.unwrap() {
                self.all.push(side.clone());
                self.sides.insert(way, side);
            }
        }
        Instant::now()
    }

    /// Does something to the network, and waits until it is told; prints how long that took.
    pub(crate) async fn after<T: Send + 'static>(
        &mut self,
        what: &str,
        act: impl FnOnce() -> T + Send + 'static,
        holds: impl Fn(&HashMap<Way, OurSide>) -> bool,
    ) -> T {
        let begun = Instant::now();
        let acting = spawn_blocking(move || (act(), Instant::now()));
        let told = self.until(what, holds).await;
        let (done, complete) = acting.await.unwrap();
        let late = told.saturating_duration_since(complete);
        println!(
            "{what}: told {:?} after the tool began, {late:?} after it ended",
            told - begun
        );
        done
    }
}

/// Runs this on the machine that watches.
pub(crate) fn on<T: Send>(host: &Host, work: impl AsyncFnOnce() -> T + Send) -> T {
    host.enter(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work())
    })
    .unwrap()
}

pub(crate) fn way(peer: IpAddr, local: Option<IpAddr>, device: Option<&str>) -> Way {
    Way {
        peer,
        local,
        device: device.map(str::to_owned),
    }
}

/// The ways over a cable: free, from an address, through a device; of both families.
pub(crate) fn ways(cable: &Cable) -> Vec<Way> {
    let plug = cable.end(End::Watcher);
    let mut all = Vec::new();
    for peer in cable.addresses() {
        let local = match peer {
            IpAddr::V4(_) => plug.v4.into(),
            IpAddr::V6(_) => plug.v6.unwrap().into(),
        };
        all.push(way(peer, None, None));
        all.push(way(peer, Some(local), None));
        all.push(way(peer, Some(local), Some(&plug.ifname)));
    }
    all
}

pub(crate) fn ip(words: &str) -> Finished {
    let mut command = Command::new("ip");
    command.args(words.split(' ')).stdin(Stdio::null());
    let finished = Running::spawn(command).unwrap().finish(CEILING).unwrap();
    finished.success().unwrap()
}
