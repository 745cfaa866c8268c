//! `restore`

use super::settings::SettingsArgs;
use crate::backup::restore::What;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `restore`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Restore {
    /// What to do with a restore that was made.
    #[command(subcommand)]
    pub verb: Option<RestoreVerb>,
    /// The backup: its name, `latest`, the path of its folder, or of a file that `backup export` wrote.
    #[arg(value_name = "FROM", required_unless_present = "abort")]
    pub from: Option<String>,
    /// The folder that backups are in [default: backup.dir of the settings].
    #[arg(long, value_name = "DIR", env = "AUTHENTIK_INSTALL_BACKUP_DIR")]
    pub dir: Option<PathBuf>,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub only: Vec<What>,
    /// File with a private key, for a backup that is encrypted.
    #[arg(long, value_name = "FILE")]
    pub identity: Vec<PathBuf>,
    /// Do not back up what is there now.
    #[arg(long)]
    pub no_safety_backup: bool,
    /// Go back to what was there before a restore that was stopped half-way, or is not committed yet.
    #[arg(long, conflicts_with = "from")]
    pub abort: bool,
    /// Look at everything, say what would be done, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Settings that are to be others than those of the backup.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// The verbs below `restore`.
#[derive(Debug, Subcommand)]
pub enum RestoreVerb {
    /// Keep what was restored, and throw away what was there before.
    #[command(after_help = "Example:\n  authentik-install restore commit")]
    Commit(Commit),
}

/// `restore commit`
#[derive(Debug, Args)]
pub struct Commit {
    /// Settings.
    #[command(flatten)]
    pub config: super::settings::ConfigArgs,
}
