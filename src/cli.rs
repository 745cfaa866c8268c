//! The command line: what can be typed, and nothing else.

use crate::blueprint::Phase;
use crate::error::{Exit, Failure, Result};
use crate::health::Group;
use crate::names::{Domain, Email, ImageName, PgName, Version};
use crate::settings::input::{DatabaseAuth, DatabaseInput, Input, ProxyInput, Tls, UserNamespace};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Turns a systemd Linux host into a working authentik server and keeps it healthy.
#[derive(Debug, Parser)]
#[command(name = "authentik-install", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(args_override_self = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 a step failed, run again · 2 usage or settings, nothing touched · \
3 host not fit, nothing touched · 4 changes pending (plan --exit-code) · \
5 not healthy (verify) · 6 another run holds the \
lock · 130, 143 stopped by a signal";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look whether this host is fit: systemd, Podman, PostgreSQL, Caddy, ports. Changes nothing.
    #[command(
        after_help = "Examples:\n  authentik-install check\n  authentik-install check --domain auth.example.com --json"
    )]
    Check(Box<Check>),
    /// Show every change that `install` would make, in order. Changes nothing.
    #[command(after_help = "Example:\n  authentik-install plan --domain auth.example.com --diff")]
    Plan(Box<Plan>),
    /// Install authentik, or bring an installation back to what its settings say. Run it at any time.
    #[command(
        after_help = "Examples:\n  authentik-install install --domain auth.example.com --acme-email admin@example.com --yes\n  authentik-install install --domain auth.lan.internal --tls internal --yes"
    )]
    Install(Box<Install>),
    /// Look whether the installation is healthy: for a person, monitoring and cron. Changes nothing.
    #[command(
        after_help = "Examples:\n  authentik-install verify\n  authentik-install verify --json\n  authentik-install verify --format nagios --deadline 20\n  authentik-install verify --format prometheus --output /var/lib/prometheus/node-exporter/authentik.prom\n\nExit codes: 0 healthy, warnings allowed · 5 not healthy · with --format nagios: 0 ok · 1 warning · 2 critical · 3 unknown"
    )]
    Verify(Box<Verify>),
    /// Get in as the administrator.
    #[command(subcommand)]
    Admin(Admin),
    /// Run a command of authentik's own, in its worker: with the right user, groups and settings.
    #[command(after_help = "Example:\n  authentik-install ak -- test_email admin@example.com")]
    Ak(Ak),
    /// Show the logs. `podman logs` has none for a system user: they are in the journal.
    #[command(
        after_help = "Examples:\n  authentik-install logs server -n 50\n  authentik-install logs worker --follow --since -1h"
    )]
    Logs(Logs),
    /// Write, show and check the settings.
    #[command(subcommand)]
    Settings(SettingsVerb),
}

/// `check`
#[derive(Debug, Args)]
pub struct Check {
    /// Settings: what is to be installed decides what is needed.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Which phases.
    #[command(flatten)]
    pub phases: PhaseArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Show differences of files; secrets are never shown.
    #[arg(long)]
    pub diff: bool,
    /// Exit with 4 if changes are pending.
    #[arg(long)]
    pub exit_code: bool,
}

/// `install`
#[derive(Debug, Args)]
pub struct Install {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Which phases.
    #[command(flatten)]
    pub phases: PhaseArgs,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Show the plan and stop: the same as `plan`.
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run, or before asking: show differences of files.
    #[arg(long)]
    pub diff: bool,
    /// Print JSON lines. The recovery link is not among them: `admin link` prints one.
    #[arg(long)]
    pub json: bool,
    /// No moving progress, also on a terminal.
    #[arg(long)]
    pub no_progress: bool,
}

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
    #[arg(long, value_name = "FILE")]
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

/// Where the settings of an installation are.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The settings file.
    #[arg(long, value_name = "FILE", env = "AUTHENTIK_INSTALL_CONFIG", default_value = SETTINGS_PATH)]
    pub config: PathBuf,
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
    /// File that holds it, readable by root alone.
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

/// `settings`
#[derive(Debug, Subcommand)]
pub enum SettingsVerb {
    /// Write an annotated settings file, with every key and its default.
    #[command(after_help = "Example:\n  authentik-install settings init --domain auth.example.com")]
    Init(SettingsInit),
    /// Show every value in effect and where it comes from. No secret is among them.
    #[command(after_help = "Example:\n  authentik-install settings show")]
    Show(Box<SettingsShow>),
    /// Check the settings as `install` would, given secrets too. Changes nothing.
    #[command(after_help = "Example:\n  authentik-install settings check")]
    Check(Box<SettingsCheck>),
}

/// `settings init`
#[derive(Debug, Args)]
pub struct SettingsInit {
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE", env = "AUTHENTIK_INSTALL_CONFIG", default_value = SETTINGS_PATH)]
    pub config: PathBuf,
    /// Public host name to write into it.
    #[arg(long)]
    pub domain: Option<Domain>,
    /// Print it instead.
    #[arg(long)]
    pub stdout: bool,
}

