//! The database that authentik had in the host's Valkey holds nothing.

use crate::error::Result;
use crate::event::Sink;
use crate::facts::cache::{Cache, Guard};
use crate::host::valkey::Address;
use crate::host::{Reader, Writer};
use crate::resource::role::read_secret;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use crate::secret::Secret;
use std::path::PathBuf;

/// What authentik kept in it goes.
#[derive(Debug)]
pub struct KeysGone {
    /// The Valkey.
    pub cache: Cache,
    /// Number of the database that authentik was told to use.
    pub database: u16,
    /// File of the password that opens it.
    pub password: PathBuf,
}

/// It is emptied.
#[derive(Debug)]
pub struct Empty;

impl KeysGone {
    // Where it does not run there is nobody to ask, and no key either that would be in anybody's way.
    fn way(&self, host: &Reader) -> Result<Option<(Address, Option<Secret>)>> {
        let Some(address) = self.cache.valkey.address() else { return Ok(None) };
        let password = match self.cache.guard {
            Guard::Open { .. } => None,
            _ => read_secret(host, &self.password)?,
        };
        Ok(Some((address, password)))
    }
}

impl Resource for KeysGone {
    type Found = bool;
    type Act = Empty;

    fn id(&self) -> Id {
        Id::new("keys", format!("{}/{}", self.cache.valkey.unit, self.database))
    }

    fn aim(&self) -> String {
        format!("empty the database {} of {}", self.database, self.cache.valkey.unit)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        let Some((address, password)) = self.way(host)? else { return Ok(Seen::Now(false)) };
        // One that lets nobody in any more does not keep the rest from going.
        let answer = host.ask_valkey(&address, password.as_ref());
        Ok(Seen::Now(answer.is_ok_and(|answer| answer.keyspace.contains(&self.database))))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<Empty> {
        match *found {
            false => Verdict::Converged,
            true => Verdict::of(vec![Planned::remove(Empty, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Empty, _: &dyn Sink) -> Result<()> {
        let Some((address, password)) = self.way(host)? else { return Ok(()) };
        host.empty_valkey(&address, password.as_ref(), self.database)
            .map_err(|refusal| refusal.failure(&address))
    }
}
