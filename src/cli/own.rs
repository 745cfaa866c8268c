//! What concerns the program itself.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `self`
#[derive(Debug, Subcommand)]
pub enum Own {
    /// Replace this program by the newest release, if that is signed by the key of the releases.
    #[command(
        after_help = "Examples:\n  authentik-install self update --check\n  authentik-install self update\n\nExit codes: 0 it is the newest, or was replaced · 4 there is a newer one (--check) · 8 not what was signed"
    )]
    Update(Update),
    /// Compare a file with its signature FILE.minisig by the key of the releases.
    #[command(
        after_help = "Example:\n  authentik-install self verify-download SHA256SUMS\n\nExit codes: 0 signed · 8 not what was signed · 9 no key to compare with"
    )]
    VerifyDownload(VerifyDownload),
}

/// Whose signature.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Public key to trust instead: of a mirror that builds and signs its own (minisign's, in base64).
    #[arg(long, value_name = "KEY")]
    pub public_key: Option<String>,
}

/// `self update`
#[derive(Debug, Args)]
pub struct Update {
    /// Only look whether there is a newer one.
    #[arg(long)]
    pub check: bool,
    /// A mirror of the releases.
    #[arg(long, value_name = "URL", env = "AUTHENTIK_INSTALL_BASE_URL", default_value = crate::data::program::RELEASES)]
    pub base_url: String,
    /// Whose signature.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `self verify-download`
#[derive(Debug, Args)]
pub struct VerifyDownload {
    /// The file that was downloaded.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose signature.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// The shells that completions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// `completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `man`
#[derive(Debug, Args)]
pub struct Man {
    /// Write a page for every verb into this folder, instead of printing the first one.
    #[arg(long, value_name = "FOLDER", value_parser = super::absolute)]
    pub output: Option<PathBuf>,
}
