//! Mail, in words, by SMTP.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use heartline_ssh::escape;
use jiff::Timestamp;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::time::timeout;

use crate::hook::Secret;
use crate::letter::Letter;
use crate::outcome::Outcome;
use crate::webhook::chain;

/// Who writes to whom, by which server.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Who logs in at the server.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

impl Mailer {
    /// Asks nobody yet. `Err`: what is wrong with the server's URL, or with the password.
    pub(crate) fn new(
        server: &str,
        from: Mailbox,
        to: Vec<Mailbox>,
        account: Option<&Account>,
        limit: Duration,
    ) -> Result<Self, String> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(server);
        let mut transport = transport
            .map_err(|error| chain(&error))?
            .timeout(Some(limit));
        if let Some(Account { user, password }) = account {
            let password = password.text();
            let password = password.map_err(|_| "the password is no UTF-8".to_owned())?;
            transport = transport.credentials(Credentials::new(user.clone(), password.to_owned()));
        }
        Ok(Self {
            transport: transport.build(),
            from,
            to,
        })
    }

    /// Sends it once.
    pub(crate) async fn tell(&self, letter: &Letter, limit: Duration) -> Outcome {
        let message = match self.message(letter) {
            Ok(message) => message,
            Err(error) => return Outcome::Refused(chain(&error)),
        };
        match timeout(limit, self.transport.send(message)).await {
            Ok(Ok(_)) => Outcome::Done,
            Ok(Err(error)) if error.is_permanent() => Outcome::Refused(chain(&error)),
            Ok(Err(error)) => Outcome::Later {
                wait: None,
                why: chain(&error),
            },
            Err(_) => Outcome::Later {
                wait: None,
                why: format!("not done within {limit:?}"),
            },
        }
    }

    /// The same bytes each time, as far as they are ours.
    fn message(&self, letter: &Letter) -> Result<Message, lettre::error::Error> {
        let t = letter.t.parse().unwrap_or_else(|_| Timestamp::now());
        // The key is a-z, 0-9, - and _ alone.
        let id = format!("<{}@{}>", letter.key, self.from.email.domain());
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(subject(letter))
            .date(t.into())
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        message.body(text(letter))
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// What it is about, in one line: `db1 is down: silent`.
fn subject(letter: &Letter) -> String {
    let who = who(letter);
    let because = letter.cause.map(|cause| format!(": {cause}"));
    let because = because.unwrap_or_default();
    let to = escape(letter.to.as_bytes(), MOST_SHOWN);
    if let Some(changes) = letter.changes {
        return format!("{who} has settled, and is {to} after {changes} changes{because}");
    }
    if letter.flapping {
        return format!("{who} is flapping, {to} now{because}");
    }
    if letter.to == "up" {
        return format!("{who} is up again");
    }
    format!("{who} is {to}{because}")
}

fn who(letter: &Letter) -> String {
    let shown = |name: &str| escape(name.as_bytes(), MOST_SHOWN);
    match (&letter.node, &letter.line) {
        (Some(node), Some(line)) => format!("{}, line {},", shown(node), shown(line)),
        (Some(node), None) => shown(node),
        _ => "the network of this watcher".to_owned(),
    }
}

fn text(letter: &Letter) -> String {
    let mut text = subject(letter);
    if let Some(sentence) = &letter.sentence {
        let _ = write!(text, " ({sentence})");
    }
    text.push_str("\n\n");
    let after = letter
        .after_ms
        .map(|ms| format!("{:?}", Duration::from_millis(ms)));
    let is_node = letter.node.is_some();
    let rows = [
        ("When", Some(letter.t.clone())),
        ("Before", Some(letter.from.clone())),
        (
            "Last sign of life",
            after
                .clone()
                .filter(|_| is_node)
                .map(|after| format!("{after} before")),
        ),
        ("Lasted", after.filter(|_| !is_node)),
        (
            "Tags",
            Some(letter.tags.join(", ")).filter(|tags| !tags.is_empty()),
        ),
        ("Token", letter.token.map(|token| token.to_string())),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            let value = escape(value.as_bytes(), MOST_SHOWN);
            let _ = writeln!(text, "{name}: {value}");
        }
    }
    if letter.flapping && letter.changes.is_none() {
        text.push_str("\nNothing more of it is sent until it has settled.\n");
    }
    let _ = write!(
        text,
        "\n-- \nheartline, hook {}, key {}\n",
        letter.hook, letter.key
    );
    text
}

const MOST_SHOWN: usize = 200;

#[cfg(test)]
mod tests;
