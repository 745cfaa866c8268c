//! The command line: what can be typed, and nothing else.

mod backup;
mod care;
mod own;
mod restore;
mod settings;
mod uninstall;

pub use backup::{
    Backup, BackupVerb, Create, Export, Fetch, Key, List, Prove, Prune, Schedule, Send, Shelf, Show,
};
pub use care::{Admin, Ak, Doctor, Format, Link, Logs, Part, Password, ResetGroup, Status, Verify};
pub use own::{Completions, KeyArgs, Man, Own, Shell, Update, VerifyDownload};
pub use restore::{Commit, Restore, RestoreVerb};
pub use settings::{ConfigArgs, DEADLINE, SETTINGS_PATH, ScopeArgs, SettingsArgs};

pub use uninstall::Uninstall;

use crate::data::program::version_line;
use crate::names::Domain;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Turns a systemd Linux host into a working authentik server and keeps it healthy.
#[derive(Debug, Parser)]
#[command(name = "authentik-install", version = version_line(), max_term_width = 100, after_help = EXIT_CODES)]
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
lock · 129, 130, 143 stopped by a signal";

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
        after_help = "Examples:\n  authentik-install install --domain auth.example.com --acme-email admin@example.com --yes\n  authentik-install install --domain auth.example.com --acme-email admin@example.com --install-packages --yes\n  authentik-install install --domain auth.lan.internal --tls internal --yes"
    )]
    Install(Box<Install>),
    /// Look whether the installation is healthy: for a person, monitoring and cron. Changes nothing.
    #[command(
        after_help = "Examples:\n  authentik-install verify\n  authentik-install verify --json\n  authentik-install verify --format nagios --deadline 20\n  authentik-install verify --format prometheus --output /var/lib/prometheus/node-exporter/authentik.prom\n\nExit codes: 0 healthy, warnings allowed · 5 not healthy · with --format nagios: 0 ok · 1 warning · 2 critical · 3 unknown"
    )]
    Verify(Box<Verify>),
    /// Show the installation on one screen: version, health, sizes, what comes next.
    #[command(
        after_help = "Examples:\n  authentik-install status\n  authentik-install status --json"
    )]
    Status(Status),
    /// Look at everything, and pack settings, plan, units and logs for whoever helps; no secrets.
    #[command(
        after_help = "Example:\n  authentik-install doctor\n\nExit codes: 0 healthy · 5 not healthy; the bundle is written in both cases"
    )]
    Doctor(Doctor),
    /// Back up, and look after the backups. Without a verb: make one.
    #[command(
        after_help = "Examples:\n  authentik-install backup\n  authentik-install backup verify latest --deep\n\nExit codes: 0 made · 7 made, and something could not be read as it should · 8 damaged · 9 there is none · 10 key missing or wrong"
    )]
    Backup(Box<Backup>),
    /// Restore a backup, over the installation that is here or onto an empty host.
    #[command(
        after_help = "Examples:\n  authentik-install restore latest --dry-run\n  authentik-install restore /mnt/usb/authentik.tar --domain auth.example.com\n  authentik-install restore --abort"
    )]
    Restore(Box<Restore>),
    /// Take authentik off this host. Database, data, secrets and backups stay, unless --delete-data.
    #[command(
        after_help = "Examples:\n  authentik-install uninstall --dry-run\n  authentik-install uninstall --yes\n  authentik-install uninstall --yes --delete-data=auth.example.com"
    )]
    Uninstall(Uninstall),
    /// Get in as the administrator.
    #[command(subcommand)]
    Admin(Admin),
    /// Run a command of authentik's own, in its worker: with the right user, groups and settings.
    #[command(after_help = "Example:\n  authentik-install ak -- create_admin_group akadmin")]
    Ak(Ak),
    /// Show the logs. `podman logs` has none for a system user: they are in the journal.
    #[command(
        after_help = "Examples:\n  authentik-install logs server -n 50\n  authentik-install logs worker --follow --since -1h"
    )]
    Logs(Logs),
    /// Write, show and check the settings.
    #[command(subcommand)]
    Settings(SettingsVerb),
    /// Look after this program itself.
    #[command(subcommand, name = "self")]
    Own(Own),
    /// Print the completions of a shell.
    #[command(
        after_help = "Example:\n  authentik-install completions bash >/etc/bash_completion.d/authentik-install"
    )]
    Completions(Completions),
    /// Print the manual page, or write those of all verbs.
    #[command(
        after_help = "Examples:\n  authentik-install man | man -l -\n  authentik-install man --output /usr/local/share/man/man1"
    )]
    Man(Man),
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
    /// How far it goes.
    #[command(flatten)]
    pub scope: ScopeArgs,
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
    /// How far it goes.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Install what `check` misses from the distribution's own archive, first.
    #[arg(long)]
    pub install_packages: bool,
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

// The folder that one stands in is no other one later.
fn absolute(text: &str) -> std::io::Result<PathBuf> {
    std::path::absolute(text)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::Phase;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn phases_keep_their_order() {
        let args =
            ScopeArgs { only: vec![Phase::Proxy, Phase::Accounts], skip: vec![], adopt: false };
        assert_eq!(args.chosen(), [Phase::Accounts, Phase::Proxy]);
        let args = ScopeArgs { only: vec![], skip: vec![Phase::Proxy], adopt: false };
        assert_eq!(args.chosen().len(), 5);
    }
}
