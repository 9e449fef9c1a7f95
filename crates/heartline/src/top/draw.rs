//! How `top` looks.

use heartline_watch::status_socket::Request;
use heartline_watch::{LineBrief, NodeBrief};
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Table, TableState, Wrap};

use super::model::Model;
use crate::status::{round_trip, since, why};
use crate::words;

/// Draws it all.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, now: Timestamp) {
    let below = if model.is_detailed {
        Constraint::Percentage(45)
    } else {
        Constraint::Length(0)
    };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(3),
        below,
        Constraint::Length(1),
    ]);
    let [head, rows, detail, foot] = parts.areas(frame.area());
    frame.render_widget(Paragraph::new(heading(model)), head);
    table(frame, rows, model, now);
    if let (true, Some(brief)) = (model.is_detailed, model.node()) {
        details(frame, detail, brief, now);
    }
    frame.render_widget(Paragraph::new(footing(model)), foot);
}

fn heading(model: &Model) -> Line<'static> {
    let (all, counts) = model.counts();
    let mut spans = vec![Span::styled(
        format!(" heartline  {all} nodes"),
        Style::new().add_modifier(Modifier::BOLD),
    )];
    for (word, count) in counts {
        spans.push(Span::raw("  "));
        spans.push(Span::styled(format!("{count} {word}"), style(word)));
    }
    spans.push(Span::raw(format!("   by {}", model.order.word())));
    if model.is_stale {
        spans.push(Span::styled(
            "   the watcher does not answer: this is what it said last",
            Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        ));
    }
    Line::from(spans)
}

