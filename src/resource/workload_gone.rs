//! The pod is stopped, its units are known no more, and the image is out of the user's storage.

use crate::error::Result;
use crate::event::Sink;
use crate::host::accounts::Account;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::resource::workload::{SERVICES, STOP};
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};

/// What runs is stopped.
#[derive(Debug)]
pub struct WorkloadGone {
    /// Who runs it.
    pub account: Account,
}

/// Stop it.
#[derive(Debug)]
pub struct Stop;

impl Resource for WorkloadGone {
    type Found = bool;
    type Act = Stop;

    fn id(&self) -> Id {
        Id::new("workload", "authentik")
    }

    fn aim(&self) -> String {
        "stop authentik".into()
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        if !host.manager_runs(&self.account) {
            return Ok(Seen::Now(false));
        }
        let units = host.units(Manager::User(&self.account), &SERVICES)?;
        let runs = |active: &str| !matches!(active, "" | "inactive" | "failed");
        Ok(Seen::Now(units.values().any(|unit| runs(&unit.active))))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<Stop> {
        Verdict::of(found.then(|| Planned::run(Stop, self.aim())).into_iter().collect())
    }

    fn apply(&self, host: &Writer<'_>, _: &Stop, _: &dyn Sink) -> Result<()> {
        host.unit_job(Manager::User(&self.account), "stop", &SERVICES, STOP)
    }
}

/// A manager knows units no more whose files are gone.
#[derive(Debug)]
pub struct UnitsGone {
    /// Whose manager; the system's if nobody's.
    pub account: Option<Account>,
    /// Names.
    pub units: Vec<String>,
}

/// Make it read its files again.
#[derive(Debug)]
pub struct Reload;

impl UnitsGone {
    fn manager(&self) -> Manager<'_> {
        self.account.as_ref().map_or(Manager::System, Manager::User)
    }
}

impl Resource for UnitsGone {
    type Found = bool;
    type Act = Reload;

    fn id(&self) -> Id {
        Id::new("loaded", self.units.join(" "))
    }

    fn aim(&self) -> String {
        "make systemd forget them".into()
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        if self.account.as_ref().is_some_and(|account| !host.manager_runs(account)) {
            return Ok(Seen::Now(false));
        }
        let names: Vec<&str> = self.units.iter().map(String::as_str).collect();
        let units = host.units(self.manager(), &names)?;
        Ok(Seen::Now(units.values().any(|unit| unit.stale)))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<Reload> {
        Verdict::of(found.then(|| Planned::run(Reload, self.aim())).into_iter().collect())
    }

    fn apply(&self, host: &Writer<'_>, _: &Reload, _: &dyn Sink) -> Result<()> {
        let names: Vec<&str> = self.units.iter().map(String::as_str).collect();
        host.daemon_reload(self.manager())?;
        host.forget_failures(self.manager(), &names);
        Ok(())
    }
}

/// The image is not in the user's storage.
#[derive(Debug)]
pub struct ImageGone {
    /// Whose storage.
    pub account: Account,
    /// Its name, with its tag.
    pub name: String,
}

/// Remove it.
#[derive(Debug)]
pub struct Remove;

impl Resource for ImageGone {
    /// Nothing can be said of it where nobody runs Podman for the user.
    type Found = Option<bool>;
    type Act = Remove;

    fn id(&self) -> Id {
        Id::new("image", &self.name)
    }

    fn aim(&self) -> String {
        format!("remove the image {}", self.name)
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Option<bool>>> {
        if !host.manager_runs(&self.account) {
            return Ok(Seen::Now(None));
        }
        Ok(Seen::Now(Some(host.image(&self.account, &self.name)?.is_some())))
    }

    fn diff(&self, found: &Option<bool>, _: &Standing) -> Verdict<Remove> {
        match found {
            None => Verdict::Converged,
            Some(false) => Verdict::Gone,
            Some(true) => Verdict::of(vec![Planned::remove(Remove, self.aim())]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Remove, _: &dyn Sink) -> Result<()> {
        host.remove_image(&self.account, &self.name)
    }
}
