//! `heartline explain`: what keepalive settings really do.
//!
//! Arguments make a scene (`request`), with what `ssh_config` says of a node (`host`) and what the kernel does by itself
//! (`kernel`); the rules are heartline-core's. The answer is printed as text (`picture`, `text`) or JSON (`json`). Nothing is
//! dialed unless `--connect` asks for it (`connect`).

mod args;
mod connect;
mod host;
mod json;
mod kernel;
mod parsers;
mod picture;
mod request;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use heartline_core::explain::{Explanation, Scene, Software, explain};

pub(crate) use self::args::ExplainArgs;
use self::request::{Refused, Request};
use crate::words;

/// Explains and prints.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let request = match Request::make(args) {
        Ok(request) => request,
        Err(Refused::AsSsh { said, mend }) => {
            eprintln!("{said}\nheartline: {mend}");
            return Ok(ExitCode::from(USAGE));
        }
        Err(Refused::Other(error)) => return Err(error),
    };
    let report = Report::of(request);
    let text = if args.json {
        format!("{}\n", serde_json::to_string(&json::Json::of(&report))?)
    } else {
        text::write(&report, words::is_coloured())
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(report.code()))
}

/// What was asked and what came out.
struct Report {
    scene: Scene,
    explanation: Explanation,
    /// The other end by itself, where its settings are known.
    other: Option<(Scene, Explanation)>,
    /// What the peer calls itself, escaped, where it was asked.
    banner: Option<String>,
    /// What could not be found out.
    missing: Vec<String>,
    is_unreachable: bool,
}

impl Report {
    fn of(request: Request) -> Self {
        let Request {
            scene,
            banner,
            missing,
            is_unreachable,
        } = request;
        let explanation = explain(&scene);
        let other = other_end(&scene, banner.as_deref()).map(|other| {
            let explanation = explain(&other);
            (other, explanation)
        });
        Self {
            scene,
            explanation,
            other,
            banner,
            missing,
            is_unreachable,
        }
    }

    fn code(&self) -> u8 {
        match (self.is_unreachable, self.explanation.warnings.is_empty()) {
            (true, _) => UNREACHABLE,
            (false, true) => 0,
            (false, false) => WARNINGS,
        }
    }
}

/// The same connection seen from its other end.
fn other_end(scene: &Scene, banner: Option<&str>) -> Option<Scene> {
    let pair = scene.other_end?;
    let side = scene.side.other();
    let software = match banner {
        Some(banner) if scene.side == heartline_core::explain::Side::Client => {
            Software::from_banner(banner, side)
        }
        _ => Software::openssh(side),
    };
    let mut other = Scene::new(side, software);
    other.interval = Some(pair.interval);
    other.count = pair.count;
    other.kernel = scene.kernel;
    other.traffic = scene.traffic;
    other.rtt = scene.rtt;
    other.has_session = scene.has_session;
    Some(other)
}

/// There is something to warn of.
const WARNINGS: u8 = 1;
/// Usage.
const USAGE: u8 = 2;
/// `--connect` did not reach the node.
const UNREACHABLE: u8 = 3;
