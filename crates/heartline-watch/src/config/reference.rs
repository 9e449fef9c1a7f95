//! A reference as a person writes it.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("reference {came:?} is no address; give one like 10.0.0.1, 10.0.0.1:80 or [fe80::1]:22")]
pub struct ReferenceError {
    /// What was written.
    pub came: String,
}

/// Reads `ADDRESS` or `ADDRESS:PORT`; no name, since whoever is cut off resolves none.
pub fn parse_reference(text: &str) -> Result<SocketAddr, ReferenceError> {
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = bare.map(|address| SocketAddr::new(address, SSH));
    address
        .or_else(|_| text.parse())
        .map_err(|_| ReferenceError {
            came: text.chars().take(MAX_SHOWN).collect(),
        })
}

const SSH: u16 = 22;
const MAX_SHOWN: usize = 80;
