//! What `top` shows and what a key does to it. Knows no terminal and no clock.

use heartline_core::Cause;
use heartline_watch::NodeBrief;
use heartline_watch::status_socket::Request;

/// A key, as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Char(char),
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// What is worst first.
    #[default]
    State,
    Name,
    /// What changed last first.
    Since,
    /// The slowest first.
    RoundTrip,
}

/// What is to be done, beside showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    Leave,
    Tell(Request),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Model {
    nodes: Vec<NodeBrief>,
    /// Which of them are shown, in order.
    shown: Vec<usize>,
    /// By name: rows move.
    chosen: Option<String>,
    pub(super) order: Order,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) is_detailed: bool,
    /// What was done last, or went wrong.
    pub(super) said: String,
    /// The watcher does not answer.
    pub(super) is_stale: bool,
}

impl Model {
    /// What the watcher knows now.
    pub(super) fn know(&mut self, nodes: Vec<NodeBrief>) {
        self.nodes = nodes;
        self.is_stale = false;
        self.arrange();
    }

    /// The rows.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &NodeBrief> {
        let all = &self.nodes;
        let rows: Vec<_> = self.shown.iter().filter_map(|at| all.get(*at)).collect();
        rows.into_iter()
    }

    /// How many nodes there are in all, and how many in each state.
    pub(super) fn counts(&self) -> (usize, Vec<(&'static str, usize)>) {
        let words = ["down", "unknown", "suspect", "degraded", "paused", "up"];
        let count = |word: &str| {
            let of = self.nodes.iter().filter(|brief| brief.state.word() == word);
            of.count()
        };
        let counts = words.into_iter().map(|word| (word, count(word)));
        (
            self.nodes.len(),
            counts.filter(|(_, count)| *count > 0).collect(),
        )
    }

    /// Which row is chosen.
    pub(super) fn at(&self) -> Option<usize> {
        let chosen = self.chosen.as_deref()?;
        self.rows().position(|brief| *brief.node == *chosen)
    }

    /// The node that is chosen.
    pub(super) fn node(&self) -> Option<&NodeBrief> {
        self.rows().nth(self.at()?)
    }

    /// A key was pressed; `page`: rows that are seen.
    pub(super) fn press(&mut self, key: Key, page: usize) -> Deed {
        if self.is_typing {
            self.type_in(key);
            return Deed::Nothing;
        }
        match key {
            Key::Escape if self.is_detailed => self.is_detailed = false,
            Key::Escape if !self.filter.is_empty() => {
                self.filter.clear();
                self.arrange();
            }
            Key::Char('q') | Key::Escape => return Deed::Leave,
            Key::Up | Key::Char('k') => self.move_by(-1),
            Key::Down | Key::Char('j') => self.move_by(1),
            Key::PageUp => self.move_by(-step(page)),
            Key::PageDown => self.move_by(step(page)),
            Key::Home | Key::Char('g') => self.move_by(isize::MIN / 2),
            Key::End | Key::Char('G') => self.move_by(isize::MAX / 2),
            Key::Enter => self.is_detailed = !self.is_detailed && self.node().is_some(),
            Key::Char('/') => self.is_typing = true,
            Key::Char('s') => {
                self.order = self.order.next();
                self.arrange();
            }
            Key::Char('p') => return self.tell(true),
            Key::Char('d') => return self.tell(false),
            Key::Backspace | Key::Char(_) => {}
        }
        Deed::Nothing
    }

    fn type_in(&mut self, key: Key) {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(c) if !c.is_control() && self.filter.len() < MOST_TYPED => {
                self.filter.push(c);
            }
            _ => {}
        }
        self.arrange();
    }

    /// Pauses what is not paused, and the other way round; or dials.
    fn tell(&mut self, pause: bool) -> Deed {
        let Some(brief) = self.node() else {
            return Deed::Nothing;
        };
        let is_paused = brief.state.word() == "paused";
        let nodes = vec![brief.node.to_string()];
        Deed::Tell(match (pause, is_paused) {
            (true, true) => Request::Resume { nodes },
            (true, false) => Request::Pause {
                nodes,
                for_ms: None,
            },
            (false, _) => Request::Redial { nodes },
        })
    }

    fn move_by(&mut self, by: isize) {
        let last = self.shown.len().saturating_sub(1);
        let at = self.at().unwrap_or_default();
        let to = at.saturating_add_signed(by).min(last);
        let name = self.rows().nth(to).map(|brief| brief.node.to_string());
        self.chosen = name;
    }

    /// Filters and sorts; what was chosen stays so, or whatever is where it was.
    fn arrange(&mut self) {
        let at = self.at().unwrap_or_default();
        let wanted = self.filter.to_lowercase();
        let of = |at: &usize| self.nodes.get(*at);
        let mut shown: Vec<_> = (0..self.nodes.len()).collect();
        shown.retain(|at| of(at).is_some_and(|brief| matches(brief, &wanted)));
        match self.order {
            Order::State => {
                shown.sort_by_key(|at| of(at).map(|brief| severity(brief.state.word())));
            }
            Order::Name => shown.sort_by_key(|at| of(at).map(|brief| brief.node.clone())),
            Order::Since => {
                shown.sort_by_key(|at| std::cmp::Reverse(of(at).map(|brief| brief.since)));
            }
            Order::RoundTrip => shown.sort_by(|a, b| {
                let slowest = |at| of(at).and_then(slowest).unwrap_or(-1.0);
                slowest(b).total_cmp(&slowest(a))
            }),
        }
        self.shown = shown;
        if self.at().is_none() {
            let near = at.min(self.shown.len().saturating_sub(1));
            let name = self.rows().nth(near).map(|brief| brief.node.to_string());
            self.chosen = name;
        }
    }
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::State => Self::Name,
            Self::Name => Self::Since,
            Self::Since => Self::RoundTrip,
            Self::RoundTrip => Self::State,
        }
    }

    /// For a person.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "name",
            Self::Since => "last change",
            Self::RoundTrip => "round trip",
        }
    }
}

