//! Runs `heartline explain`.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::process::{Command, Stdio};

/// How it ended and what it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// With these words, one blank between them.
pub(crate) fn explain(words: &str) -> Ended {
    let out = Command::new(env!("CARGO_BIN_EXE_heartline"))
        .arg("explain")
        .args(words.split(' '))
        // No heartline.toml is found here, or in a home.
        .current_dir("/")
        .env_remove("XDG_CONFIG_HOME")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ended {
        code: out.status.code(),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// The exit code, and the one object.
pub(crate) fn json(words: &str) -> (i32, serde_json::Value) {
    let ended = explain(&format!("{words} --json"));
    assert_eq!(ended.stdout.lines().count(), 1, "{words}: {}", ended.stderr);
    let value = serde_json::from_str(&ended.stdout).unwrap();
    (ended.code.unwrap(), value)
}
