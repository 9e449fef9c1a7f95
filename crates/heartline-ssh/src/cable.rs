//! A cable inside this process, below one SSH connection, which can be cut as a line is: silently.
//!
//! A relay passes bytes between a session and what carries them. Once it is cut it passes none any more in that direction, and
//! closes nothing: the far socket stays open until the cable is dropped, also when our end of the session is long gone. So the
//! node sees what it would see of a line that was cut, but for its TCP, whose kernel at our end still acknowledges.

use std::io;
use std::sync::Arc;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex,
    split,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::arrival::Arrival;

/// See the module. It is laid by [`Dialer::dial_over`](crate::Dialer::dial_over), below one connection.
#[derive(Debug)]
pub struct Cable {
    cut: watch::Sender<Cut>,
    ended: Arc<watch::Sender<Option<Instant>>>,
}

/// In which direction bytes stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both.
    Both,
    /// What we send.
    ToNode,
    /// What the node sends.
    ToUs,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    to_node: bool,
    to_us: bool,
}

impl Cable {
    /// One that is whole.
    pub fn new() -> Self {
        Self {
            cut: watch::Sender::default(),
            ended: Arc::default(),
        }
    }

    /// Cuts it, for good.
    pub fn cut(&self, way: Way) {
        self.cut.send_modify(|cut| {
            cut.to_node |= way != Way::ToUs;
            cut.to_us |= way != Way::ToNode;
        });
    }

    /// When the node has closed its end of the connection, or it was reset; waits for that. Never, before it is laid.
    pub async fn ended(&self) -> Instant {
        let mut ended = self.ended.subscribe();
        loop {
            if let Some(at) = *ended.borrow_and_update() {
                return at;
            }
            // It never fails: we hold the sender.
            let _ = ended.changed().await;
        }
    }

    /// The same, if it has happened.
    pub fn has_ended(&self) -> Option<Instant> {
        *self.ended.borrow()
    }

    /// Lays it to what carries the bytes: our end of it.
    pub(crate) fn lay<T>(&self, far: T) -> DuplexStream
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (ours, relay) = duplex(PIECE);
        let (from_us, to_us) = split(relay);
        let (from_node, to_node) = split(far);
        let up = pass_up(from_us, to_node, self.cut.subscribe());
        let down = pass_down(
            from_node,
            to_us,
            self.cut.subscribe(),
            Arc::clone(&self.ended),
        );
        let mut whole = self.cut.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                _ = async { tokio::join!(up, down) } => {}
                // The cable was dropped: everything goes.
                () = async { while whole.changed().await.is_ok() {} } => {}
            }
        });
        ours
    }
}

impl Default for Cable {
    fn default() -> Self {
        Self::new()
    }
}

/// Nobody stamps what comes through it: it is as old as our reading of it.
impl Arrival for DuplexStream {}

/// What we send.
async fn pass_up<T: AsyncWrite>(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<T>,
    mut cut: watch::Receiver<Cut>,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let passed = async {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return Ok(false);
            }
            to.write_all(piece.get(..length).unwrap_or_default())
                .await?;
            to.flush().await?;
            io::Result::Ok(true)
        };
        tokio::select! {
            biased;
            () = until(&mut cut, |cut| cut.to_node) => break,
            passed = passed => if !passed.unwrap_or(false) {
                break;
            }
        }
    }
    let is_whole = {
        let cut = cut.borrow();
        !cut.to_node && !cut.to_us
    };
    if is_whole {
        let _ = to.shutdown().await;
    } else {
        // Neither is the end of our side passed on, nor is the far one let go.
        std::future::pending::<()>().await;
    }
}

/// What the node sends. It is read in any case, so that its end is seen.
async fn pass_down<T: AsyncRead>(
    mut from: ReadHalf<T>,
    mut to: WriteHalf<DuplexStream>,
    mut cut: watch::Receiver<Cut>,
    ended: Arc<watch::Sender<Option<Instant>>>,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await.unwrap_or(0);
        if length == 0 {
            ended.send_replace(Some(Instant::now()));
            break;
        }
        let bytes = piece.get(..length).unwrap_or_default();
        tokio::select! {
            biased;
            () = until(&mut cut, |cut| cut.to_us) => {}
            // When our end is gone, nobody takes it.
            _ = to.write_all(bytes) => {}
        }
    }
    tokio::select! {
        biased;
        () = until(&mut cut, |cut| cut.to_us) => {}
        _ = to.shutdown() => return,
    }
    // The end is not passed on either.
    std::future::pending::<()>().await;
}

