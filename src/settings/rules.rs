//! What does not go together, said by the key that has to change.

use crate::data::release::{self, Release};
use crate::error::Result;
use crate::settings::input::{DatabaseAuth, Offsite, Tls, UserNamespace, Values};
use std::path::Path;

/// A broken rule.
pub(super) struct Broken {
    /// The key, with its table.
    pub key: Vec<String>,
    /// Why.
    pub why: String,
    /// What to write instead.
    pub next: String,
}

fn broken(key: &[&str], why: impl Into<String>, next: impl Into<String>) -> Broken {
    let key = key.iter().map(|part| (*part).to_owned()).collect();
    Broken { key, why: why.into(), next: next.into() }
}

/// Settings of authentik that this program writes itself, and the key that decides them.
const OWNED: &[(&str, &str)] = &[
    ("AUTHENTIK_SECRET_KEY", "secret_key_file"),
    ("AUTHENTIK_POSTGRESQL__HOST", "nothing: the host's PostgreSQL is asked"),
    ("AUTHENTIK_POSTGRESQL__PORT", "nothing: the host's PostgreSQL is asked"),
    ("AUTHENTIK_POSTGRESQL__NAME", "database.name"),
    ("AUTHENTIK_POSTGRESQL__USER", "database.user"),
    ("AUTHENTIK_POSTGRESQL__PASSWORD", "database.password_file"),
    ("AUTHENTIK_POSTGRESQL__SSLMODE", "nothing: the socket is local"),
    ("AUTHENTIK_CACHE__URL", "cache.database and cache.password_file"),
    ("AUTHENTIK_CHANNEL__URL", "cache.database and cache.password_file"),
    ("AUTHENTIK_BROKER__URL", "cache.database and cache.password_file"),
    ("AUTHENTIK_RESULT_BACKEND__URL", "cache.database and cache.password_file"),
    ("AUTHENTIK_REDIS__*", "cache.database and cache.password_file"),
    ("AUTHENTIK_LISTEN__*", "http_port and https_port"),
    ("AUTHENTIK_WEB__BASE_URL", "domain"),
    ("AUTHENTIK_WEB__WORKERS", "web.workers"),
    ("AUTHENTIK_WEB__THREADS", "web.threads"),
    ("AUTHENTIK_WEB__PATH", "nothing: health checks ask at the root"),
    ("AUTHENTIK_EMAIL__*", "the keys of [email]"),
    ("AUTHENTIK_BOOTSTRAP_*", "admin_email and --admin-password-file"),
];

pub(super) fn check(values: &Values, release: &Release) -> Result<Vec<Broken>> {
    let mut found = Vec::new();
    database(values, release, &mut found);
    proxy(values, &mut found);
    ports(values, &mut found);
    folders(values, &mut found);
    backup(values, &mut found);
    email(values, &mut found);
    cache(values, release, &mut found);
    for (key, value, low, high) in
        [("workers", values.web.workers, 1, 64), ("threads", values.web.threads, 1, 64)]
    {
        if !(low..=high).contains(&value) {
            found.push(broken(
                &["web", key],
                format!("{value} is not within {low} and {high}"),
                "leave it out",
            ));
        }
    }
    env(values, release, &mut found)?;
    Ok(found)
}

fn database(values: &Values, release: &Release, found: &mut Vec<Broken>) {
    let database = &values.database;
    if database.auth != DatabaseAuth::Peer {
        return;
    }
    let mut refuse = |why: String| {
        found.push(broken(&["database", "auth"], why, "use database.auth = \"scram\""))
    };
    if !release.peer {
        refuse(format!(
            "authentik {} cannot log in without a password in all its parts (2026.8 can)",
            release.line
        ));
    }
    if values.user_namespace != UserNamespace::KeepId {
        refuse("\"peer\" needs user_namespace = \"keep-id\": with \"host\" the kernel shows PostgreSQL a \
                subordinate id, which is no account"
            .into());
    }
    if database.user.as_str() != values.user.as_str() {
        refuse(format!(
            "\"peer\" lets the system user {} in as the role of its own name, and the role is {}",
            values.user, database.user
        ));
    }
    if database.password_file.is_some() {
        refuse("with \"peer\" there is no password, but database.password_file gives one".into());
    }
}

fn proxy(values: &Values, found: &mut Vec<Broken>) {
    let proxy = &values.proxy;
    if !proxy.enabled {
        return;
    }
    match (proxy.tls, &proxy.certificate, &proxy.key) {
        (Tls::Files, Some(_), Some(_)) => {}
        (Tls::Files, _, _) => found.push(broken(
            &["proxy", "tls"],
            "\"files\" needs proxy.certificate and proxy.key",
            "set both, or use \"acme\" or \"internal\"",
        )),
        (_, None, None) => {}
        (tls, _, _) => found.push(broken(
            &["proxy", "tls"],
            format!("a certificate of your own is set, and tls is \"{}\"", tls.as_str()),
            "use tls = \"files\", or take certificate and key out",
        )),
    }
    if proxy.tls == Tls::Acme && !values.domain.is_public() {
        found.push(broken(
            &["domain"],
            format!("no public authority certifies {}", values.domain.host()),
            "use --tls internal (Caddy's own authority), or a public name",
        ));
    }
}

