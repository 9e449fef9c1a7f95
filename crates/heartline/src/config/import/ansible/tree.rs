//! YAML or JSON as it stands: order kept, and scalars as they are written.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Null,
    Scalar(String),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads YAML, and so JSON. An error is one line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{')
            && let Ok(tree) = serde_json::from_str(text)
        {
            return Ok(tree);
        }
        // As PyYAML: `y` and `007` are words. So is `yes` here, which as a truth nobody asks for.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| one_line(&error))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Table(entries) = self else {
            return None;
        };
        let found = entries.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// What stands under this name.
    pub(super) fn take(self, name: &str) -> Option<Self> {
        let Self::Table(entries) = self else {
            return None;
        };
        let mut entries = entries.into_iter();
        let found = entries.find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// For error messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a word",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.join(" ")
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Growing)
    }
}

struct Growing;

impl<'de> Visitor<'de> for Growing {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Tree, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = from.next_element()? {
            list.push(one);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut table = Vec::new();
        while let Some((key, value)) = from.next_entry::<Tree, Tree>()? {
            let key = match key {
                Tree::Scalar(key) => key,
                Tree::Null => String::new(),
                other => {
                    let what = format!("{} cannot be a key", other.kind());
                    return Err(de::Error::custom(what));
                }
            };
            table.push((key, value));
        }
        Ok(Tree::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spelling_are_kept_and_a_vault_is_a_text() {
        let tree = Tree::parse(
            "b: 1\na: {x: 2222, y: \"007\"}\nc:\nd: !vault |\n  $ANSIBLE_VAULT;1.1\n  66\ne: [yes, 1.5]\n",
        );
        let tree = tree.unwrap();
        let Tree::Table(table) = &tree else {
            panic!("{tree:?}");
        };
        let keys: Vec<_> = table.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "c", "d", "e"]);
        let text = |text: &str| Tree::Scalar(text.to_owned());
        assert_eq!(tree.get("a").unwrap().get("y"), Some(&text("007")));
        assert_eq!(tree.get("c"), Some(&Tree::Null));
        assert_eq!(tree.get("d"), Some(&text("$ANSIBLE_VAULT;1.1\n66\n")));
        assert!(Tree::parse("a: [").unwrap_err().contains("line"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let level = |i: usize| {
            let of = vec![format!("*a{}", i - 1); 10].join(", ");
            format!("a{i}: &a{i} [{of}]\n")
        };
        let text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        let text = text + &(1..12).map(level).collect::<String>();
        assert!(Tree::parse(&text).is_err());
    }
}
