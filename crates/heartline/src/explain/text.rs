//! The answer in words.

use std::fmt::Write;

use heartline_core::explain::{
    Ending, Fault, Implementation, KeepAliveSetting, Mechanism, Scene, Side, Span, Warning, spoken,
};

use super::Report;
use super::picture;

/// All of it, as lines of at most 96 columns.
pub(super) fn write(report: &Report, coloured: bool) -> String {
    let mut page = Page {
        text: String::new(),
        coloured,
    };
    page.text.push_str(&heading(report));
    page.text.push_str("\n\n");
    let drawn = picture::draw(&report.scene, &report.explanation);
    if !drawn.is_empty() {
        page.text.push_str(&drawn);
        page.text.push('\n');
    }
    if let Some(ending) = &report.explanation.ending {
        page.table(report.scene.fault, ending);
    }
    let teller = Teller { report };
    for (head, said) in teller.paragraphs() {
        page.paragraph(head, &said);
    }
    for missing in &report.missing {
        page.paragraph("Not known", &format!("{missing}."));
    }
    for warning in &report.explanation.warnings {
        page.warning(warning);
    }
    page.text
}

fn heading(report: &Report) -> String {
    let scene = &report.scene;
    let pair = report.explanation.pair;
    let name = &scene.software.name;
    let side = scene.side.word();
    match scene.software.implementation {
        Implementation::OpenSshClient | Implementation::Sshd(_) => {
            let prefix = match scene.side {
                Side::Client => "ServerAlive",
                Side::Server => "ClientAlive",
            };
            format!(
                "{name}, {side}: {prefix}Interval {}, {prefix}CountMax {}",
                pair.interval, pair.count
            )
        }
        Implementation::Dropbear => {
            format!(
                "{name}, {side}: -K {}, -I {}",
                pair.interval, scene.idle_timeout
            )
        }
        Implementation::Putty => format!("{name}, {side}: PingIntervalSecs {}", pair.interval),
        Implementation::Autossh => {
            format!("{name}, {side}: -M port, AUTOSSH_POLL {}", pair.interval)
        }
        Implementation::Paramiko => format!("{name}, {side}: set_keepalive({})", pair.interval),
        _ => format!(
            "{name}, {side}: interval {}, count {}",
            pair.interval, pair.count
        ),
    }
}

/// Text that grows, wrapped.
struct Page {
    text: String,
    coloured: bool,
}

impl Page {
    fn table(&mut self, fault: Fault, ending: &Ending) {
        let _ = writeln!(
            self.text,
            "{:24}{:>14}{:>14}{:>14}",
            "This end goes away", "least", "mean", "most"
        );
        let what = match fault {
            Fault::Silence => "after the cut",
            Fault::Frozen => "after the peer froze",
            Fault::Closed | Fault::Reset => "after the peer's word",
            Fault::ResetOnSend => "after the fault",
            Fault::CommandHung => "after the last data",
        };
        let mut row = |head: &str, span: Span| {
            let [least, mean, most] = [span.min(), span.mean(), span.max()].map(spoken);
            let _ = writeln!(self.text, "  {head:22}{least:>14}{mean:>14}{most:>14}");
        };
        row(what, ending.after_fault);
        if fault == Fault::Silence || fault == Fault::Frozen {
            row("after the last data", ending.after_last_data);
        }
        self.text.push('\n');
    }

    fn paragraph(&mut self, head: &str, said: &str) {
        let head = format!("{head:INDENT$}");
        let painted = self.paint(&head, "1");
        self.wrapped(&painted, said);
    }

    fn warning(&mut self, warning: &Warning) {
        let code = self.paint(warning.lint.code(), "33");
        let _ = writeln!(self.text, "\nwarning: {code}");
        self.wrapped(&" ".repeat(INDENT), &warning.text);
        let mend = format!("{:INDENT$}", "  mend:");
        self.wrapped(&mend, &warning.fix);
    }

