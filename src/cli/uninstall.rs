//! `uninstall`

use super::settings::ConfigArgs;
use clap::Args;

/// `uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Settings.
    #[command(flatten)]
    pub settings: ConfigArgs,
    /// Delete everything as well that authentik has kept: database, uploads, secrets, settings, and all
    /// backups in their folder. It asks for the domain, or takes it: --delete-data=auth.example.com.
    #[arg(long, value_name = "DOMAIN", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub delete_data: Option<String>,
    /// Look at everything, say what would be done, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Show the differences of files.
    #[arg(long)]
    pub diff: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}
