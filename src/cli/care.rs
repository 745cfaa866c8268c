//! The verbs that look after an installation.

use super::settings::ConfigArgs;
use crate::health::Group;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a person.
    Human,
    /// One JSON document.
    Json,
    /// For Nagios, Icinga, Checkmk and others that run Monitoring Plugins.
    Nagios,
    /// For the node exporter's textfile collector.
    Prometheus,
    /// The JSON Schema of --json.
    Schema,
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// Settings.
    #[command(flatten)]
    pub settings: ConfigArgs,
    /// Print JSON: the same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// The form of the result.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// Write it to this file, whole or not at all, instead of printing it.
    #[arg(long, value_name = "FILE", value_parser = super::absolute)]
    pub output: Option<PathBuf>,
    /// Only these groups of checks.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GROUPS")]
    pub only: Vec<Group>,
    /// Leave out what takes long.
    #[arg(long)]
    pub quick: bool,
    /// For a person: also what is as it should be.
    #[arg(long)]
    pub all: bool,
    /// As the timer runs it: also tells the journal, the Prometheus file and `[notify]`.
    #[arg(long, hide = true)]
    pub scheduled: bool,
    /// Longest time in seconds; what has not answered by then is unknown.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub deadline: u64,
}

impl Verify {
    /// The form that was asked for.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where to put the bundle [default: /var/lib/authentik-install/authentik-doctor-TIME.tar.zst].
    #[arg(long, value_name = "FILE", value_parser = super::absolute)]
    pub output: Option<PathBuf>,
}

/// `admin`
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Print a link, good once, that signs in as the administrator `akadmin`.
    #[command(after_help = "Example:\n  authentik-install admin link --minutes 10")]
    Link(Link),
    /// Set a user's password.
    #[command(
        after_help = "Example:\n  authentik-install admin password --user akadmin --password-file /root/password"
    )]
    Password(Password),
    /// Make the group of administrators again, with a user in it.
    #[command(after_help = "Example:\n  authentik-install admin reset-group --user akadmin")]
    ResetGroup(ResetGroup),
}

/// `admin link`
#[derive(Debug, Args)]
pub struct Link {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Who is signed in by it.
    #[arg(long, default_value = "akadmin")]
    pub user: String,
    /// How long it is good [default: 60].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=525_600))]
    pub minutes: Option<u32>,
}

/// `admin password`
#[derive(Debug, Args)]
pub struct Password {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Whose password.
    #[arg(long, default_value = "akadmin")]
    pub user: String,
    /// File that holds it.
    #[arg(long, value_name = "FILE")]
    pub password_file: PathBuf,
}

/// `admin reset-group`
#[derive(Debug, Args)]
pub struct ResetGroup {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Who is to be an administrator.
    #[arg(long, default_value = "akadmin")]
    pub user: String,
}

/// `ak`
#[derive(Debug, Args)]
pub struct Ak {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    pub args: Vec<String>,
}

/// The parts that keep logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// authentik's server.
    Server,
    /// authentik's worker.
    Worker,
    /// The pod that holds both.
    Pod,
    /// The scheduled `verify`.
    Verify,
    /// The scheduled `backup`.
    Backup,
    /// This program: what it changed.
    Install,
    /// Everything.
    All,
}

/// `logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Whose.
    #[arg(value_enum, default_value = "all")]
    pub part: Part,
    /// Go on with what comes.
    #[arg(long, short)]
    pub follow: bool,
    /// Only the newest lines.
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<u32>,
    /// Only what is not older, as journalctl takes it: "2026-11-25 10:00", "-1h", today.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
}
