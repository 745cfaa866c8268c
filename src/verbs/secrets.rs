//! Secrets that somebody hands in: by a file that the settings name, or as a systemd credential.

use crate::cli::SettingsArgs;
use crate::error::{Exit, Failure, Result};
use crate::host::Reader;
use crate::names::AbsPath;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::settings::input::DatabaseAuth;
use crate::settings::secrets::{self, Given};
use std::io::Read;
use std::path::{Path, PathBuf};

type Rule = fn(&Secret) -> std::result::Result<(), String>;

struct Place<'s> {
    /// Name of our own file, and of the credential.
    name: &'static str,
    /// The file that the settings name.
    file: Option<&'s AbsPath>,
    rule: Rule,
}

/// Reads what the settings of this release have a use for.
///
/// # Errors
/// With [`Exit::Usage`] if one cannot be read, or some part of authentik would misread it.
pub(super) fn given(host: &Reader, settings: &Settings, args: &SettingsArgs) -> Result<Given> {
    let read = |needed, name, file, rule: Rule| match needed {
        true => {
            find(host, settings, args.credentials_directory.as_deref(), &Place { name, file, rule })
        }
        false => Ok(None),
    };
    let database = settings.database.auth == DatabaseAuth::Scram;
    let mail = settings.email.username.is_some();
    let (of_database, of_cache) = (&settings.database.password_file, &settings.cache.password_file);
    let (key, of_mail) = (&settings.secret_key_file, &settings.email.password_file);
    let cache = settings.release.cache();
    let given = Given {
        secret_key: read(true, "secret_key", key.as_ref(), secrets::readable)?,
        database_password: read(
            database,
            "database_password",
            of_database.as_ref(),
            secrets::database_password,
        )?,
        cache_password: read(cache, "cache_password", of_cache.as_ref(), secrets::readable)?,
        smtp_password: read(mail, "smtp_password", of_mail.as_ref(), secrets::readable)?,
    };
    let kept = host.stat(&settings.paths.secret("smtp_password"))?.is_some();
    if mail && given.smtp_password.is_none() && !kept {
        return Err(Failure::new(
            "reading the settings",
            "email.username",
            "it has no password to go with it",
        )
        .next("set email.password_file, or take username out")
        .exit(Exit::Usage));
    }
    Ok(given)
}

fn find(
    host: &Reader,
    settings: &Settings,
    credentials: Option<&Path>,
    place: &Place<'_>,
) -> Result<Option<Secret>> {
    let path: PathBuf = match (place.file, credentials) {
        (Some(file), _) => {
            // Needed once: what was taken from it stands in a file of ours from then on.
            let kept = host.stat(&settings.paths.secret(place.name))?.is_some();
            if kept && !file.path().exists() {
                return Ok(None);
            }
            file.path().to_owned()
        }
        (None, Some(dir)) if dir.join(place.name).exists() => dir.join(place.name),
        (None, _) => return Ok(None),
    };
    let secret = from_file(host, &path)?;
    (place.rule)(&secret).map_err(|why| refused(&path, why))?;
    Ok(Some(secret))
}

/// Reads a secret from a file that the administrator named.
///
/// # Errors
/// With [`Exit::Usage`] if it cannot be read or is not one line of text.
pub(super) fn from_file(host: &Reader, path: &Path) -> Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    host.open_named(path)
        .map_err(|failure| failure.exit(Exit::Usage))?
        .take(4096)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new("reading the secret in", path.display(), error))?;
    Secret::from_file_bytes(&bytes).map_err(|why| refused(path, why))
}

pub(super) fn refused(path: &Path, why: String) -> Failure {
    Failure::new("reading the secret in", path.display(), why)
        .next("write another one, as one line, into that file")
        .exit(Exit::Usage)
}
