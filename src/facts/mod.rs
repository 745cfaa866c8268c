//! What is true of this host, gathered in parallel and handed to the blueprint as a value.

pub mod proxy;

use crate::error::Result;
use crate::host::Reader;
use crate::host::accounts::{Account, SubIdKind};
use crate::host::podman::Image;
use crate::host::postgres::Server;
use crate::settings::Settings;
use proxy::Proxy;

/// A thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It is there.
    Known(T),
    /// It is not there.
    Absent,
    /// It could not be looked at, and why.
    Unknown(String),
}

impl<T> Fact<T> {
    fn of(answer: Result<Option<T>>) -> Self {
        match answer {
            Ok(Some(value)) => Fact::Known(value),
            Ok(None) => Fact::Absent,
            Err(failure) => Fact::Unknown(failure.to_string()),
        }
    }

    /// The thing, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Absent | Fact::Unknown(_) => None,
        }
    }
}

/// Ids on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The user that authentik's image runs as (`USER 1000`).
pub const IMAGE_ID: u32 = 1000;

/// What the blueprint needs to know.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The service user.
    pub account: Option<Account>,
    /// What the image's user is on the host, once the service user has subordinate ids.
    pub container: Option<Ids>,
    /// The host's PostgreSQL.
    pub postgres: Fact<Server>,
    /// Does the database hold an installation already?
    pub database_filled: bool,
    /// The image in the service user's storage.
    pub image: Option<Image>,
    /// The host's Caddy and where our site belongs.
    pub proxy: Fact<Proxy>,
}

impl Facts {
    /// Gathers everything.
    ///
    /// # Errors
    /// If the host's user database cannot be asked. Everything else is told in the facts.
    pub fn gather(host: &Reader, settings: &Settings) -> Result<Self> {
        let account = host.account(&settings.user)?;
        std::thread::scope(|scope| {
            let postgres = scope.spawn(|| postgres(host, settings));
            let proxy = scope.spawn(|| Fact::of(proxy::look(host)));
            let container = account.as_ref().map(|a| container_ids(host, a)).transpose()?.flatten();
            let image = match &account {
                Some(account) if host.manager_runs(account) => {
                    host.image(account, &settings.image_tag())?
                }
                _ => None,
            };
            let lost = || Fact::Unknown("the look ended early".to_owned());
            let (postgres, database_filled) = postgres.join().unwrap_or((Fact::Absent, false));
            let proxy = proxy.join().unwrap_or_else(|_| lost());
            Ok(Facts { account, container, postgres, database_filled, image, proxy })
        })
    }
}

// "host" mode: the pod's user namespace is Podman's own, where id n > 0 is the n-th subordinate id.
fn container_ids(host: &Reader, account: &Account) -> Result<Option<Ids>> {
    let first = |kind| -> Result<Option<u32>> {
        Ok(host
            .subids(kind)?
            .into_iter()
            .find(|range| range.owner == account.name && range.count >= IMAGE_ID)
            .and_then(|range| range.start.checked_add(IMAGE_ID - 1)))
    };
    Ok(match (first(SubIdKind::User)?, first(SubIdKind::Group)?) {
        (Some(uid), Some(gid)) => Some(Ids { uid, gid }),
        _ => None,
    })
}

fn postgres(host: &Reader, settings: &Settings) -> (Fact<Server>, bool) {
    let server = Fact::of(host.postgres());
    let filled = server.known().is_some_and(|server| {
        let database = &settings.database.value;
        let exists: Result<Option<bool>> = host.query(
            server,
            "postgres",
            &format!(
                "SELECT to_json(EXISTS (SELECT FROM pg_database WHERE datname = '{database}'))"
            ),
        );
        let filled: Option<bool> = exists.ok().flatten().filter(|exists| *exists).and_then(|_| {
            let sql = "SELECT to_json(to_regclass('authentik_version_history') IS NOT NULL)";
            host.query(server, database.as_str(), sql).ok().flatten()
        });
        filled.unwrap_or(false)
    });
    (server, filled)
}
