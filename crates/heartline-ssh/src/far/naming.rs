//! Asks a session that has no guard for its name on the node.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;

use super::FarSession;
use crate::exec::{ExecRequest, Part};
use crate::guard::{name_request, new_token};
use crate::session::Session;

/// A session being asked; none, where the node cannot tell.
pub type Naming = Pin<Box<dyn Future<Output = Option<FarSession>> + Send>>;

/// Runs a shell over the session, on a channel of its own, that says what the session is and ends. `patience` bounds all of it.
pub fn name_session(session: &dyn Session, patience: Duration) -> Naming {
    let Some(token) = new_token() else {
        return Box::pin(std::future::ready(None));
    };
    let executing = session.exec(ExecRequest {
        command: name_request(&token).into_bytes(),
        patience,
        ..ExecRequest::default()
    });
    let named = async move {
        let mut exec = executing.await.ok()?;
        let mut said = Vec::new();
        while let Some(part) = exec.output.next().await {
            if let Part::Out(bytes) = part {
                said.extend_from_slice(&bytes);
            }
            if let Some(far) = find(&said, &token) {
                return Some(far);
            }
            if said.len() > MOST {
                break;
            }
        }
        None
    };
    Box::pin(async move { timeout(patience, named).await.ok().flatten() })
}

/// The name at the end of a line, behind the token and a letter. Everything else the node prints is passed over.
fn find(said: &[u8], token: &str) -> Option<FarSession> {
    let mark = format!("{token} I ");
    let mut lines = said.split(|byte| *byte == b'\n').rev();
    // The last is not over.
    lines.next();
    lines.find_map(|line| {
        let at = line
            .windows(mark.len())
            .rposition(|at| at == mark.as_bytes())?;
        let name = line.get(at + mark.len()..)?;
        std::str::from_utf8(name).ok()?.parse().ok()
    })
}

/// Output before it: more than any greeting.
const MOST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";
    const FAR: &str =
        "4711 123 6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11.4026531836.7 10.77.1.1 51234 10.77.1.2 22";

    #[test]
    fn a_name_is_found_behind_any_greeting_and_nothing_else_is_one() {
        let said = format!("Welcome!\n\u{1b}[2Jhello {TOKEN} I {FAR}\nbye");
        let far = find(said.as_bytes(), TOKEN).unwrap();
        assert_eq!(far.to_string(), FAR);
        for said in [
            String::new(),
            format!("{TOKEN} I {FAR}"),
            format!("{TOKEN} I \n"),
            format!("{TOKEN} k\n"),
            format!("{TOKEN} T {FAR}\n"),
            format!("{TOKEN} I {FAR} \n"),
            format!("I {FAR}\n"),
        ] {
            assert_eq!(find(said.as_bytes(), TOKEN), None, "{said:?}");
        }
    }
}
