//! One answer of `ssh -G` for all hosts that no `Host` and no `Match` tells apart.
//!
//! A fleet of a thousand nodes mostly stands under one `Host *`; asking ssh a thousand times costs more than a thousand
//! key exchanges. What ssh says of a host is fixed by the files, the flags, the blocks that apply to it and its name.
//! The parser knows which blocks apply; so hosts with the same flags and the same blocks share what ssh said of the first
//! of them, and only `HostName` is the parser's word for each.
//!
//! That holds where the parser understands the files whole (no `Match exec`, no keyword it has not heard of), where it
//! named the first host as ssh did, and where ssh printed with its tokens still in it whatever has tokens. Everywhere
//! else ssh is asked for each host.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::destination::Destination;
use super::error::SettingsError;
use super::found::{Files, Found, FoundProxy};
use super::invocation::Invocation;

/// What makes two hosts alike.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// The invocation, less its host.
    asked: Invocation,
    marks: Vec<Mark>,
}

/// A place in the files that was come by in reading them for a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    /// This file was read.
    File(PathBuf),
    /// The `Host` or `Match` of this line, counted from 1, applies.
    Applies(usize),
    /// The files were read a second time, for `Match final`.
    Again,
}

/// What the parser made of one invocation.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) found: Found,
    pub(super) marks: Vec<Mark>,
}

/// The first of its kind.
#[derive(Debug)]
struct First {
    host: String,
    parsed: Found,
    /// ssh's answer; `None`: this ssh has none to give.
    asked: Option<Found>,
}

/// The kinds met so far.
#[derive(Debug, Default)]
pub(super) struct Kinds(Mutex<HashMap<Kind, Arc<OnceCell<First>>>>);

/// What can be said of a host without asking ssh for it alone.
#[derive(Debug)]
pub(super) enum Shared {
    /// This is ssh's word.
    Found(Box<Found>),
    /// ssh must be asked.
    AskSsh,
    /// There is no ssh that answers.
    NoSsh,
}

impl Kinds {
    /// Asks by `ask` for the first of a kind only.
    pub(super) async fn find(
        &self,
        inv: &Invocation,
        parsed: Parsed,
        ask: impl Future<Output = Result<Option<Found>, SettingsError>>,
    ) -> Result<Shared, SettingsError> {
        let host = inv.destination.host();
        let Some(asked) = without_host(inv) else {
            return Ok(Shared::AskSsh);
        };
        let marks = parsed.marks;
        let cell = self.cell(Kind { asked, marks });
        let first = cell.get_or_try_init(|| async {
            Ok::<_, SettingsError>(First {
                host: host.to_owned(),
                parsed: parsed.found.clone(),
                asked: ask.await?,
            })
        });
        let first = first.await?;
        Ok(match &first.asked {
            None => Shared::NoSsh,
            Some(found) if first.host == host => Shared::Found(Box::new(found.clone())),
            Some(found) if is_host_alone(found, &first.parsed) => Shared::Found(Box::new(Found {
                host: parsed.found.host,
                ..found.clone()
            })),
            Some(_) => Shared::AskSsh,
        })
    }

    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn cell(&self, kind: Kind) -> Arc<OnceCell<First>> {
        let mut kinds = self.lock();
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind) {
            kinds.clear();
        }
        Arc::clone(kinds.entry(kind).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Kind, Arc<OnceCell<First>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn without_host(inv: &Invocation) -> Option<Invocation> {
    let (user, port) = (inv.destination.user(), inv.destination.port());
    let destination = Destination::new(user, "any", port).ok()?;
    Some(Invocation {
        destination,
        ..inv.clone()
    })
}

/// Whether all that ssh and the parser found of this host, other hosts of its kind have too, but for `HostName`.
fn is_host_alone(asked: &Found, parsed: &Found) -> bool {
    asked.host == parsed.host
        && texts(parsed)
            .zip(texts(asked))
            .all(|(ours, theirs)| !ours.contains('%') || ours == theirs)
        && texts(parsed).count() == texts(asked).count()
        && !texts(asked).any(|text| text.contains("${"))
}

/// Every value in which a token or a variable may stand, always in the same order.
fn texts(found: &Found) -> impl Iterator<Item = &str> {
    let files = match &found.identity_files {
        Files::Named(named) => named.as_slice(),
        // Nobody wrote them, and releases have others.
        Files::Default(_) => &[],
    };
    let proxy = match &found.proxy {
        FoundProxy::None => None,
        FoundProxy::Jump(text) | FoundProxy::Command(text) => Some(text),
    };
    let one = [
        &found.user,
        &found.bind_address,
        &found.bind_interface,
        &found.identity_agent,
        &found.host_key_alias,
        &found.revoked,
    ];
    files
        .iter()
        .chain(&found.certificate_files)
        .chain(&found.user_known_hosts)
        .chain(&found.global_known_hosts)
        .map(String::as_str)
        .chain(one.map(|text| text.as_deref().unwrap_or_default()))
        .chain([proxy.map_or("", String::as_str)])
}

/// Kinds kept at most; past that all are dropped.
const MAX_KINDS: usize = 4 * 1024;
