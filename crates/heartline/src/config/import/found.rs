//! What was found in somebody's list, as it is to stand in heartline.toml.

use serde::Serialize;

/// Nodes, and what is to be said of them.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// Lines of the comment that the file begins with.
    pub(super) heading: Vec<String>,
    /// In the order of the list.
    pub(super) nodes: Vec<Node>,
    /// What could not be carried over.
    pub(super) warnings: Vec<String>,
}

/// A `[[node]]`; what is left out is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Node {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connect_timeout: Option<String>,
    #[serde(rename = "tag", skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<String>,
    #[serde(rename = "line", skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<Line>,
}

/// A `[[node.line]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    pub(super) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jump: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
}
