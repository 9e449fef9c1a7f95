//! Where the file is looked for when nobody says.

use std::path::PathBuf;

/// `./heartline.toml`, `$XDG_CONFIG_HOME/heartline/heartline.toml` (`~/.config` where unset), then
/// `/etc/heartline/heartline.toml`: the first that exists.
pub fn find() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let own = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|base| base.join("heartline/heartline.toml"));
    [
        Some(PathBuf::from("heartline.toml")),
        own,
        Some(PathBuf::from("/etc/heartline/heartline.toml")),
    ]
    .into_iter()
    .flatten()
    .find(|path| path.exists())
}