/// Each word of the filter is in the name, the state, the cause or a tag.
fn matches(brief: &NodeBrief, wanted: &str) -> bool {
    let cause = brief.state.cause().map(Cause::word);
    let words = [&*brief.node, brief.state.word(), cause.unwrap_or_default()];
    let tags = brief.tags.iter().map(String::as_str);
    let all: Vec<_> = words
        .into_iter()
        .chain(tags)
        .map(str::to_lowercase)
        .collect();
    wanted
        .split_whitespace()
        .all(|word| all.iter().any(|one| one.contains(word)))
}

fn slowest(brief: &NodeBrief) -> Option<f64> {
    let all = brief.lines.iter().filter_map(|line| line.rtt_ms);
    all.reduce(f64::max)
}

fn severity(word: &str) -> usize {
    let worst_first = ["down", "unknown", "suspect", "degraded", "paused"];
    worst_first
        .iter()
        .position(|one| *one == word)
        .unwrap_or(worst_first.len())
}

fn step(page: usize) -> isize {
    isize::try_from(page.max(1)).unwrap_or(1)
}

const MOST_TYPED: usize = 100;

#[cfg(test)]
mod tests {
    use heartline_core::NodeState;
    use jiff::Timestamp;

    use super::*;

    fn brief(name: &str, state: NodeState, second: i64) -> NodeBrief {
        NodeBrief {
            node: name.into(),
            state,
            since: Timestamp::from_second(second).unwrap(),
            token: 0,
            tags: vec![format!("rack-{second}")].into(),
            lines: Vec::new(),
        }
    }

    fn model() -> Model {
        let mut model = Model::default();
        model.know(vec![
            brief("web", NodeState::Up, 3),
            brief("db1", NodeState::Up, 9),
            brief("db2", NodeState::Down(Cause::Silent), 5),
        ]);
        model
    }

    fn names(model: &Model) -> Vec<&str> {
        model.rows().map(|brief| &*brief.node).collect()
    }

    #[test]
    fn what_is_worst_comes_first_and_what_is_chosen_stays_chosen() {
        let mut model = model();
        assert_eq!(names(&model), ["db2", "web", "db1"]);
        model.press(Key::Down, 10);
        assert_eq!(&*model.node().unwrap().node, "web");
        model.press(Key::Char('s'), 10);
        assert_eq!(names(&model), ["db1", "db2", "web"]);
        assert_eq!(model.at(), Some(2));
        model.press(Key::Char('s'), 10);
        assert_eq!(names(&model), ["db1", "db2", "web"]);
        model.know(vec![brief("db1", NodeState::Up, 9)]);
        assert_eq!(model.at(), Some(0));
        model.press(Key::End, 10);
        model.press(Key::Home, 10);
        assert_eq!(model.at(), Some(0));
    }

    #[test]
    fn a_filter_takes_letters_that_are_commands_elsewhere() {
        let mut model = model();
        model.press(Key::Char('/'), 10);
        for c in "DB q".chars() {
            assert_eq!(model.press(Key::Char(c), 10), Deed::Nothing);
        }
        assert!(names(&model).is_empty() && model.node().is_none());
        model.press(Key::Backspace, 10);
        model.press(Key::Enter, 10);
        assert_eq!(names(&model), ["db2", "db1"]);
        model.press(Key::Escape, 10);
        assert_eq!(names(&model).len(), 3);
        model.press(Key::Char('/'), 10);
        for c in "silent rack-5".chars() {
            model.press(Key::Char(c), 10);
        }
        assert_eq!(names(&model), ["db2"]);
    }

    #[test]
    fn what_is_told_to_the_watcher_is_about_the_node_that_is_chosen() {
        let mut model = model();
        let nodes = vec!["db2".to_owned()];
        let pause = Request::Pause {
            nodes: nodes.clone(),
            for_ms: None,
        };
        assert_eq!(model.press(Key::Char('p'), 10), Deed::Tell(pause));
        assert_eq!(
            model.press(Key::Char('d'), 10),
            Deed::Tell(Request::Redial {
                nodes: nodes.clone()
            })
        );
        model.know(vec![brief("db2", NodeState::Paused, 1)]);
        assert_eq!(
            model.press(Key::Char('p'), 10),
            Deed::Tell(Request::Resume { nodes })
        );
        assert_eq!(model.press(Key::Char('q'), 10), Deed::Leave);
        model.know(Vec::new());
        assert_eq!(model.press(Key::Char('p'), 10), Deed::Nothing);
    }
}