/// `settings show`
#[derive(Debug, Args)]
pub struct SettingsShow {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `settings check`
#[derive(Debug, Args)]
pub struct SettingsCheck {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Where the settings are.
pub const SETTINGS_PATH: &str = "/etc/authentik/install.toml";

/// Settings that can be given as flags; each one has a variable, and most a key in the file.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// The settings file; choices made by flags are written into it.
    #[arg(long, value_name = "FILE", env = "AUTHENTIK_INSTALL_CONFIG", default_value = SETTINGS_PATH)]
    pub config: PathBuf,
    /// Public host name of the login, as in auth.example.com.
    #[arg(long, env = "AUTHENTIK_INSTALL_DOMAIN")]
    pub domain: Option<Domain>,
    /// Version of authentik, in full. Default: the newest known-good one.
    #[arg(long, env = "AUTHENTIK_INSTALL_AUTHENTIK_VERSION")]
    pub version: Option<Version>,
    /// Image without tag, as in ghcr.io/goauthentik/server.
    #[arg(long, value_name = "REF", env = "AUTHENTIK_INSTALL_IMAGE")]
    pub image: Option<ImageName>,
    /// Load the image from this OCI or docker archive instead of pulling it.
    #[arg(long, value_name = "FILE", env = "AUTHENTIK_INSTALL_IMAGE_ARCHIVE")]
    pub image_archive: Option<PathBuf>,
    /// How Caddy gets the certificate [default: acme].
    #[arg(long, value_enum, env = "AUTHENTIK_INSTALL_TLS")]
    pub tls: Option<Tls>,
    /// Mail address for the ACME account.
    #[arg(long, value_name = "EMAIL", env = "AUTHENTIK_INSTALL_ACME_EMAIL")]
    pub acme_email: Option<Email>,
    /// Mail address of the first administrator.
    #[arg(long, value_name = "EMAIL", env = "AUTHENTIK_INSTALL_ADMIN_EMAIL")]
    pub admin_email: Option<Email>,
    /// File with the password of the first administrator. Default: a random one that is kept
    /// nowhere, and a one-time link at the end.
    #[arg(long, value_name = "FILE", env = "AUTHENTIK_INSTALL_ADMIN_PASSWORD_FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// Name of the PostgreSQL database [default: authentik].
    #[arg(long, value_name = "NAME", env = "AUTHENTIK_INSTALL_DATABASE_NAME")]
    pub database_name: Option<PgName>,
    /// Name of the PostgreSQL role [default: authentik].
    #[arg(long, value_name = "NAME", env = "AUTHENTIK_INSTALL_DATABASE_USER")]
    pub database_user: Option<PgName>,
    /// What the image's user is on this host [default: host].
    #[arg(long, value_enum, env = "AUTHENTIK_INSTALL_USER_NAMESPACE")]
    pub user_namespace: Option<UserNamespace>,
    /// How authentik logs in to PostgreSQL [default: scram].
    #[arg(long, value_enum, env = "AUTHENTIK_INSTALL_DATABASE_AUTH")]
    pub database_auth: Option<DatabaseAuth>,
    /// Install a line that upstream does not mend any more.
    #[arg(long, env = "AUTHENTIK_INSTALL_ALLOW_UNSUPPORTED_LINE")]
    pub allow_unsupported_line: bool,
    /// Install a line newer than this program knows, as if it were the newest known one.
    #[arg(long, env = "AUTHENTIK_INSTALL_ALLOW_UNKNOWN_LINE")]
    pub allow_unknown_line: bool,
    /// Any key of the settings file, as in web.workers=4. Can be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where systemd puts the credentials of a unit.
    #[arg(long, value_name = "DIR", env = "CREDENTIALS_DIRECTORY", hide = true)]
    pub credentials_directory: Option<PathBuf>,
    /// Longest wait in seconds for authentik to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub deadline: u64,
}

impl SettingsArgs {
    /// The flags in the shape of the settings file; those of their own win over `--set`.
    ///
    /// # Errors
    /// If a `--set` has no such key or value.
    pub fn input(&self) -> Result<Input> {
        let flags = Input {
            domain: self.domain.clone(),
            version: self.version.clone(),
            image: self.image.clone(),
            admin_email: self.admin_email.clone().map(Some),
            user_namespace: self.user_namespace,
            allow_unsupported_line: self.allow_unsupported_line.then_some(true),
            allow_unknown_line: self.allow_unknown_line.then_some(true),
            proxy: ProxyInput {
                tls: self.tls,
                acme_email: self.acme_email.clone().map(Some),
                ..ProxyInput::default()
            },
            database: DatabaseInput {
                name: self.database_name.clone(),
                user: self.database_user.clone(),
                auth: self.database_auth,
                ..DatabaseInput::default()
            },
            ..Input::default()
        };
        flags.over(&set(&self.set)?)
    }
}

// Each pair is a line of TOML; a value that is none is taken as text.
fn set(pairs: &[String]) -> Result<Input> {
    let mut lines = String::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failure::new("reading", format!("--set {pair}"), "there is no '='")
                .next("write it as --set web.workers=4")
                .exit(Exit::Usage));
        };
        let line = match value.parse::<toml_edit::Value>() {
            Ok(value) => format!("{key} = {value}\n"),
            Err(_) => format!("{key} = {}\n", toml_edit::Value::from(value)),
        };
        lines.push_str(&line);
    }
    Input::from_toml(&lines, std::path::Path::new("--set"))
}

/// A choice of phases.
#[derive(Debug, Args)]
pub struct PhaseArgs {
    /// Only these phases.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PHASES")]
    pub only: Vec<Phase>,
    /// All but these phases.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PHASES", conflicts_with = "only")]
    pub skip: Vec<Phase>,
}

impl PhaseArgs {
    /// The chosen phases, in their own order.
    pub fn chosen(&self) -> Vec<Phase> {
        Phase::ALL
            .into_iter()
            .filter(|phase| self.only.is_empty() || self.only.contains(phase))
            .filter(|phase| !self.skip.contains(phase))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn phases_keep_their_order() {
        let args = PhaseArgs { only: vec![Phase::Proxy, Phase::Accounts], skip: vec![] };
        assert_eq!(args.chosen(), [Phase::Accounts, Phase::Proxy]);
        let args = PhaseArgs { only: vec![], skip: vec![Phase::Proxy] };
        assert_eq!(args.chosen().len(), 4);
    }
}
