//! `backup`

use super::settings::ConfigArgs;
use crate::names::{AbsPath, Repository};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `backup`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Backup {
    /// What to do; without it: create.
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// How to create.
    #[command(flatten)]
    pub create: Create,
}

/// The verbs below `backup`.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Make one: database, files, settings and secrets, at one moment.
    #[command(after_help = "Example:\n  authentik-install backup create --tag before-the-move")]
    Create(Create),
    /// List them, newest first.
    #[command(after_help = "Example:\n  authentik-install backup list")]
    List(List),
    /// Show what one holds.
    #[command(after_help = "Example:\n  authentik-install backup show latest")]
    Show(Show),
    /// Look whether one, or each, is what it was; with --deep, prove it by restoring it elsewhere.
    #[command(
        after_help = "Examples:\n  authentik-install backup verify\n  authentik-install backup verify latest --deep\n\nExit codes: 0 whole · 8 damaged · 9 there is none · 10 the key is missing or wrong"
    )]
    Verify(Prove),
    /// Delete what is too old by the settings, and say why each one stays.
    #[command(after_help = "Example:\n  authentik-install backup prune --dry-run")]
    Prune(Prune),
    /// Put one into a single file, to carry it away.
    #[command(
        after_help = "Example:\n  authentik-install backup export latest /mnt/usb/authentik.tar"
    )]
    Export(Export),
    /// Copy one to another machine, as `[backup.offsite]` says.
    #[command(after_help = "Example:\n  authentik-install backup send latest")]
    Send(Send),
    /// Bring one back from another machine.
    #[command(
        after_help = "Examples:\n  authentik-install backup fetch latest\n  authentik-install backup fetch latest --repository sftp:backup@nas.example.com:/authentik --password-file /root/restic-password\n\nExit codes: 8 damaged · 9 there is none"
    )]
    Fetch(Fetch),
    /// Show when the next one is made, and how the last one ended.
    #[command(after_help = "Example:\n  authentik-install backup schedule")]
    Schedule(Schedule),
    /// Keys that backups are encrypted to.
    #[command(subcommand)]
    Key(Key),
}

/// Where backups are.
#[derive(Debug, Args)]
pub struct Shelf {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The folder that backups are in [default: backup.dir of the settings].
    #[arg(long, value_name = "DIR", env = "AUTHENTIK_INSTALL_BACKUP_DIR")]
    pub dir: Option<PathBuf>,
}

/// `backup create`
#[derive(Debug, Args)]
pub struct Create {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Stop authentik meanwhile.
    #[arg(long)]
    pub quiesce: bool,
    /// What to call it.
    #[arg(long, value_parser = tag)]
    pub tag: Option<String>,
    /// Encrypt to this public key, and not to those of the settings. Can be given more than once.
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// As the timer runs it: also deletes what is too old, and tells `[notify]` of a failure.
    #[arg(long, hide = true)]
    pub scheduled: bool,
}

fn tag(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if text == crate::backup::create::SAFETY {
        return Err("that is the tag of what a restore makes itself".into());
    }
    match !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, '.', '_' and '-' alone, at most 64".into()),
    }
}

/// `backup list`
#[derive(Debug, Args)]
pub struct List {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `backup show`
#[derive(Debug, Args)]
pub struct Show {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Its name, `latest`, or the path of its folder.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Print JSON: the manifest.
    #[arg(long)]
    pub json: bool,
}

/// `backup verify`
#[derive(Debug, Args)]
pub struct Prove {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Its name, `latest`, or the path of its folder; every one unless given (with --deep: the latest).
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Restore it into a scratch database and a scratch folder, and compare everything.
    #[arg(long)]
    pub deep: bool,
    /// File with a private key, for one that is encrypted.
    #[arg(long, value_name = "FILE")]
    pub identity: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// As the timer runs it: tells `[notify]` of a failure.
    #[arg(long, hide = true)]
    pub scheduled: bool,
}

/// `backup prune`
#[derive(Debug, Args)]
pub struct Prune {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `backup export`
#[derive(Debug, Args)]
pub struct Export {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Its name, `latest`, or the path of its folder.
    #[arg(value_name = "ID")]
    pub id: String,
    /// The file to write; it must not exist. `restore` takes it.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `backup send`
#[derive(Debug, Args)]
pub struct Send {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Its name, or `latest`.
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `backup fetch`
#[derive(Debug, Args)]
pub struct Fetch {
    /// Where to.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Its name, or `latest`.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Repository of restic's, on a host where nothing is installed yet.
    #[arg(long, value_name = "REPOSITORY", requires = "password_file")]
    pub repository: Option<Repository>,
    /// File with its password.
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub password_file: Option<AbsPath>,
    /// File with what its storage wants to know.
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub environment_file: Option<AbsPath>,
}

/// `backup schedule`
#[derive(Debug, Args)]
pub struct Schedule {
    /// Where.
    #[command(flatten)]
    pub shelf: Shelf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `backup key`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a pair. The private key is printed once and kept nowhere: keep it on another machine.
    #[command(after_help = "Example:\n  authentik-install backup key new")]
    New,
}
