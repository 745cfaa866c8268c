//! Lingering: the user's manager runs from boot on, without a login.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::user::User;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::path::Path;
use std::time::Duration;

/// A user that lingers, and its running manager.
#[derive(Debug)]
pub struct Linger {
    /// Who.
    pub user: String,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// `loginctl enable-linger`
    Enable,
    /// Start the manager.
    Start,
}

/// Does it linger, and does its manager answer?
#[derive(Debug)]
pub struct Found {
    lingers: bool,
    runs: bool,
}

impl Resource for Linger {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("linger", &self.user)
    }

    fn aim(&self) -> String {
        format!("let {} linger, and start its manager", self.user)
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    // The image in the user's storage can be seen only while the manager runs.
    fn renews_facts(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        let Some(account) = host.account(&self.user)? else {
            return Ok(Seen::After(User::id_of(&self.user)));
        };
        // The file is the truth: loginctl knows nothing of a user that is not logged in.
        let file = Path::new("/var/lib/systemd/linger").join(&self.user);
        Ok(Seen::Now(Found {
            lingers: host.stat(&file)?.is_some(),
            runs: host.manager_runs(&account),
        }))
    }

    fn diff(&self, found: &Found, _: &Standing) -> Verdict<Act> {
        let mut changes = Vec::new();
        if !found.lingers {
            let text = format!("let {} linger: its manager runs from boot on", self.user);
            changes.push(Planned::create(Act::Enable, text));
        }
        if !found.runs {
            changes
                .push(Planned::run(Act::Start, format!("start the user manager of {}", self.user)));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, _: &dyn Sink) -> Result<()> {
        match act {
            Act::Enable => host.enable_linger(&self.user),
            Act::Start => {
                let account = host.account(&self.user)?.ok_or_else(|| {
                    Failure::new("starting the manager of", &self.user, "the user is gone")
                })?;
                let unit = account.manager_unit();
                host.unit_job(Manager::System, "start", &[&unit], Duration::from_secs(60))?;
                let started = std::time::Instant::now();
                while !host.manager_runs(&account) && started.elapsed() < Duration::from_secs(20) {
                    host.pause(Duration::from_millis(100))?;
                }
                Ok(())
            }
        }
    }
}