async fn until(cut: &mut watch::Receiver<Cut>, is_cut: impl Fn(&Cut) -> bool) {
    if cut.wait_for(is_cut).await.is_err() {
        // It was dropped, and so are we.
        std::future::pending::<()>().await;
    }
}

/// What is on its way in a direction at a time.
const PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    const CEILING: Duration = Duration::from_secs(10);
    const A_WHILE: Duration = Duration::from_millis(30);

    async fn says(end: &mut DuplexStream, wanted: &[u8]) {
        let mut got = vec![0; wanted.len()];
        let read = timeout(CEILING, end.read_exact(&mut got)).await;
        read.unwrap().unwrap();
        assert_eq!(got, wanted);
    }

    async fn is_silent(end: &mut DuplexStream) {
        assert!(timeout(A_WHILE, end.read(&mut [0; 8])).await.is_err());
    }

    /// Our end and the node's, over a cable through which something has passed both ways.
    async fn laid() -> (Cable, DuplexStream, DuplexStream) {
        let cable = Cable::new();
        let (far, mut node) = duplex(1_000);
        let mut ours = cable.lay(far);
        ours.write_all(b"there").await.unwrap();
        node.write_all(b"back").await.unwrap();
        says(&mut node, b"there").await;
        says(&mut ours, b"back").await;
        (cable, ours, node)
    }

    #[tokio::test]
    async fn what_is_cut_is_silent_and_nothing_is_closed() {
        for way in [Way::Both, Way::ToNode, Way::ToUs] {
            let (cable, mut ours, mut node) = laid().await;
            cable.cut(way);
            ours.write_all(b"more").await.unwrap();
            node.write_all(b"more").await.unwrap();
            match way {
                Way::ToUs => says(&mut node, b"more").await,
                _ => is_silent(&mut node).await,
            }
            match way {
                Way::ToNode => says(&mut ours, b"more").await,
                _ => is_silent(&mut ours).await,
            }
            drop(ours);
            is_silent(&mut node).await;
            assert_eq!(cable.has_ended(), None);
            drop(cable);
            let end = timeout(CEILING, node.read(&mut [0; 8])).await;
            assert_eq!(end.unwrap().unwrap(), 0, "{way:?}");
        }
    }

    #[tokio::test]
    async fn the_nodes_end_is_seen_through_a_cut() {
        for way in [Way::Both, Way::ToNode, Way::ToUs] {
            let (cable, mut ours, node) = laid().await;
            cable.cut(way);
            sleep(A_WHILE).await;
            let closed = Instant::now();
            drop(node);
            let at = timeout(CEILING, cable.ended()).await.unwrap();
            assert!(at >= closed);
            if way == Way::ToNode {
                let end = timeout(CEILING, ours.read(&mut [0; 8])).await;
                assert_eq!(end.unwrap().unwrap(), 0);
            } else {
                is_silent(&mut ours).await;
            }
        }
    }

    #[tokio::test]
    async fn a_whole_cable_passes_both_ends_on() {
        let (_cable, ours, mut node) = laid().await;
        drop(ours);
        let end = timeout(CEILING, node.read(&mut [0; 8])).await;
        assert_eq!(end.unwrap().unwrap(), 0);
        let (_cable, mut ours, node) = laid().await;
        drop(node);
        let end = timeout(CEILING, ours.read(&mut [0; 8])).await;
        assert_eq!(end.unwrap().unwrap(), 0);
    }

    /// One that waits to pass something on is cut too.
    #[tokio::test]
    async fn what_waits_is_cut() {
        let (cable, mut ours, mut node) = laid().await;
        ours.write_all(&[7; 5_000]).await.unwrap();
        sleep(A_WHILE).await;
        cable.cut(Way::Both);
        sleep(A_WHILE).await;
        // What the carrier had taken is on its way.
        says(&mut node, &[7; 1_000]).await;
        is_silent(&mut node).await;
    }
}
