//! `install --install-packages`: what the checks miss comes from the distribution's own archive.

use crate::checks::{self, Report, Row, Subject};
use crate::data::distro::{self, Distro, Need};
use crate::error::{Exit, Failure, Result};
use crate::event::Event;
use crate::host::Writer;
use crate::settings::Settings;
use crate::verbs::{World, plan};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// As long as those wait that wait by themselves.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is missing here, and whose packages bring it.
#[derive(Debug)]
pub(super) struct Missing {
    needs: Vec<Need>,
    distro: Distro,
}

impl Missing {
    /// Looks. `None` if nothing is missing that packages bring.
    ///
    /// # Errors
    /// If something is missing and this host's package manager cannot bring it.
    pub(super) fn look(world: &World<'_>, settings: &Settings) -> Result<Option<Self>> {
        let host = &world.host;
        // What they are half-way through is neither missing nor there.
        if host.packages_are_on_their_way()? {
            world
                .told
                .emit(&Event::note("packages are being installed for a run that ended: waiting"));
            while host.packages_are_on_their_way()? {
                host.pause(Duration::from_secs(1))?;
            }
            host.forget();
        }
        let report = checks::run(host, Subject::of(settings))?;
        refuse_lacking(&report, settings)?;
        let needs = needs(&report, settings);
        if needs.is_empty() {
            return Ok(None);
        }
        let fail = |why: &str, next: &str| {
            Err(Failure::new("installing", "packages", why).next(next).exit(Exit::Unfit))
        };
        let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let Some(distro) = distro::of(&os_release)? else {
            return fail(
                "the package manager of this distribution is not known",
                "authentik-install check",
            );
        };
        if host.exists("/run/ostree-booted") {
            return fail(
                "this system is an image, into which packages are not installed while it runs",
                &distro.line(&needs),
            );
        }
        Ok(Some(Missing { needs, distro }))
    }

    /// The line that a person would type.
    pub(super) fn line(&self) -> String {
        self.distro.line(&self.needs)
    }

    /// Installs it.
    ///
    /// # Errors
    /// If the package manager fails, or something is missing still.
    pub(super) fn install(
        &self,
        world: &World<'_>,
        host: &Writer<'_>,
        settings: &Settings,
    ) -> Result<()> {
        tracing::info!(packages = self.line(), "installing packages");
        for command in self.distro.commands(&self.needs) {
            world.told.emit(&Event::note(command.join(" ")));
            self.run(world, host, &command)?;
        }
        let left = checks::run(host, Subject::of(settings))?;
        let Some(row) = left
            .checks
            .into_iter()
            .find(|row| row.needs.iter().any(|need| self.needs.contains(need)))
        else {
            return Ok(());
        };
        Err(Failure::new(
            "installing",
            "packages",
            format!("it was done, and {} still says: {}", row.id, row.found),
        )
        .next(row.cure.unwrap_or_else(|| "authentik-install check".into())))
    }
}

impl Missing {
    // Some of them wait for another one at work by themselves, and some do not.
    fn run(&self, world: &World<'_>, host: &Writer<'_>, command: &[String]) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ended = host.run_package_manager(command, &self.distro.environment);
            let said = ended.as_ref().err().map(Failure::summary).unwrap_or_default();
            let is_busy = self.distro.busy.as_ref().is_some_and(|file| said.contains(file));
            if !is_busy || begun.elapsed() >= PATIENCE {
                return ended;
            }
            let what = "the other package manager";
            world.told.emit(&Event::waiting(what, said, begun.elapsed(), PATIENCE));
            host.pause(Duration::from_secs(2))?;
        }
    }
}

// Caddy is not wanted where another proxy stands in front.
fn needs(report: &Report, settings: &Settings) -> Vec<Need> {
    let all: BTreeSet<Need> =
        report.checks.iter().flat_map(|row| row.needs.iter().copied()).collect();
    all.into_iter().filter(|need| *need != Need::Caddy || settings.proxy.enabled).collect()
}

// Nothing is installed on a host that cannot become one of ours, whatever is installed. What else is told
// of a bare host comes from what is missing.
fn refuse_lacking(report: &Report, settings: &Settings) -> Result<()> {
    let counts = |id: &str| match id {
        "caddy" => settings.proxy.enabled,
        "systemd" | "root" | "cgroup" | "kernel" | "memory" | "disk" => true,
        _ => matches!(id, "podman" | "postgresql" | "valkey"),
    };
    let lacking = |row: &&Row| row.blocks && row.needs.is_empty() && counts(row.id);
    plan::refuse_rows(report.checks.iter().filter(lacking))
}