fn table(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Timestamp) {
    // Only what is seen is made: there may be thousands.
    let height = usize::from(area.height).saturating_sub(1).max(1);
    let at = model.at().unwrap_or_default();
    let first = (at + 1).saturating_sub(height);
    let rows = model.rows().skip(first).take(height);
    let rows = rows.map(|brief| row(brief, now));
    let widths = [
        Constraint::Min(12),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(5),
        Constraint::Length(10),
        Constraint::Percentage(50),
    ];
    let head = Row::new(["NODE", "STATE", "FOR", "LINES", "RTT", "WHY"]);
    let table = Table::new(rows, widths)
        .header(head.style(Style::new().add_modifier(Modifier::DIM)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(model.at().map(|at| at - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(brief: &NodeBrief, now: Timestamp) -> Row<'static> {
    let up = brief.lines.iter().filter(|line| line.state == "up").count();
    let fastest = brief
        .lines
        .iter()
        .filter_map(|line| line.rtt_ms)
        .reduce(f64::min);
    let word = brief.state.word();
    Row::new([
        Span::raw(words::plain(&brief.node)),
        Span::styled(word, style(word)),
        Span::raw(since(now, brief.since)),
        Span::raw(format!("{up}/{}", brief.lines.len())),
        Span::raw(round_trip(fastest)),
        Span::raw(why(brief)),
    ])
}

fn details(frame: &mut Frame<'_>, area: Rect, brief: &NodeBrief, now: Timestamp) {
    let mut text = Vec::new();
    for line in &brief.lines {
        text.push(of_line(line, now));
        if let Some(cause) = line.cause {
            let detail = line.detail.as_deref().unwrap_or_default();
            let gap = if detail.is_empty() { "" } else { ": " };
            text.push(Line::raw(format!("    {}{gap}{detail}", cause.sentence())));
        }
    }
    if !brief.tags.is_empty() {
        let tags: Vec<_> = brief.tags.iter().map(|tag| words::plain(tag)).collect();
        text.push(Line::raw(format!("  tags: {}", tags.join(", "))));
    }
    let title = format!(" {} ", words::plain(&brief.node));
    let block = Block::bordered().title(title);
    frame.render_widget(
        Paragraph::new(text).block(block).wrap(Wrap { trim: false }),
        area,
    );
}

fn of_line(line: &LineBrief, now: Timestamp) -> Line<'static> {
    let mut spans = vec![
        Span::raw(format!("  {}  ", words::plain(&line.line))),
        Span::styled(line.state.to_string(), style(&line.state)),
        Span::raw(format!(" for {}", since(now, line.since))),
    ];
    if line.rtt_ms.is_some() {
        spans.push(Span::raw(format!(
            ", answers in {}",
            round_trip(line.rtt_ms)
        )));
    }
    if line.flaps > 1 {
        spans.push(Span::raw(format!(
            ", down {} times in ten minutes",
            line.flaps
        )));
    }
    Line::from(spans)
}

fn footing(model: &Model) -> Line<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    if model.is_typing {
        return Line::from(vec![
            Span::raw(format!(" filter: {}\u{2588}", words::plain(&model.filter))),
            Span::styled("   enter keeps it, escape drops it", dim),
        ]);
    }
    let mut spans = vec![Span::styled(
        " enter details  s sort  / filter  p pause  d dial  q leave",
        dim,
    )];
    if !model.filter.is_empty() {
        spans.push(Span::raw(format!(
            "   filter: {}",
            words::plain(&model.filter)
        )));
    }
    if !model.said.is_empty() {
        spans.push(Span::raw(format!("   {}", model.said)));
    }
    Line::from(spans)
}

/// What was asked of the watcher, for a person.
pub(super) fn told(request: &Request) -> String {
    let (what, nodes) = match request {
        Request::Pause { nodes, .. } => ("told to pause", nodes),
        Request::Resume { nodes } => ("told to resume", nodes),
        Request::Redial { nodes } => ("dials now", nodes),
        Request::Status => return String::new(),
    };
    let nodes: Vec<_> = nodes.iter().map(|node| words::plain(node)).collect();
    format!("{}: {what}", nodes.join(", "))
}

fn style(word: &str) -> Style {
    let style = Style::new();
    if !words::is_coloured() {
        return style;
    }
    match word {
        "up" => style.fg(Color::Green),
        "down" => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        "degraded" | "suspect" => style.fg(Color::Yellow),
        "unknown" => style.fg(Color::Magenta),
        _ => style.add_modifier(Modifier::DIM),
    }
}

/// Rows around the table: its head, and what is above and below.
pub(super) const AROUND: usize = 3;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use heartline_core::{Cause, NodeState};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::Key;
    use super::*;

    fn brief(number: usize) -> NodeBrief {
        let t = Timestamp::from_second(1_000).unwrap();
        NodeBrief {
            node: format!("n{number:04}\u{1b}[2J").into(),
            state: if number == 7 {
                NodeState::Down(Cause::SshdHung)
            } else {
                NodeState::Up
            },
            since: t,
            token: 0,
            tags: Arc::default(),
            lines: vec![LineBrief {
                line: "10.0.0.1".into(),
                state: if number == 7 {
                    "down".into()
                } else {
                    "up".into()
                },
                cause: (number == 7).then_some(Cause::SshdHung),
                rtt_ms: (number != 7).then_some(0.25),
                since: t,
                detail: None,
                flaps: 0,
            }],
        }
    }

    fn screen(model: &Model) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 12)).unwrap();
        let now = Timestamp::from_second(1_090).unwrap();
        terminal.draw(|frame| draw(frame, model, now)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn what_is_down_is_at_the_top_and_says_why() {
        let mut model = Model::default();
        model.know((0..2_000).map(brief).collect());
        let seen = screen(&model);
        let rows: Vec<_> = seen.lines().collect();
        assert!(rows[0].contains("2000 nodes  1 down  1999 up"), "{seen}");
        assert!(
            rows[2].contains("n0007") && rows[2].contains("1m 30s"),
            "{seen}"
        );
        assert!(rows[2].contains("sshd_hung: "), "{seen}");
        assert!(!seen.contains('\u{1b}'), "{seen}");
        model.press(Key::Enter, 9);
        let seen = screen(&model);
        assert!(seen.contains("10.0.0.1  down for 1m 30s"), "{seen}");
    }

    #[test]
    fn whatever_is_chosen_is_seen() {
        let mut model = Model::default();
        model.know((0..2_000).map(brief).collect());
        model.press(Key::End, 9);
        let seen = screen(&model);
        assert!(seen.contains("n1999"), "{seen}");
        model.is_stale = true;
        assert!(screen(&model).contains("the watcher does not answer"));
    }
}