fn ports(values: &Values, found: &mut Vec<Broken>) {
    let http = values.http_port.number();
    if values.https_port.is_some_and(|port| port.number() == http) {
        found.push(broken(&["https_port"], "it is the same as http_port", "use 9443"));
    }
    if values.proxy.enabled
        && [http, values.https_port.map_or(0, |p| p.number())].contains(&values.domain.port())
    {
        found.push(broken(
            &["domain"],
            format!("its port {} is the server's own on 127.0.0.1", values.domain.port()),
            "use another port for one of them",
        ));
    }
}

fn folders(values: &Values, found: &mut Vec<Broken>) {
    const HOUSE: [&str; 6] = ["/var/lib/authentik/home", "/etc", "/usr", "/proc", "/sys", "/run"];
    let media = values.media_dir.as_ref().map(|dir| ("media_dir", dir.path()));
    let all: Vec<(&str, &Path)> = [
        ("data_dir", values.data_dir.path()),
        ("templates_dir", values.templates_dir.path()),
        ("certs_dir", values.certs_dir.path()),
    ]
    .into_iter()
    .chain(media)
    .collect();
    for (key, path) in &all {
        if let Some(house) = HOUSE.iter().find(|house| path.starts_with(house)) {
            found.push(broken(
                &[key],
                format!("it lies below {house}, which is for other things"),
                "use a folder below /srv or /var/lib",
            ));
        }
        if path.components().count() < 3 {
            found.push(broken(
                &[key],
                "it is a top-level folder, whose owner would change",
                "use a folder below it",
            ));
        }
        let inside = all.iter().find(|(other, outer)| {
            other != key
                && path.starts_with(outer)
                && !(*key == "media_dir" && *other == "data_dir" && path == &outer.join("media"))
        });
        if let Some((other, _)) = inside {
            found.push(broken(
                &[key],
                format!("it is {other}, or lies in it"),
                "use a folder of its own",
            ));
        }
    }
}

// A backup that lies in what it backs up would hold itself, and go with it.
fn backup(values: &Values, found: &mut Vec<Broken>) {
    let dir = values.backup.dir.path();
    let inside = [values.data_dir.path(), values.templates_dir.path(), values.certs_dir.path()]
        .into_iter()
        .chain(values.media_dir.as_ref().map(|media| media.path()))
        .chain(["/etc", "/var/lib/authentik", "/var/lib/authentik-install"].map(Path::new))
        .find(|outer| dir.starts_with(outer));
    if let Some(outer) = inside {
        found.push(broken(
            &["backup", "dir"],
            format!("it lies in {}, which is backed up", outer.display()),
            "use /var/backups/authentik, or a folder on another disk",
        ));
    }
    offsite(&values.backup.offsite, found);
}

fn offsite(offsite: &Offsite, found: &mut Vec<Broken>) {
    let restic = offsite.password_file.is_some() || offsite.environment_file.is_some();
    let mut refuse = |key: &'static str, why: &str, next: &str| {
        found.push(broken(&["backup", "offsite", key], why.to_owned(), next));
    };
    if offsite.command.is_some() && (offsite.repository.is_some() || restic) {
        refuse("command", "copies go one way", "take out command, or what is restic's");
    }
    if offsite.repository.is_some() != offsite.password_file.is_some()
        || (offsite.repository.is_none() && restic)
    {
        refuse(
            "repository",
            "restic needs repository and password_file",
            "set both backup.offsite.repository and backup.offsite.password_file",
        );
    }
}

fn email(values: &Values, found: &mut Vec<Broken>) {
    let mail = &values.email;
    let others = mail.port.is_some()
        || mail.username.is_some()
        || mail.password_file.is_some()
        || mail.encryption.is_some();
    if mail.host.is_none() && others {
        found.push(broken(&["email"], "without host no mail is sent", "set email.host"));
    }
    if mail.username.is_none() && mail.password_file.is_some() {
        found.push(broken(
            &["email", "password_file"],
            "a password without username",
            "set email.username, or take it out",
        ));
    }
    // Inside the container that is the container.
    if mail
        .host
        .as_ref()
        .is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str()))
    {
        found.push(broken(
            &["email", "host"],
            "inside the container that is the container itself",
            "use the host's public name or address",
        ));
    }
}

fn cache(values: &Values, release: &Release, found: &mut Vec<Broken>) {
    let cache = &values.cache;
    if !release.cache() && (cache.database.is_some() || cache.password_file.is_some()) {
        found.push(broken(
            &["cache"],
            format!("authentik {} has no use for Valkey", release.line),
            "take the keys of [cache] out",
        ));
    }
}

fn env(values: &Values, release: &Release, found: &mut Vec<Broken>) -> Result<()> {
    for name in values.env.keys() {
        let key = ["env", name.as_str()];
        let owned = OWNED.iter().find(|(own, _)| match own.strip_suffix('*') {
            Some(start) => name.as_str().starts_with(start),
            None => name.as_str() == *own,
        });
        if let Some(row) = release::retired(name.as_str(), &release.line)? {
            let why = format!(
                "authentik {} does not take {name} any more ({})",
                release.line, row.source
            );
            let next = match row.now.as_str() {
                "" => format!("take {name} out"),
                now => format!("write {now} instead"),
            };
            found.push(broken(&key, why, next));
        } else if let Some((_, by)) = owned {
            found.push(broken(
                &key,
                format!("{name} is written by authentik-install"),
                format!("it is decided by {by}"),
            ));
        }
    }
    Ok(())
}
