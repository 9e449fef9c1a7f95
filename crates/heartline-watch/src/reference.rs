//! References: what answers near us whenever our own side is well. A gateway, a peer.
//!
//! Asked by a TCP connection, and only when all is silent. Any answer will do, a refusal too. It can be forged, so it says nothing of any
//! node; it only tells whose fault a silence is.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use heartline_core::Moment;
use heartline_core::fate::Reference;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// All references, and what was last heard of them.
#[derive(Debug)]
pub(crate) struct References {
    addresses: Vec<SocketAddr>,
    tell: mpsc::Sender<Round>,
    told: mpsc::Receiver<Round>,
    /// When the round began that is under way.
    asking: Option<Moment>,
    last: Option<Round>,
}

/// All of them were asked.
#[derive(Clone, Copy, Debug)]
struct Round {
    begun: Moment,
    answered: bool,
}

impl References {
    /// These, up to [`MOST`].
    pub(crate) fn new(addresses: &[SocketAddr]) -> Self {
        let (tell, told) = mpsc::channel(1);
        Self {
            addresses: addresses.iter().copied().take(MOST).collect(),
            tell,
            told,
            asking: None,
            last: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// What they have said since that moment; asks them, if they were not.
    pub(crate) fn since(&mut self, since: Moment, now: Moment) -> Reference {
        if self.is_empty() {
            return Reference::None;
        }
        if let Ok(round) = self.told.try_recv() {
            self.asking = None;
            self.last = Some(round);
        }
        match self.last.filter(|round| round.begun >= since) {
            Some(round) if round.answered => return Reference::Answers,
            Some(_) => return Reference::Silent,
            None => {}
        }
        if self.asking.is_none() {
            self.asking = Some(now);
            let (addresses, tell) = (self.addresses.clone(), self.tell.clone());
            tokio::spawn(async move {
                let answered = any_answers(&addresses).await;
                let round = Round {
                    begun: now,
                    answered,
                };
                let _ = tell.send(round).await;
            });
        }
        Reference::Asked
    }
}

async fn any_answers(addresses: &[SocketAddr]) -> bool {
    let mut asked: FuturesUnordered<_> = addresses.iter().map(|at| answers(*at)).collect();
    while let Some(answered) = asked.next().await {
        if answered {
            return true;
        }
    }
    false
}

async fn answers(address: SocketAddr) -> bool {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// More would make a crowd.
const MOST: usize = 16;
/// The longest wait for one.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_open_port_and_a_closed_one_answer_and_nobody_else_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert!(answers(open).await);
        drop(listener);
        assert!(answers(open).await);
        // No host of its own: a connection there fails on our side.
        let nobody = "255.255.255.255:9".parse().unwrap();
        assert!(!any_answers(&[nobody]).await);
        assert!(any_answers(&[nobody, open]).await);
    }
}
