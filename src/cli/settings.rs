//! Settings on the command line.

use crate::blueprint::Phase;
use crate::error::{Exit, Failure, Result};
use crate::names::{Domain, Email, ImageName, PgName, Version};
use crate::settings::input::{DatabaseAuth, DatabaseInput, Input, ProxyInput, Tls, UserNamespace};
use clap::Args;
use std::path::PathBuf;

/// Seconds that authentik has to answer: the first start migrates for minutes.
pub const DEADLINE: u64 = 900;
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
    #[arg(long, value_name = "SECONDS", default_value_t = DEADLINE, value_parser = clap::value_parser!(u64).range(1..=86_400))]
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

/// How far a run goes: which phases, and whether over what others made.
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// Only these phases.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PHASES")]
    pub only: Vec<Phase>,
    /// All but these phases.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PHASES", conflicts_with = "only")]
    pub skip: Vec<Phase>,
    /// Let what is in the way or would do become ours, where that is enough: an account, a role, a database with all
    /// that is in it, files and folders of these names. A file's old content is kept as NAME.edited.
    #[arg(long)]
    pub adopt: bool,
}

impl ScopeArgs {
    /// The chosen phases, in their own order.
    pub fn chosen(&self) -> Vec<Phase> {
        Phase::ALL
            .into_iter()
            .filter(|phase| self.only.is_empty() || self.only.contains(phase))
            .filter(|phase| !self.skip.contains(phase))
            .collect()
    }
}

/// Where the settings of an installation are.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The settings file.
    #[arg(long, value_name = "FILE", env = "AUTHENTIK_INSTALL_CONFIG", default_value = SETTINGS_PATH)]
    pub config: PathBuf,
}
