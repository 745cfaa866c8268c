//! The first administrator can sign in, and the password for it stands nowhere any more.

use crate::error::{Failure, Result};
use crate::event::{Event, Sink};
use crate::host::http::Client;
use crate::host::postgres::Server;
use crate::host::{Reader, Writer};
use crate::names::PgName;
use crate::resource::bootstrap::{Bootstrap, Places, has_admin, waiting};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use std::time::{Duration, Instant};

/// The default flow of authentik's own blueprints.
pub const FLOW: &str = "default-authentication-flow";
/// The first administrator's name, fixed by authentik.
pub const ADMIN: &str = "akadmin";

/// The proof.
#[derive(Debug)]
pub struct Admin {
    /// The server's port on 127.0.0.1.
    pub port: u16,
    /// The database server.
    pub server: Server,
    /// The database.
    pub database: PgName,
    /// Where the password waits.
    pub places: Places,
    /// Longest wait.
    pub deadline: Duration,
}

/// Does a password wait for its proof?
#[derive(Debug)]
pub struct Found(bool);

/// Sign in, then withdraw.
#[derive(Debug)]
pub struct Prove;

impl Admin {
    // The account appears some seconds after the login page.
    fn sign_in(&self, host: &Writer<'_>, told: &dyn Sink) -> Result<()> {
        let Some(password) = waiting(host, &self.places)? else { return Ok(()) };
        let (started, limit) = (Instant::now(), self.deadline.min(Duration::from_secs(180)));
        let mut why = "authentik has no administrator yet".to_owned();
        while started.elapsed() < limit {
            if has_admin(host, &self.server, &self.database)? {
                match Client::local(host, self.port).sign_in(FLOW, ADMIN, &password) {
                    Ok(()) => return Ok(()),
                    Err(refusal) => why = refusal,
                }
            }
            told.emit(&Event::waiting(
                "the login of akadmin",
                why.clone(),
                started.elapsed(),
                limit,
            ));
            host.pause(Duration::from_secs(3))?;
        }
        Err(Failure::new("signing in as", ADMIN, why).next(
            "if this authentik had an administrator before, get in by: authentik-install admin link",
        ))
    }
}

impl Resource for Admin {
    type Found = Found;
    type Act = Prove;

    fn id(&self) -> Id {
        Id::new("login", ADMIN)
    }

    fn aim(&self) -> String {
        "sign in as akadmin, then withdraw the password of the first start".into()
    }

    // The worker still has the password in its environment and is to be started without it.
    fn renews_facts(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let waits =
            host.stat(&self.places.env)?.is_some() || host.stat(&self.places.dropin())?.is_some();
        if !waits && !has_admin(host, &self.server, &self.database)? {
            return Ok(Seen::After(Bootstrap::id_of()));
        }
        Ok(Seen::Now(Found(waits)))
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Prove> {
        if !found.0 {
            return Verdict::Converged;
        }
        Verdict::of(vec![Planned::remove(Prove, self.aim())])
    }

    fn apply(&self, host: &Writer<'_>, _: &Prove, told: &dyn Sink) -> Result<()> {
        self.sign_in(host, told)?;
        host.remove(&self.places.dropin())?;
        host.remove_dir(&self.places.dropin_dir)?;
        host.remove(&self.places.env)
    }
}
