//! `heartline config`: looks a configuration over, says what one may hold, and makes one of what others have written down.
//!
//! Nothing here dials, and nothing that a file names is run.

mod check;
mod import;
mod verdict;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use heartline_watch::config::schema;

use crate::flags::NodeFlags;

/// Looks heartline.toml over, describes it, or makes one from ssh_config or an Ansible inventory.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say all that is wrong with a configuration
    ///
    /// Takes the flags of watch, and finds what watch with these flags would stumble over: syntax, unknown fields, times, rules of
    /// timing, names that stand twice, lines, ssh_config, keys, known hosts, jump hosts, what hooks and the page need. Dials nothing.
    Check(Box<CheckArgs>),
    /// Print the JSON Schema of heartline.toml
    Schema,
    /// Print a heartline.toml made from somebody else's list of machines
    ///
    /// What cannot be carried over is said on standard error. Nothing is run.
    Import(ImportArgs),
}

/// Reads a configuration whole and says everything that is wrong with it. Dials nothing.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
struct CheckArgs {
    #[command(flatten)]
    flags: NodeFlags,
    /// Look up names too, as watch does when it begins
    #[arg(long)]
    resolve: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints a heartline.toml. What cannot be carried over is said on standard error.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_HELP)]
struct ImportArgs {
    #[command(subcommand)]
    from: ImportFrom,
}

/// Where the machines are listed.
#[derive(Debug, Subcommand)]
enum ImportFrom {
    /// The hosts of ssh_config that are no patterns
    ///
    /// Without FILE your own ssh_config is read, and each host becomes a node of its name: all else stays in ssh_config, which
    /// heartline reads anyway. With FILE, which heartline would not read by itself, address, user, port, key, jump hosts and times
    /// are written out.
    Ssh(ImportSshArgs),
    /// An Ansible inventory: INI, YAML, or the JSON of `ansible-inventory --list`
    ///
    /// Groups become tags. group_vars and host_vars beside the inventory are read. Nothing is run: of an inventory that is a program,
    /// or needs a plugin, give what ansible-inventory --list prints.
    Ansible(ImportAnsibleArgs),
}

#[derive(Debug, Args)]
struct ImportSshArgs {
    /// An ssh_config [default: your own and the system's]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ImportAnsibleArgs {
    /// The inventory's file
    file: PathBuf,
}

/// Does it.
pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConfigCommand::Check(args) => check::run(&args),
        ConfigCommand::Schema => {
            let text = serde_json::to_string_pretty(&schema())?;
            writeln!(io::stdout(), "{text}")?;
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Import(args) => import::run(&args.from),
    }
}

impl ConfigArgs {
    /// `-v` counts up, `-q` down.
    pub(crate) fn verbosity(&self) -> i8 {
        match &self.command {
            ConfigCommand::Check(args) => args.flags.verbosity(),
            ConfigCommand::Schema | ConfigCommand::Import(_) => 0,
        }
    }
}

const CHECK_HELP: &str = "\
Every mistake is one line: FILE:LINE:COLUMN: what is wrong and what would be right. The last line counts nodes, lines and hooks.
A warning (no node has that tag, a key is locked) is no mistake. A locked key is not asked for its passphrase.

Exit codes: 0 nothing wrong, 2 mistakes, or no file.

Examples:
  heartline config check
  heartline config check -c /etc/heartline/heartline.toml --resolve --json";

const IMPORT_HELP: &str = "\
Exit codes: 0, 2 the file cannot be read (nothing is printed).

Examples:
  heartline config import ssh > heartline.toml
  heartline config import ansible inventory/hosts.yml > heartline.toml && heartline config check";
