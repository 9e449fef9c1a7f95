//! A webhook: the body by POST, signed, with a key by which a receiver knows what it has had already.
//!
//! `X-Heartline-Signature: v1=HEX` is HMAC-SHA-256 with the shared secret over the value of `X-Heartline-Timestamp`, a full stop, and the body as it was sent. A receiver takes none
//! whose timestamp is more than some minutes off, and nothing twice of one `Idempotency-Key`.

use std::error::Error;
use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use heartline_ssh::escape;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use sha2::Sha256;

use crate::hook::Secret;
use crate::outcome::Outcome;

/// Where it is sent, and what it is signed with.
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    secret: Option<Secret>,
}

/// What makes the requests of all webhooks; made for the first of them.
#[derive(Default)]
pub(crate) struct SharedClient(Option<Client>);

impl SharedClient {
    /// `Err`: why none can be made.
    fn client(&mut self) -> Result<Client, String> {
        if let Some(client) = &self.0 {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("heartline/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|error| chain(&error))?;
        Ok(self.0.insert(client).clone())
    }
}

impl Webhook {
    /// Asks nobody yet. `Err`: why no request can be made.
    pub(crate) fn new(
        client: &mut SharedClient,
        url: Url,
        secret: Option<Secret>,
    ) -> Result<Self, String> {
        Ok(Self {
            client: client.client()?,
            url,
            secret,
        })
    }

    /// Sends it once.
    pub(crate) async fn tell(&self, key: &str, body: &str, limit: Duration) -> Outcome {
        let timestamp = Timestamp::now().as_second().to_string();
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(limit)
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", key)
            .header("X-Heartline-Timestamp", &timestamp);
        if let Some(secret) = &self.secret {
            let signature = sign(secret.bytes(), &timestamp, body);
            request = request.header("X-Heartline-Signature", signature);
        }
        match request.body(body.to_owned()).send().await {
            Ok(response) => judge(response).await,
            Err(error) => Outcome::Later {
                wait: None,
                // The URL may have a secret in it.
                why: chain(&error.without_url()),
            },
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        let is_signed = self.secret.is_some();
        f.debug_struct("Webhook")
            .field("host", &host)
            .field("is_signed", &is_signed)
            .finish_non_exhaustive()
    }
}

/// `v1=` and the code.
fn sign(secret: &[u8], timestamp: &str, body: &str) -> String {
    let mut text = "v1=".to_owned();
    // A key of any length will do.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body.as_bytes());
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

async fn judge(response: Response) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Done;
    }
    let wait = retry_after(response.headers(), Timestamp::now());
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let said = beginning(response).await;
    let mut why = format!("answered {}", status.as_u16());
    if !said.is_empty() {
        why.push_str("; it said: ");
        why.push_str(&escape(&said, MOST_SAID));
    }
    if status.is_redirection() {
        why.push_str("; a redirect is not followed, give the url that it leads to");
    }
    if may_pass {
        Outcome::Later { wait, why }
    } else {
        Outcome::Refused(why)
    }
}

/// In seconds or as a date, the longest pause at most.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(at.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The deadline of the whole request is this one's, too.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() < MOST_SAID {
        let Ok(Some(piece)) = response.chunk().await else {
            break;
        };
        let room = (MOST_SAID - said.len()).min(piece.len());
        said.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    said.trim_ascii().to_vec()
}

/// An error with what it comes from, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    escape(text.as_bytes(), MOST_SHOWN)
}

/// Bytes of an answer that are read.
const MOST_SAID: usize = 4096;
const MOST_SHOWN: usize = 400;
/// The longest that a receiver may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
const IDLE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_everybody_else() {
        // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        assert_eq!(sign(b"secret", "1700000000", "{\"a\":1}"), EXPECTED);
    }

    #[test]
    fn a_wait_is_taken_in_seconds_or_as_a_date_and_never_for_long() {
        let now = "2015-10-21T07:27:00Z".parse().unwrap();
        for (text, want) in [
            ("7", Some(7)),
            ("99999999", Some(300)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2014 07:28:00 GMT", None),
            ("Tue, 20 Oct 2015 07:28:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("18446744073709551616", None),
        ] {
            let headers = [(RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            let wait = retry_after(&headers, now);
            assert_eq!(wait, want.map(Duration::from_secs), "{text}");
        }
    }

    const EXPECTED: &str = "v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
}
