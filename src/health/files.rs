//! Units, image and secrets, as they are in effect.

use super::Context;
use crate::checks::Finding;
use crate::error::Result;
use crate::host::process::Process;
use crate::host::systemd::Manager;
use crate::resource::workload::SERVICES;

pub(super) fn loaded(context: &Context) -> Result<Finding> {
    let account = context.account()?;
    let units = context.host.units(Manager::User(&account), &SERVICES)?;
    let bad: Vec<String> = units
        .iter()
        .filter(|(_, unit)| unit.load != "loaded" || unit.stale)
        .map(|(name, unit)| match unit.stale {
            true => format!("{name} was changed and not read again"),
            false => format!("{name} is {}", unit.load),
        })
        .collect();
    Ok(match bad.is_empty() {
        true => Finding::ok(format!("{} units", units.len())),
        false => Finding::fail(bad.join(", "), "authentik-install install"),
    })
}

pub(super) fn digest(context: &Context) -> Result<Finding> {
    let account = context.account()?;
    let units = context.host.units(Manager::User(&account), &SERVICES)?;
    let tag = context.settings.image_tag();
    let Some(image) = context.host.image(&account, &tag)? else {
        return Ok(Finding::fail(
            format!("{tag} is not in the storage of {}", account.name),
            "authentik-install install",
        ));
    };
    let containers = units.iter().filter(|(_, unit)| unit.exec_start.contains(&tag));
    let other: Vec<&str> = containers
        .filter(|(_, unit)| !unit.exec_start.contains(&image.digest))
        .map(|(name, _)| name.as_str())
        .collect();
    Ok(match other.is_empty() {
        true => Finding::ok(image.digest),
        false => Finding::fail(
            format!("{tag} is {} now, which is not what {} names", image.digest, other.join(", ")),
            "authentik-install install",
        ),
    })
}

pub(super) fn secrets_server(context: &Context) -> Result<Finding> {
    secrets(&context.process("authentik-server")?)
}

pub(super) fn secrets_worker(context: &Context) -> Result<Finding> {
    secrets(&context.process("authentik-worker")?)
}

// authentik takes what it cannot read for an empty value, without a word to its user.
fn secrets(process: &Process) -> Result<Finding> {
    let environment = process.environment()?;
    let named = environment.iter().filter_map(|(name, value)| {
        let path = value.strip_prefix("file://")?;
        name.starts_with("AUTHENTIK_").then_some((name, path))
    });
    let mut count = 0;
    for (name, path) in named {
        if let Err(errno) = process.opens(path) {
            return Ok(Finding::fail(
                format!("{name}: {path} cannot be read in the container: {errno}"),
                "authentik-install install",
            ));
        }
        count += 1;
    }
    Ok(Finding::ok(format!("{count} files")))
}
