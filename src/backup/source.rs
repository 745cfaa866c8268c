//! What a backup is made of: everything from which an empty host becomes this one.

use super::manifest::{Authentik, Postgresql};
use super::owner::Maps;
use super::pack::Listed;
use super::settings::{INSTALL_TOML, TREE};
use crate::error::{Exit, Failure, Result};
use crate::facts;
use crate::host::Reader;
use crate::host::accounts::{Account, SubIdKind};
use crate::host::postgres::Server;
use crate::host::session::Session;
use crate::settings::Settings;
use crate::settings::input::UserNamespace;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Names of the trees of each archive.
pub(super) const DATA: &[&str] = &["data", "media", "templates", "certs", "blueprints"];
const CONFIG: &[&str] = &["etc", TREE, "units", "boot", "site", "ledger"];

/// The names of the trees that an archive holds.
pub(super) fn trees(start: &str) -> &'static [&'static str] {
    if start == "data.tar" { DATA } else { CONFIG }
}

/// Where an installation keeps what the trees of `data.tar` hold.
pub fn places(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let paths = &settings.paths;
    let mut places: Vec<(&str, PathBuf)> = Vec::new();
    places.extend(paths.data.iter().map(|data| ("data", data.clone())));
    if !paths.media_in_data() {
        places.push(("media", paths.media.clone()));
    }
    places.push(("templates", paths.templates.clone()));
    places.push(("certs", paths.certs.clone()));
    places.push(("blueprints", paths.blueprints.clone()));
    places
}

/// The installation, as far as a backup needs to know it.
#[derive(Debug)]
pub(super) struct Installation {
    /// The service user.
    pub account: Account,
    /// Numbers of owners.
    pub maps: Maps,
    /// The database server.
    pub server: Server,
    /// Digest of the image.
    pub digest: Option<String>,
    /// Our site in Caddy's configuration.
    site: Option<PathBuf>,
}

impl Installation {
    /// Looks at it.
    ///
    /// # Errors
    /// If nothing is installed here, or PostgreSQL does not answer.
    pub fn look(host: &Reader, settings: &Settings) -> Result<Self> {
        let missing = |what: &str, why: &str| {
            Failure::new("backing up", what, why).next("authentik-install verify").exit(Exit::Unfit)
        };
        let user = settings.user.as_str();
        let account = host
            .account(user)?
            .ok_or_else(|| missing("authentik", &format!("there is no user {user}")))?;
        let server =
            host.postgres()?.ok_or_else(|| missing("PostgreSQL", "it is not installed"))?;
        // Not being able to find the site is no reason for having no backup at all.
        let site = facts::proxy::look(host).ok().flatten().map(|proxy| proxy.site);
        let digest = digest(host, &account)?;
        let maps = maps(host, &account, settings.user_namespace)?;
        Ok(Installation { maps, account, server, digest, site })
    }

    /// What authentik keeps in files.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn data(&self, host: &Reader, settings: &Settings) -> Result<Vec<Listed>> {
        let listed = places(settings).into_iter().map(|(name, path)| Listed::of(host, name, &path));
        listed.filter_map(Result::transpose).collect()
    }

    /// Settings, secrets and whatever makes up the installation on this host.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn config(&self, host: &Reader, settings: &Settings) -> Result<Vec<Listed>> {
        let quadlets = format!("/etc/containers/systemd/users/{}", self.account.uid);
        let boot = format!("/etc/systemd/system/user@{}.service.d", self.account.uid);
        let site = self.site.as_deref().and_then(|site| site.parent()).map(PathBuf::from);
        // A folder that others share is theirs.
        let site = site.filter(|dir| dir.ends_with("authentik.d"));
        let trees = [
            ("etc", Some(settings.paths.etc.clone())),
            ("units", Some(quadlets.into())),
            ("boot", Some(boot.into())),
            ("site", site),
            ("ledger", Some("/var/lib/authentik-install".into())),
        ];
        let there = trees.into_iter().filter_map(|(name, path)| Some((name, path?)));
        let listed = there.map(|(name, path)| Listed::of(host, name, &path));
        let mut listed: Vec<Listed> =
            listed.filter_map(Result::transpose).collect::<Result<_>>()?;
        if let Some(place) = elsewhere(settings) {
            listed.extend(Listed::of_file(host, TREE, place)?);
        }
        Ok(listed)
    }
}

/// Folder and name of the settings, where they are not among those that `etc` holds.
pub(super) fn elsewhere(settings: &Settings) -> Option<(&Path, &OsStr)> {
    let path = &settings.paths.settings;
    let usual = *path == settings.paths.etc.join(INSTALL_TOML);
    path.parent().zip(path.file_name()).filter(|_| !usual)
}

