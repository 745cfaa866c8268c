//! Settings and facts in, an ordered list of resources out. Pure: nothing here looks at the host.

mod accounts;
mod cache;
mod containers;
mod database;
mod environment;
mod proxy;
pub mod removal;
mod schedule;
mod storage;
mod units;

use crate::error::{Exit, Failure, Result};
use crate::facts::{Fact, Facts};
use crate::host::files::Perms;
use crate::host::postgres::Server;
use crate::resource::directory::Wanted;
use crate::resource::user::User;
use crate::resource::{Id, Resource};
use crate::settings::Settings;
use serde::Serialize;

pub mod step;
pub use step::Step;

/// The phases of an installation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// System user, groups, folders, settings.
    Accounts,
    /// Secrets, role, database, login rule.
    Database,
    /// Valkey, where the release line uses one.
    Cache,
    /// Image, units, first start, first administrator.
    Containers,
    /// Caddy's site.
    Proxy,
    /// Timers.
    Schedule,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 6] = [
        Phase::Accounts,
        Phase::Database,
        Phase::Cache,
        Phase::Containers,
        Phase::Proxy,
        Phase::Schedule,
    ];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Accounts => "accounts",
            Phase::Database => "database",
            Phase::Cache => "cache",
            Phase::Containers => "containers",
            Phase::Proxy => "proxy",
            Phase::Schedule => "schedule",
        }
    }
}

/// A list of resources that is being put together.
#[derive(Debug, Default)]
pub struct Steps(Vec<Box<dyn Step>>);

impl Steps {
    fn add(&mut self, resource: impl Resource + 'static) {
        self.0.push(Box::new(resource));
    }
}

/// The resources of one phase, in order.
///
/// # Errors
/// If a service that the phase builds on is not there, or a template is broken.
pub fn phase(phase: Phase, settings: &Settings, facts: &Facts) -> Result<Vec<Box<dyn Step>>> {
    let mut steps = Steps::default();
    match phase {
        Phase::Accounts => accounts::build(&mut steps, settings, facts),
        Phase::Database => database::build(&mut steps, settings, facts)?,
        Phase::Cache => cache::build(&mut steps, settings, facts)?,
        Phase::Containers => containers::build(&mut steps, settings, facts)?,
        Phase::Proxy => proxy::build(&mut steps, settings, facts)?,
        Phase::Schedule => schedule::build(&mut steps, settings, facts)?,
    }
    Ok(steps.0)
}

fn needed<'f, T>(fact: &'f Fact<T>, what: &str) -> Result<&'f T> {
    let why = match fact {
        Fact::Known(value) => return Ok(value),
        Fact::Absent => "it is not installed or not running".to_owned(),
        Fact::Unknown(why) => why.clone(),
    };
    Err(Failure::new("looking for", what, why).next("authentik-install check").exit(Exit::Unfit))
}

fn server(facts: &Facts) -> Result<&Server> {
    needed(&facts.postgres, "PostgreSQL")
}

/// Root's, readable by the service user's group and nobody else.
fn group_readable(settings: &Settings, facts: &Facts, mode: u32) -> Wanted {
    Wanted {
        perms: facts.account.as_ref().map(|account| Perms { uid: 0, gid: account.gid, mode }),
        owner: format!("root:{}", settings.user),
        mode,
    }
}

fn user_id(settings: &Settings) -> Id {
    User::id_of(settings.user.as_str())
}
