//! The distribution's package manager, in a unit of its own: what it has begun outlives a closed terminal.

use crate::error::{Failure, Result};
use crate::host::outside::Outside;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer, run};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than it waits for another package manager, and then for slow archives.
const LIMIT: Duration = Duration::from_secs(3600);

/// One at a time; also one that was begun by a run that has been killed.
const UNIT: &str = "authentik-install-packages.service";

impl Reader {
    /// Is the package manager at work for us, maybe for a run that was killed?
    ///
    /// # Errors
    /// If systemd gives no answer.
    pub fn packages_are_on_their_way(&self) -> Result<bool> {
        let unit = self.unit(Manager::System, UNIT)?;
        Ok(!matches!(unit.active.as_str(), "" | "inactive" | "failed"))
    }
}

impl Writer<'_> {
    /// Runs one command of the package manager, or one that starts what it has installed.
    ///
    /// # Errors
    /// If the program is not here, or ends with something else than 0.
    pub fn run_package_manager(
        &self,
        command: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<()> {
        let Some((name, args)) = command.split_first() else { return Ok(()) };
        let program = run::find(name).ok_or_else(|| {
            Failure::new("starting", name, "it is not here").next("authentik-install check")
        })?;
        let outside = Outside {
            program,
            args: args.iter().map(String::as_str).collect(),
            environment: environment.iter().map(|(name, value)| (&**name, &**value)).collect(),
            limit: LIMIT,
            unattended: Some(UNIT),
            ..Outside::default()
        };
        let line = command.join(" ");
        let ended = self.run_in_unit(("running", &line), &outside);
        self.forget();
        ended.map(drop).map_err(|failure| {
            failure.or_next(|| format!("{line}\nWhat it says there is what to mend."))
        })
    }
}