/// How numbers of this host and numbers inside the containers belong together.
///
/// # Errors
/// If the account has no subordinate ids.
pub fn maps(host: &Reader, account: &Account, mode: UserNamespace) -> Result<Maps> {
    let range = |kind| -> Result<(u32, u32)> {
        let ranges = host.subids(kind)?;
        let own = ranges.iter().find(|range| range.owner == account.name);
        own.map(|range| (range.start, range.count)).ok_or_else(|| {
            Failure::new("looking for the subordinate ids of", &account.name, "it has none")
                .next("authentik-install install")
                .exit(Exit::Unfit)
        })
    };
    let ranges = (range(SubIdKind::User)?, range(SubIdKind::Group)?);
    Ok(Maps::of(account, ranges, mode))
}

// The units pin it; Podman cannot be asked in a sandbox without namespaces.
fn digest(host: &Reader, account: &Account) -> Result<Option<String>> {
    let unit = format!("/etc/containers/systemd/users/{}/authentik-server.container", account.uid);
    let Some(file) = host.read(unit.as_ref())? else { return Ok(None) };
    let text = file.text()?;
    let image = text.lines().find_map(|line| line.strip_prefix("Image="));
    Ok(image.and_then(|image| image.split_once('@')).map(|(_, digest)| digest.to_owned()))
}

/// authentik, as the settings and the database have it.
pub(super) fn authentik(
    settings: &Settings,
    digest: Option<String>,
    newest: Option<String>,
) -> Authentik {
    Authentik {
        version: settings.version.to_string(),
        migrated_by: newest,
        image: settings.image.to_string(),
        digest,
    }
}

#[derive(Deserialize)]
struct About {
    newest: Option<String>,
    owner: String,
    encoding: String,
    provider: String,
    locale: Option<String>,
    bytes: u64,
    extensions: BTreeMap<String, String>,
    schemas: Vec<String>,
}

/// Every table that has rows of its own, counted by the server in one question.
pub(super) const ROWS: &str = "SELECT coalesce(json_object_agg(name, rows), '{}') FROM (
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
        (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %I.%I',
            n.nspname, c.relname), false, true, '')))[1]::text::bigint AS rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%') counted";

/// Says which folders of authentik are not there: an installation has them all, so a disk may be missing.
pub(super) fn missing(settings: &Settings, listed: &[Listed]) -> Vec<String> {
    let here = |name: &str| listed.iter().any(|listed| listed.name == name);
    let missing = places(settings).into_iter().filter(|(name, _)| !here(name));
    missing.map(|(_, path)| format!("{}: there is no such folder", path.display())).collect()
}

/// Schemas that are not PostgreSQL's own.
pub(super) const SCHEMAS: &str =
    "SELECT coalesce(json_agg(nspname ORDER BY nspname), '[]') FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'";

/// What the database is, and which version of authentik migrated it, at the moment that it is held at;
/// its rows are counted later.
///
/// # Errors
/// If the server does not answer.
pub(super) fn database(host: &Reader, session: &Session) -> Result<(Postgresql, Option<String>)> {
    // Older servers have neither provider nor builtin locale.
    let (provider, locale) = match session.server.major() {
        17.. => ("datlocprovider", "coalesce(datlocale, datcollate)"),
        15..17 => ("datlocprovider", "coalesce(daticulocale, datcollate)"),
        _ => ("'c'", "datcollate"),
    };
    let history = "to_regclass('authentik_version_history') IS NOT NULL";
    let newest = match host.ask_still::<bool>(session, &format!("SELECT to_json({history})"))? {
        true => "(SELECT version FROM authentik_version_history ORDER BY timestamp DESC LIMIT 1)",
        false => "NULL",
    };
    let sql = format!(
        "SELECT json_build_object('newest', {newest}, 'owner', pg_get_userbyid(datdba),
            'encoding', pg_encoding_to_char(encoding), 'provider', {provider}, 'locale', {locale},
            'bytes', pg_database_size(oid), 'schemas', ({SCHEMAS}),
            'extensions', (SELECT coalesce(json_object_agg(extname, extversion), '{{}}') FROM pg_extension))
         FROM pg_database WHERE datname = current_database()"
    );
    let about: About = host.ask_still(session, &sql)?;
    let found = Postgresql {
        version: session.server.version,
        database: session.database.clone(),
        role: about.owner,
        encoding: about.encoding,
        provider: about.provider,
        locale: about.locale,
        bytes: about.bytes,
        extensions: about.extensions,
        schemas: about.schemas,
        rows: BTreeMap::new(),
    };
    Ok((found, about.newest))
}
