//! From what the file says to a hook, or to what is wrong with it.

use std::net::IpAddr;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use heartline_watch::config::{HookEntry, MailEntry, State, Subject};

use super::error::MAX_NAME;
use super::{Action, Hook, HookError, Secret};
use crate::mail::{Account, Mailer};
use crate::program::Program;
use crate::webhook::{SharedClient, Webhook};

pub(super) fn hook(entry: &HookEntry, client: &mut SharedClient) -> Result<Hook, HookError> {
    check_name(&entry.name)?;
    let timeout = entry.timeout.unwrap_or(TIMEOUT);
    if !(SHORTEST..=LONGEST).contains(&timeout) {
        return Err(HookError::Timeout {
            hook: entry.name.clone(),
            came: timeout,
        });
    }
    Ok(Hook {
        name: entry.name.as_str().into(),
        subjects: or_default(&entry.subjects, Subject::Node),
        states: or_default(&entry.states, State::Down),
        nodes: patterns(entry)?,
        causes: entry.causes.clone(),
        tags: entry.tags.clone(),
        after: entry.after.unwrap_or_default(),
        settle: entry.settle.unwrap_or(SETTLE),
        timeout,
        action: action(entry, client)?,
    })
}

fn check_name(name: &str) -> Result<(), HookError> {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let is_good = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    if is_good {
        return Ok(());
    }
    Err(HookError::Name {
        hook: name.to_owned(),
    })
}

fn or_default<T: Copy>(given: &[T], default: T) -> Vec<T> {
    if given.is_empty() {
        return vec![default];
    }
    given.to_vec()
}

fn patterns(entry: &HookEntry) -> Result<Option<GlobSet>, HookError> {
    if entry.nodes.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in &entry.nodes {
        let wrong = |error: globset::Error| HookError::Pattern {
            hook: entry.name.clone(),
            pattern: pattern.clone(),
            why: error.kind().to_string(),
        };
        // A name is no path: * stands for / too.
        let glob = GlobBuilder::new(pattern).literal_separator(false).build();
        set.add(glob.map_err(wrong)?);
    }
    let set = set.build().map_err(|error| HookError::Pattern {
        hook: entry.name.clone(),
        pattern: entry.nodes.join(" "),
        why: error.kind().to_string(),
    })?;
    Ok(Some(set))
}

fn action(entry: &HookEntry, client: &mut SharedClient) -> Result<Action, HookError> {
    if entry.secret_file.is_some() && entry.url.is_none() {
        return Err(alone(entry, "secret_file", "url"));
    }
    match (&entry.run, &entry.url, &entry.mail) {
        (Some(run), None, None) => program(entry, run).map(Action::Run),
        (None, Some(url), None) => webhook(entry, url, client).map(Action::Post),
        (None, None, Some(mail)) => mailer(entry, mail).map(Action::Mail),
        (run, url, mail) => {
            let given = [run.is_some(), url.is_some(), mail.is_some()];
            Err(HookError::Actions {
                hook: entry.name.clone(),
                came: given.into_iter().filter(|is_given| *is_given).count(),
            })
        }
    }
}

fn program(entry: &HookEntry, run: &[String]) -> Result<Program, HookError> {
    let hook = || entry.name.clone();
    if run.iter().any(|argument| argument.contains('\0')) {
        return Err(HookError::Nul { hook: hook() });
    }
    match run {
        [program, arguments @ ..] if !program.is_empty() => Ok(Program {
            program: program.into(),
            arguments: arguments.to_vec(),
        }),
        _ => Err(HookError::NoProgram { hook: hook() }),
    }
}

fn webhook(entry: &HookEntry, url: &str, client: &mut SharedClient) -> Result<Webhook, HookError> {
    let wrong = |why: String| HookError::Url {
        hook: entry.name.clone(),
        why,
    };
    let url = reqwest::Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("{}: is not for that", url.scheme())));
    }
    if !url.has_host() {
        return Err(wrong("it names no host".to_owned()));
    }
    let secret = entry.secret_file.as_deref();
    let secret = secret.map(|path| Secret::read(&entry.name, path));
    Webhook::new(client, url, secret.transpose()?).map_err(|why| HookError::Client {
        hook: entry.name.clone(),
        why,
    })
}

fn mailer(entry: &HookEntry, mail: &MailEntry) -> Result<Mailer, HookError> {
    let hook = || entry.name.clone();
    let address = |text: &String| {
        text.parse()
            .map_err(|error: lettre::address::AddressError| HookError::Address {
                hook: hook(),
                address: text.clone(),
                why: error.to_string(),
            })
    };
    let from = address(&mail.from)?;
    let to = mail.to.iter().map(address).collect::<Result<Vec<_>, _>>()?;
    if to.is_empty() {
        return Err(HookError::Nobody { hook: hook() });
    }
    let account = match (&mail.user, &mail.password_file) {
        (None, None) => None,
        (Some(user), Some(path)) => Some(Account {
            user: user.clone(),
            password: Secret::read(&entry.name, path)?,
        }),
        (Some(_), None) => return Err(alone(entry, "mail.user", "mail.password_file")),
        (None, Some(_)) => return Err(alone(entry, "mail.password_file", "mail.user")),
    };
    check_server(entry, &mail.server, account.is_some())?;
    let timeout = entry.timeout.unwrap_or(TIMEOUT);
    Mailer::new(&mail.server, from, to, account.as_ref(), timeout)
        .map_err(|why| HookError::Server { hook: hook(), why })
}

/// What the mail crate would let pass.
fn check_server(entry: &HookEntry, server: &str, has_account: bool) -> Result<(), HookError> {
    let wrong = |why: String| HookError::Server {
        hook: entry.name.clone(),
        why,
    };
    let url = reqwest::Url::parse(server).map_err(|error| wrong(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it has an account in it; that belongs in user and password_file".into(),
        ));
    }
    let is_required = url
        .query_pairs()
        .any(|pair| pair == ("tls".into(), "required".into()));
    let is_here = url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    if has_account && url.scheme() != "smtps" && !is_required && !is_here {
        return Err(HookError::InTheClear {
            hook: entry.name.clone(),
        });
    }
    Ok(())
}

fn alone(entry: &HookEntry, key: &'static str, of: &'static str) -> HookError {
    HookError::Alone {
        hook: entry.name.clone(),
        key,
        of,
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_hours(1);
const SETTLE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests;
