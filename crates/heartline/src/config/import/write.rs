//! A heartline.toml of what was found.

use std::path::Path;

use heartline_watch::config::Draft;
use serde::Serialize;

use super::found::{Import, Node};

/// The file's text. Nodes that it could not hold are left out, and said.
pub(super) fn toml(import: &mut Import) -> anyhow::Result<String> {
    let mut kept = Vec::with_capacity(import.nodes.len());
    for node in std::mem::take(&mut import.nodes) {
        match what_is_wrong(&node)? {
            None => kept.push(node),
            Some(what) => import
                .warnings
                .push(format!("{}: left out: {what}", node.name)),
        }
    }
    import.nodes = kept;
    let mut text = String::new();
    for line in &import.heading {
        text.push_str("# ");
        // A line of a comment is one, whatever a file is called.
        text.extend(line.chars().map(|c| if c.is_control() { '?' } else { c }));
        text.push('\n');
    }
    if !import.nodes.is_empty() {
        text.push('\n');
    }
    text.push_str(&body(&import.nodes)?);
    Ok(text)
}

fn body(nodes: &[Node]) -> Result<String, toml::ser::Error> {
    #[derive(Serialize)]
    struct File<'a> {
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        node: &'a [Node],
    }
    toml::to_string(&File { node: nodes })
}

/// As a check would say it; nothing, if all is well.
fn what_is_wrong(node: &Node) -> anyhow::Result<Option<String>> {
    let text = body(std::slice::from_ref(node))?;
    let mut draft = Draft::of(&text, Path::new("heartline.toml"));
    draft.check();
    Ok(draft.mistakes.first().map(|mistake| mistake.what.clone()))
}
