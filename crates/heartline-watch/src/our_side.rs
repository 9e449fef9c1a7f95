//! Our own side of every line: interface, address and route, by the kernel's events.
//!
//! One task follows the kernel for all; lines that leave by the same way share what it says.

use std::collections::HashMap;

use heartline_core::LinkEvidence;
use heartline_link::{LinkError, Links, OurSide, Way};
use heartline_ssh::Ends;
use tokio::sync::{mpsc, oneshot, watch};

/// Where lines ask to be told of their own side. Clones are the same; the default tells nobody anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct OurSides(Option<mpsc::Sender<Asked>>);

/// What is told of a way, while somebody holds this.
#[derive(Debug)]
pub(crate) struct Followed(watch::Receiver<Option<LinkEvidence>>);

type Teller = watch::Sender<Option<LinkEvidence>>;

/// Somebody asks to be told.
#[derive(Debug)]
struct Asked {
    way: Way,
    told: Teller,
}

impl OurSides {
    /// Begins to follow the kernel, on the runtime of the caller; and where it is told that this cannot be done.
    pub(crate) fn start() -> (Self, oneshot::Receiver<LinkError>) {
        let (ask, asked) = mpsc::channel(ASKED);
        let (tell, unavailable) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(error) = follow(asked).await {
                let _ = tell.send(error);
            }
        });
        (Self(Some(ask)), unavailable)
    }

    /// What is told of a connection's way from now on; none, where nobody can tell, or too many ask at once.
    pub(crate) fn follow(&self, ends: &Ends) -> Option<Followed> {
        let way = Way {
            peer: ends.peer,
            local: Some(ends.local),
            device: ends.device.clone(),
        };
        let (told, followed) = watch::channel(None);
        self.0.as_ref()?.try_send(Asked { way, told }).ok()?;
        Some(Followed(followed))
    }
}

impl Followed {
    /// The next that is told; none, once nothing more will be.
    pub(crate) async fn changed(&mut self) -> Option<LinkEvidence> {
        loop {
            self.0.changed().await.ok()?;
            let link = self.0.borrow_and_update().clone();
            if link.is_some() {
                return link;
            }
        }
    }
}

/// Until nobody can ask any more; an error, when the kernel cannot be followed.
async fn follow(mut asked: mpsc::Receiver<Asked>) -> Result<(), LinkError> {
    let mut links = Links::start().await?;
    let mut told: HashMap<Way, Vec<Teller>> = HashMap::new();
    let (mut count, mut most) = (0, SWEEP);
    loop {
        tokio::select! {
            ask = asked.recv() => {
                let Some(Asked { way, told: teller }) = ask else {
                    return Ok(());
                };
                if let Some(side) = links.follow(&way) {
                    teller.send_replace(Some(evidence(&side)));
                }
                told.entry(way).or_default().push(teller);
                count += 1;
                if count > most {
                    count = sweep(&mut told, &mut links);
                    most = count * 2 + SWEEP;
                }
            }
            changed = links.changed() => {
                for (way, side) in changed? {
                    for teller in told.get(&way).into_iter().flatten() {
                        teller.send_replace(Some(evidence(&side)));
                    }
                }
            }
        }
    }
}

/// Forgets those who do not listen any more; how many are left.
fn sweep(told: &mut HashMap<Way, Vec<Teller>>, links: &mut Links) -> usize {
    told.retain(|way, tellers| {
        tellers.retain(|teller| !teller.is_closed());
        if tellers.is_empty() {
            links.forget(way);
        }
        !tellers.is_empty()
    });
    told.values().map(Vec::len).sum()
}

fn evidence(side: &OurSide) -> LinkEvidence {
    LinkEvidence {
        interface: side.interface.clone(),
        carrier: side.carrier,
        address: side.address,
        route: side.route,
    }
}

/// Lines that ask at the same time; more are not told of their own side until they dial again.
const ASKED: usize = 16_384;
/// So many that were told may be gone before somebody looks.
const SWEEP: usize = 64;
