//! The face of the crate: ways in, changes out.

use std::future;
use std::sync::Arc;

use crate::board::{Board, News};
use crate::{LinkError, OurSide, Way};

/// Follows the kernel until it is dropped.
#[derive(Debug)]
pub struct Links {
    board: Arc<Board>,
}

impl Links {
    /// Opens netlink and reads everything once, within 5 s; follows from then on.
    ///
    /// The sockets belong to the network namespace of the calling thread.
    #[cfg(target_os = "linux")]
    pub async fn start() -> Result<Self, LinkError> {
        let board = Arc::new(Board::default());
        let links = Self {
            board: Arc::clone(&board),
        };
        crate::follow::spawn(board).await?;
        Ok(links)
    }

    /// Opens netlink; not on this system.
    ///
    /// # Errors
    /// Always [`LinkError::Unavailable`].
    #[cfg(not(target_os = "linux"))]
    pub async fn start() -> Result<Self, LinkError> {
        let error = std::io::ErrorKind::Unsupported.into();
        future::ready(Err(LinkError::Unavailable(error))).await
    }

    /// Begins to follow a way; what is known of it now.
    ///
    /// `None` for one that is new: [`changed`](Self::changed) tells it within milliseconds. The same way twice is one.
    pub fn follow(&mut self, way: &Way) -> Option<OurSide> {
        self.board.follow(way)
    }

    /// Forgets a way: nothing is told of it any more.
    pub fn forget(&mut self, way: &Way) {
        self.board.forget(way);
    }

    /// Waits for the next ways that are known for the first time or of which something has changed, each with its
    /// present state. What comes and goes between two calls is not told. Cancel-safe.
    ///
    /// # Errors
    /// Once, when the kernel cannot be followed any more. From then on it waits for ever.
    pub async fn changed(&mut self) -> Result<Vec<(Way, OurSide)>, LinkError> {
        loop {
            match self.board.news() {
                News::Changed(ways) => return Ok(ways),
                News::Failed(error) => return Err(error),
                News::Over => future::pending().await,
                News::None => self.board.told().await,
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.board.close();
    }
}
