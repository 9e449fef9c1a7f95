//! What the watcher is told to do.

use std::time::Duration;

use heartline_watch::NodeBrief;
use heartline_watch::board::Wishes;
use heartline_watch::status_socket::Request;
use tokio::time::timeout;

/// Has it done; what is known then. None, if the watcher does not answer in time.
pub(crate) async fn give(wishes: &Wishes, request: Request) -> Option<Vec<NodeBrief>> {
    timeout(DEADLINE, wishes.wish(request)).await.ok().flatten()
}

const DEADLINE: Duration = Duration::from_secs(2);
