//! The machine under it.

use super::{Context, Measure};
use crate::checks::Finding;
use crate::error::Result;
use crate::facts::Fact;
use crate::host::accounts::Account;
use crate::host::process::Space;
use crate::host::systemd::Manager;
use std::path::PathBuf;
use sysinfo::System;

const MIB: u64 = 1 << 20;

impl Context {
    // Every file system that something of ours lies on, once, by the path that was asked for.
    fn spaces(&self) -> Result<Vec<(PathBuf, Space)>> {
        let paths = &self.settings.paths;
        let mut asked: Vec<PathBuf> =
            vec!["/".into(), "/var/lib/authentik".into(), paths.media.clone()];
        asked.extend(paths.data.clone());
        asked.extend(self.facts()?.postgres.known().map(|server| server.data_dir.clone()));
        let mut found: Vec<(PathBuf, Space)> = Vec::new();
        for path in asked {
            let space = self.host.space(&path)?;
            if found.iter().all(|(_, known)| *known != space) {
                found.push((path, space));
            }
        }
        Ok(found)
    }
}

pub(super) fn disk(context: &Context) -> Result<Finding> {
    let mut worst = Finding::ok("room everywhere");
    let help = "Free bytes of a file system that something of ours lies on.";
    for (path, space) in context.spaces()? {
        let (name, of) = ("filesystem_free_bytes", Some(path.display().to_string()));
        context.measure(Measure { name, help, of, value: space.free as f64 });
        let percent = space.free * 100 / space.size.max(1);
        let found =
            format!("{} MiB ({percent} %) are free at {}", space.free / MIB, path.display());
        let next = format!("df -h {0}; du -xhd1 {0}", path.display());
        let finding = match space.free {
            free if free < 256 * MIB || percent < 2 => Finding::fail(found, next),
            free if free < 2048 * MIB || percent < 5 => Finding::warn(found, next),
            _ => continue,
        };
        if finding.level > worst.level {
            worst = finding;
        }
    }
    Ok(worst)
}

pub(super) fn inodes(context: &Context) -> Result<Finding> {
    for (path, space) in context.spaces()? {
        if space.inodes == 0 {
            continue;
        }
        let percent = space.inodes_free * 100 / space.inodes;
        let found = format!(
            "{} files ({percent} %) can still be made at {}",
            space.inodes_free,
            path.display()
        );
        let next = format!("df -i {0}; du --inodes -xd1 {0}", path.display());
        if percent < 1 {
            return Ok(Finding::fail(found, next));
        }
        if percent < 5 {
            return Ok(Finding::warn(found, next));
        }
    }
    Ok(Finding::ok("room everywhere"))
}

pub(super) fn memory(context: &Context) -> Result<Finding> {
    let mut system = System::new();
    system.refresh_memory();
    let (total, available) = (system.total_memory(), system.available_memory());
    let help = "Memory that can still be given out.";
    context.measure(Measure {
        name: "memory_available_bytes",
        help,
        of: None,
        value: available as f64,
    });
    let found = format!("{} of {} MiB are available", available / MIB, total / MIB);
    Ok(match available * 100 / total.max(1) {
        ..5 => Finding::warn(found, "systemd-cgtop -m -n 1"),
        _ => Finding::ok(found),
    })
}

pub(super) fn reboot(context: &Context) -> Result<Finding> {
    Ok(match context.host.exists("/run/reboot-required") {
        true => Finding::warn("an update waits for a restart of this host", "systemctl reboot"),
        false => Finding::ok("none"),
    })
}

pub(super) fn failed_units(context: &Context) -> Result<Finding> {
    let facts = context.facts()?;
    let mut names: Vec<String> = vec!["systemd-logind.service".into()];
    names.extend(facts.account.as_ref().map(Account::manager_unit));
    names.extend(facts.postgres.known().and_then(|server| server.unit.clone()));
    if let Fact::Known(cache) = &facts.cache {
        names.push(cache.valkey.unit.clone());
    }
    if context.settings.proxy.enabled {
        names.push(crate::host::caddy::UNIT.into());
    }
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let units = context.host.units(Manager::System, &asked)?;
    let failed: Vec<&str> = units
        .iter()
        .filter(|(_, unit)| unit.active == "failed")
        .map(|(name, _)| name.as_str())
        .collect();
    Ok(match failed.as_slice() {
        [] => Finding::ok(format!("{} units", units.len())),
        [first, ..] => Finding::fail(
            format!("failed: {}", failed.join(", ")),
            format!("journalctl -u {first} -n 50; systemctl restart {first}"),
        ),
    })
}

pub(super) fn release(context: &Context) -> Result<Finding> {
    let (version, release) = (&context.settings.version, &context.settings.release);
    let newer = format!("authentik-install install --version {}", release.default);
    if release.known_bad.contains(version) {
        return Ok(Finding::warn(format!("authentik {version} is known to do damage"), newer));
    }
    if !release.supported {
        return Ok(Finding::warn(
            format!("upstream does not mend authentik {} any more", release.line),
            "go on to a newer line",
        ));
    }
    Ok(Finding::ok(format!("authentik {version}, the line {} is mended", release.line)))
}
