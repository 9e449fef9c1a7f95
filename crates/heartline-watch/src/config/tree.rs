//! The file as a tree that knows where everything stands: to say where a mistake is, and to look past it for the next.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A step from a table or a list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// What has this key.
    Key(&'static str),
    /// What stands at this place, from 0.
    At(usize),
}

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step {
    fn from(at: usize) -> Self {
        Self::At(at)
    }
}

/// Where what these steps lead to stands, or else the last of them that leads anywhere. Of an entry, its key.
pub(super) fn span(root: &Spanned<DeTable<'_>>, steps: &[Step]) -> Range<usize> {
    let mut found = root.span();
    let mut here = Here::Table(root.get_ref());
    for step in steps {
        let (span, value) = match (here, step) {
            (Here::Table(table), Step::Key(key)) => match table.get_key_value(*key) {
                Some((key, value)) => (key.span(), value),
                None => break,
            },
            (Here::Array(array), Step::At(at)) => match array.get(*at) {
                Some(value) => (value.span(), value),
                None => break,
            },
            _ => break,
        };
        found = span;
        here = Here::of(value.get_ref());
    }
    found
}

/// What was taken out of the tree.
pub(super) struct Taken {
    /// Its key, if it had one.
    pub(super) key: Option<String>,
    /// Where the table stands that it was in.
    pub(super) parent: Range<usize>,
}

/// Takes out the smallest part that this place is in.
pub(super) fn take(root: &mut Spanned<DeTable<'_>>, place: &Range<usize>) -> Option<Taken> {
    let parent = root.span();
    let mut best = None;
    let mut way = Vec::new();
    look(
        Here::Table(root.get_ref()),
        &parent,
        place,
        &mut way,
        &mut best,
    );
    let best = best?;
    let key = match best.way.last() {
        Some(Index::Key(key)) => Some(key.clone()),
        _ => None,
    };
    remove(root.get_mut(), &best.way)?;
    Some(Taken {
        key,
        parent: best.parent,
    })
}

#[derive(Clone, Copy)]
enum Here<'t, 'i> {
    Table(&'t DeTable<'i>),
    Array(&'t DeArray<'i>),
    Leaf,
}

impl<'t, 'i> Here<'t, 'i> {
    fn of(value: &'t DeValue<'i>) -> Self {
        match value {
            DeValue::Table(table) => Self::Table(table),
            DeValue::Array(array) => Self::Array(array),
            _ => Self::Leaf,
        }
    }
}

#[derive(Clone)]
enum Index {
    Key(String),
    At(usize),
}

struct Best {
    way: Vec<Index>,
    parent: Range<usize>,
    length: usize,
}

/// A table's own place is its heading, and what is in it stands elsewhere: so every part is looked at.
fn look(
    here: Here<'_, '_>,
    parent: &Range<usize>,
    place: &Range<usize>,
    way: &mut Vec<Index>,
    best: &mut Option<Best>,
) {
    let mut offer = |span: &Range<usize>, way: &[Index]| {
        let covers = span.start <= place.start && place.end <= span.end;
        let is_smaller = best.as_ref().is_none_or(|best| span.len() <= best.length);
        if covers && is_smaller {
            *best = Some(Best {
                way: way.to_vec(),
                parent: parent.clone(),
                length: span.len(),
            });
        }
    };
    match here {
        Here::Table(table) => {
            for (key, value) in table {
                way.push(Index::Key(key.get_ref().to_string()));
                offer(&key.span(), way);
                offer(&value.span(), way);
                way.pop();
            }
            for (key, value) in table {
                way.push(Index::Key(key.get_ref().to_string()));
                look(Here::of(value.get_ref()), &value.span(), place, way, best);
                way.pop();
            }
        }
        Here::Array(array) => {
            for (at, value) in array.iter().enumerate() {
                way.push(Index::At(at));
                offer(&value.span(), way);
                way.pop();
            }
            for (at, value) in array.iter().enumerate() {
                way.push(Index::At(at));
                look(Here::of(value.get_ref()), &value.span(), place, way, best);
                way.pop();
            }
        }
        Here::Leaf => {}
    }
}

fn remove(table: &mut DeTable<'_>, way: &[Index]) -> Option<()> {
    let (Index::Key(key), rest) = way.split_first()? else {
        return None;
    };
    if rest.is_empty() {
        return table.remove(key.as_str()).map(drop);
    }
    remove_from(table.get_mut(key.as_str())?.get_mut(), rest)
}

fn remove_from(value: &mut DeValue<'_>, way: &[Index]) -> Option<()> {
    match value {
        DeValue::Table(table) => remove(table, way),
        DeValue::Array(array) => {
            let (Index::At(at), rest) = way.split_first()? else {
                return None;
            };
            if !rest.is_empty() {
                return remove_from(array.get_mut(*at)?.get_mut(), rest);
            }
            let kept = array.iter().enumerate().filter(|(i, _)| i != at);
            *array = kept.map(|(_, value)| value.clone()).collect();
            Some(())
        }
        _ => None,
    }
}