    /// `head` takes up the indent.
    fn wrapped(&mut self, head: &str, said: &str) {
        self.text.push_str(head);
        let mut column = INDENT;
        let mut is_first = true;
        for word in whole_numbers(said) {
            let length = word.chars().count();
            if !is_first && column + 1 + length > WIDTH {
                let _ = write!(self.text, "\n{:INDENT$}", "");
                column = INDENT;
                is_first = true;
            }
            if !is_first {
                self.text.push(' ');
                column += 1;
            }
            self.text.push_str(&word);
            column += length;
            is_first = false;
        }
        self.text.push('\n');
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

struct Teller<'a> {
    report: &'a Report,
}

impl Teller<'_> {
    fn paragraphs(&self) -> Vec<(&'static str, String)> {
        let banner = self.report.banner.as_ref();
        let all = [
            (
                "The peer",
                banner.map(|banner| format!("calls itself {banner}.")),
            ),
            ("The end", Some(self.the_end())),
            ("While well", self.healthy()),
            ("Far end", self.far_end()),
            ("Firewall", self.firewall()),
            ("Outage", self.outage()),
            ("Round trip", self.round_trip()),
            ("Login", self.login()),
            ("TCPKeepAlive", self.tcp()),
        ];
        let said = all
            .into_iter()
            .filter_map(|(head, said)| Some((head, said?)));
        said.collect()
    }

    fn the_end(&self) -> String {
        let explanation = &self.report.explanation;
        let Some(ending) = &explanation.ending else {
            let mut said = if explanation.probes {
                "Probes or not, these settings never end this end".to_owned()
            } else {
                "These settings send nothing and never end this end".to_owned()
            };
            match &explanation.backstop {
                Some(backstop) => {
                    let _ = write!(
                        said,
                        "; TCP does in the end, {} to {} after a cut ({}).",
                        spoken(backstop.after_fault.min()),
                        spoken(backstop.after_fault.max()),
                        by(backstop.by)
                    );
                }
                None if self.report.scene.fault == Fault::Silence => {
                    said.push_str(", and TCP does not either.");
                }
                None => said.push('.'),
            }
            return said;
        };
        let mut said = format!("Ended by {}.", by(ending.by));
        if let Some(outcome) = explanation.outcome {
            match outcome.exit_code {
                Some(code) => {
                    let _ = write!(said, " Exit code {code}");
                }
                None => said.push_str(" Seen"),
            }
            if outcome.says.is_empty() {
                said.push_str(", without a word.");
            } else {
                let _ = write!(said, ": {}", outcome.says);
            }
        }
        if let Some(backstop) = &explanation.backstop
            && backstop.after_fault.max() < ending.after_fault.max()
        {
            let _ = write!(
                said,
                " But TCP by itself is faster: {} to {} after the cut ({}).",
                spoken(backstop.after_fault.min()),
                spoken(backstop.after_fault.max()),
                by(backstop.by)
            );
        }
        said
    }

    fn healthy(&self) -> Option<String> {
        let ending = self.report.explanation.healthy_ending.as_ref()?;
        let span = ending.after_last_data;
        Some(format!(
            "Also a connection that is well ends, {} to {} after its last data, by {}.",
            spoken(span.min()),
            spoken(span.max()),
            by(ending.by)
        ))
    }

    fn far_end(&self) -> Option<String> {
        if self.report.scene.software.implementation == Implementation::Unknown {
            return None;
        }
        let Some((scene, explanation)) = &self.report.other else {
            return Some(match self.report.scene.side {
                Side::Client => "These settings say nothing of it: without ClientAliveInterval there, its session, files and \
                     forwarded ports stay until TCP gives up (15 minutes where it writes, hours where it is idle). \
                     --other-end explains both."
                    .to_owned(),
                Side::Server => {
                    "These settings say nothing of the client. --other-end explains both.".to_owned()
                }
            });
        };
        let pair = explanation.pair;
        let side = scene.side.word();
        let set = format!(
            "The {side} has interval {}, count {}",
            pair.interval, pair.count
        );
        Some(match (&explanation.ending, &explanation.backstop) {
            (Some(ending), _) => format!(
                "{set}: it goes away {} to {} after the cut.",
                spoken(ending.after_fault.min()),
                spoken(ending.after_fault.max())
            ),
            (None, Some(backstop)) => format!(
                "{set}: it never goes away by that; TCP ends it {} to {} after the cut.",
                spoken(backstop.after_fault.min()),
                spoken(backstop.after_fault.max())
            ),
            (None, None) => format!("{set}: it never goes away."),
        })
    }

