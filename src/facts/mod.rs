//! What is true of this host, gathered in parallel and handed to the blueprint as a value.

pub mod cache;
pub mod proxy;

use crate::data::release::{self, Step};
use crate::error::{Exit, Failure, Result};
use crate::host::Reader;
use crate::host::accounts::{Account, SubIdKind};
use crate::host::podman::Image;
use crate::host::postgres::Server;
use crate::settings::Settings;
use crate::settings::input::UserNamespace;
use cache::Cache;
use proxy::Proxy;
use std::path::PathBuf;

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

    /// Is it not there, for certain?
    pub fn is_absent(&self) -> bool {
        matches!(self, Fact::Absent)
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
    /// What it would be in the other user namespace mode.
    pub container_before: Option<Ids>,
    /// The host's PostgreSQL.
    pub postgres: Fact<Server>,
    /// The version of the installation that the database holds, if it holds one.
    pub installed: Fact<String>,
    /// The image in the service user's storage.
    pub image: Option<Image>,
    /// The host's Valkey; not looked for where the line needs none.
    pub cache: Fact<Cache>,
    /// The host's Caddy and where our site belongs.
    pub proxy: Fact<Proxy>,
    /// Where this program is, or is to be put.
    pub program: PathBuf,
    /// Does SELinux enforce its policy?
    pub selinux: bool,
}

impl Facts {
    /// Gathers everything.
    ///
    /// # Errors
    /// If the host's user database cannot be asked. Everything else is told in the facts.
    pub fn gather(host: &Reader, settings: &Settings) -> Result<Self> {
        let account = host.account(settings.user.as_str())?;
        std::thread::scope(|scope| {
            let postgres = scope.spawn(|| postgres(host, settings));
            let proxy = scope.spawn(|| Fact::of(proxy::look(host)));
            let cache = settings
                .release
                .cache()
                .then(|| scope.spawn(|| Fact::of(cache::look(host, settings))));
            let subordinate = account.as_ref().map(|a| subordinate(host, a)).transpose()?.flatten();
            let own = account.as_ref().map(|a| Ids { uid: a.uid, gid: a.gid });
            let (container, container_before) = match settings.user_namespace {
                UserNamespace::Host => (subordinate, own),
                UserNamespace::KeepId => (subordinate.and(own), subordinate),
            };
            let image = match &account {
                Some(account) if host.podman_answers(account)? => {
                    host.image(account, &settings.image_tag())?
                }
                _ => None,
            };
            let (postgres, installed) = postgres.join().unwrap_or_else(|_| (lost(), lost()));
            let proxy = proxy.join().unwrap_or_else(|_| lost());
            let cache = cache.map_or(Fact::Absent, |look| look.join().unwrap_or_else(|_| lost()));
            Ok(Facts {
                account,
                container,
                container_before,
                postgres,
                installed,
                image,
                cache,
                proxy,
                program: program(host),
                selinux: host.selinux_enforces(),
            })
        })
    }
}

impl Facts {
    /// Refuses to put another line, or an older patch, over the installation that is here.
    ///
    /// # Errors
    /// If that was asked for. Nothing was touched.
    pub fn refuse_other_line(&self, settings: &Settings) -> Result<()> {
        let (version, database) = (&settings.version, &settings.database.name);
        let refused = |why: String, next: String| {
            Err(Failure::new("installing", format!("authentik {version}"), why)
                .next(format!("{next}\nNothing was touched."))
                .exit(Exit::Unfit))
        };
        let here = match &self.installed {
            Fact::Known(here) => here,
            Fact::Absent => return Ok(()),
            // What may hold an installation is not taken for empty.
            Fact::Unknown(why) => {
                let why = format!("what the database {database} holds cannot be told: {why}");
                return refused(why, "authentik-install verify --only database".to_owned());
            }
        };
        let why = match release::compare(version, here) {
            Step::Same | Step::Patch => return Ok(()),
            Step::Older => "an older patch may not know what the newer one has written",
            Step::OtherLine => "another line migrates the database, for good",
        };
        let why = format!("the database {database} holds authentik {here}, and {why}");
        refused(why, format!("keep it: --version {here}"))
    }
}

// By a package, or where everybody puts what no package brings.
fn program(host: &Reader) -> PathBuf {
    let [own, packaged] = ["/usr/local/bin/authentik-install", "/usr/bin/authentik-install"];
    match !host.exists(own) && host.exists(packaged) {
        true => packaged.into(),
        false => own.into(),
    }
}

fn lost<T>() -> Fact<T> {
    Fact::Unknown("the look ended early".to_owned())
}

// "host" mode: the pod's user namespace is Podman's own, where id n > 0 is the n-th subordinate id.
fn subordinate(host: &Reader, account: &Account) -> Result<Option<Ids>> {
    // Several ranges follow each other.
    let nth = |kind| -> Result<Option<u32>> {
        let mut left = IMAGE_ID - 1;
        for range in host.subids(kind)?.into_iter().filter(|range| range.owner == account.name) {
            if left < range.count {
                return Ok(range.start.checked_add(left));
            }
            left -= range.count;
        }
        Ok(None)
    };
    Ok(match (nth(SubIdKind::User)?, nth(SubIdKind::Group)?) {
        (Some(uid), Some(gid)) => Some(Ids { uid, gid }),
        _ => None,
    })
}

fn postgres(host: &Reader, settings: &Settings) -> (Fact<Server>, Fact<String>) {
    let server = Fact::of(host.postgres());
    // A server that cannot be asked is told by what needs it.
    let installed = server.known().map_or(Fact::Absent, |server| {
        Fact::of(installed(host, server, settings.database.name.as_str()))
    });
    (server, installed)
}

// authentik notes every version that migrated the database.
fn installed(host: &Reader, server: &Server, database: &str) -> Result<Option<String>> {
    if !host.has_table(server, database, "authentik_version_history")? {
        return Ok(None);
    }
    let newest =
        "SELECT to_json(version) FROM authentik_version_history ORDER BY timestamp DESC LIMIT 1";
    host.query(server, database, newest)
}