    fn firewall(&self) -> Option<String> {
        let explanation = &self.report.explanation;
        if explanation.healthy_ending.is_some() {
            return None;
        }
        let Some(nat) = explanation.nat else {
            let every = explanation.probe_every?;
            return Some(format!(
                "Kept open, if it forgets a connection after more than {} of silence. --nat DUR asks about one.",
                spoken(every)
            ));
        };
        let forgets = spoken(nat.forgets_after);
        Some(match nat.longest_silence {
            Some(silence) if nat.is_kept() => format!(
                "Yes, it is kept open: one that forgets after {forgets} sees a packet every {} ({}).",
                spoken(silence),
                nat.by
            ),
            Some(silence) => format!(
                "No, it is not kept open: one that forgets after {forgets} sees no packet for {} ({}).",
                spoken(silence),
                nat.by
            ),
            None => format!(
                "No, it is not kept open: one that forgets after {forgets} sees nothing at all."
            ),
        })
    }

    fn outage(&self) -> Option<String> {
        let outage = self.report.explanation.outage?;
        Some(format!(
            "One of {} is survived, one of {} is not; between the two it depends on the moment. (Less than \
             interval·count: once the network is back, TCP's next retransmission may still be far off.)",
            spoken(outage.surely),
            spoken(outage.at_best)
        ))
    }

    fn round_trip(&self) -> Option<String> {
        let limit = self.report.explanation.rtt_limit?;
        Some(format!(
            "A way there and back of {} or more ends a connection that is well.",
            spoken(limit)
        ))
    }

    fn login(&self) -> Option<String> {
        let limit = self.report.explanation.login_limit?;
        Some(format!(
            "Before there is a session, no wait may take longer than {}, a second factor among them (exit code 255: \
             Connection to HOST port PORT timed out).",
            spoken(limit)
        ))
    }

    fn tcp(&self) -> Option<String> {
        let report = self.report;
        if matches!(
            report.scene.software.implementation,
            Implementation::Unknown
        ) {
            return None;
        }
        let kernel = match report.scene.tcp.keep_alive {
            KeepAliveSetting::No => return Some("Off: it helps nothing.".to_owned()),
            KeepAliveSetting::Unsaid => report.scene.kernel.keep_alive,
            KeepAliveSetting::Yes(kernel) => kernel,
        };
        let total = f64::from(kernel.time) + f64::from(kernel.interval) * f64::from(kernel.probes);
        let total = spoken(std::time::Duration::from_secs_f64(total));
        let ends_it = report.explanation.ending.as_ref();
        let helps = if ends_it.is_some_and(|ending| ending.by == Mechanism::TcpKeepAlive) {
            "It is what ends this connection, as long as nothing of ours is on the way".to_owned()
        } else if ends_it.is_some() {
            "It helps nothing here: this end goes away before".to_owned()
        } else if own_data(&report.scene) {
            "It helps nothing here: it is suspended while data of ours is unacknowledged".to_owned()
        } else {
            "It is all there is".to_owned()
        };
        Some(format!(
            "{helps}. (First probe after {} s, then every {} s, {} of them: {total} after the last segment.)",
            kernel.time, kernel.interval, kernel.probes
        ))
    }
}

/// The words of a text, each number together with its unit.
fn whole_numbers(said: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in said.split_whitespace() {
        let unit = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        match words.last_mut() {
            Some(last) if UNITS.contains(&unit) && last.parse::<f64>().is_ok() => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Whether data of this end is on the way after a cut.
fn own_data(scene: &Scene) -> bool {
    let writes = match scene.side {
        Side::Client => scene.traffic.client_writes,
        Side::Server => scene.traffic.remote_writes,
    };
    writes.is_some() || scene.pair().interval > 0
}

fn by(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Alive => "probes of the SSH layer",
        Mechanism::IdleTimeout => "the idle timeout",
        Mechanism::TcpKeepAlive => "the kernel's TCP keepalive",
        Mechanism::TcpRetransmission => "TCP giving up its retransmissions (tcp_retries2)",
        Mechanism::TcpUserTimeout => "TCP_USER_TIMEOUT",
        Mechanism::ChannelTimeout => "ChannelTimeout",
        Mechanism::UnusedConnectionTimeout => "UnusedConnectionTimeout",
        Mechanism::AutosshMonitor => "autossh's own test",
        _ => "what the other end says",
    }
}

const UNITS: [&str; 5] = ["s", "min", "h", "days", "years"];
const INDENT: usize = 14;
const WIDTH: usize = 96;
