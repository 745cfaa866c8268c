//! The programs and services that authentik is built on here.

use super::{Context, Finding, at_least};
use crate::data::distro::Distro;
use crate::error::Result;
use crate::facts::cache::is_included;
use crate::host::caddy;
use crate::host::systemd::Manager;
use crate::host::valkey::{Address, Refusal};

// `.pod` units came with 5.0 (Podman's RELEASE_NOTES).
pub(super) fn podman(context: &Context) -> Result<Finding> {
    let cure = context.install(|distro| distro.podman.clone(), "Podman 5.0 or newer");
    match context.host.program_version("podman", &["--version"])? {
        None => Ok(Finding::fail("Podman is not installed", cure)),
        Some(version) if at_least(&version, &[5, 0]) => {
            Ok(Finding::ok(format!("Podman {version}")))
        }
        Some(version) => Ok(Finding::fail(
            format!("Podman {version}; pods as systemd units need 5.0 or newer"),
            "upgrade the distribution (Debian 13, Ubuntu 26.04, Fedora 42 and newer have it)",
        )),
    }
}

// The annotation that keeps the groups of the sockets is crun's alone.
pub(super) fn crun(context: &Context) -> Result<Finding> {
    let cure = context.install(|_| "crun".into(), "crun");
    Ok(match context.host.program_version("crun", &["--version"])? {
        None => Finding::fail(
            "crun is not installed; with another runtime the sockets stay closed",
            cure,
        ),
        Some(version) => Finding::ok(format!("crun {version}")),
    })
}

pub(super) fn helpers(context: &Context) -> Result<Finding> {
    let missing: Vec<&str> = [
        ("pasta", "pasta (network)"),
        ("newuidmap", "newuidmap (subordinate ids)"),
        ("newgidmap", "newgidmap (subordinate ids)"),
        ("catatonit", "catatonit (pod)"),
        ("setpriv", "setpriv (util-linux)"),
        ("getent", "getent (libc)"),
        ("ss", "ss (iproute2)"),
    ]
    .into_iter()
    .filter(|(program, _)| !context.host.has_program(program))
    .map(|(_, shown)| shown)
    .collect();
    let bus = context.host.has_user_bus();
    if missing.is_empty() && bus {
        return Ok(Finding::ok("pasta, newuidmap, newgidmap, catatonit, user bus"));
    }
    let mut found = missing.join(", ");
    if !bus {
        found = [found, "the user bus (dbus-user-session)".into()].join(", ");
    }
    let cure = context.install(
        |distro| format!("{} {}", distro.podman, distro.iproute),
        "what rootless Podman recommends",
    );
    Ok(Finding::fail(format!("missing: {}", found.trim_start_matches(", ")), cure))
}

pub(super) fn postgresql(context: &Context) -> Result<Finding> {
    let release = &context.release;
    let Some(server) = context.host.postgres()? else {
        let cure = context.install(|distro| distro.postgresql.clone(), "PostgreSQL");
        return Ok(Finding::fail("PostgreSQL is not installed", cure));
    };
    let major = server.major();
    let found =
        format!("PostgreSQL {major} on {}, port {}", server.socket_dir.display(), server.port);
    if server.standby {
        return Ok(Finding::fail(
            format!("{found}; it is a standby"),
            "use the host of the primary",
        ));
    }
    let (min, max) = (release.postgresql_min, release.postgresql_max);
    if major < min {
        return Ok(Finding::fail(
            format!("{found}; authentik {} needs {min} or newer", release.line),
            "upgrade PostgreSQL (pg_upgradecluster on Debian)",
        ));
    }
    if major > max {
        return Ok(Finding::warn(
            format!("{found}; authentik {} was used with {min} to {max}", release.line),
            format!("use PostgreSQL {max}, or a newer line of authentik"),
        ));
    }
    Ok(Finding::ok(found))
}

pub(super) fn valkey(context: &Context) -> Result<Finding> {
    let version = context.host.program_version("valkey-server", &["--version"])?;
    let here =
        version.map_or_else(|| "not installed".to_owned(), |version| format!("Valkey {version}"));
    if !context.release.cache() {
        return Ok(Finding::ok(format!("{here}; authentik {} needs none", context.release.line)));
    }
    let cure = context.install(|distro| distro.valkey.clone(), "Valkey");
    let line = &context.release.line;
    let units = context
        .distro
        .as_ref()
        .map_or_else(Distro::usual_valkey_units, |row| row.valkey_units.clone());
    let Some(valkey) = context.host.valkey(&units)? else {
        return Ok(Finding::fail(format!("{here}; authentik {line} needs one"), cure));
    };
    let unit = &valkey.unit;
    let socket = valkey.sockets.first().map(|path| Address::Socket(path.clone()));
    let Some(address) = socket.or(valkey.ports.first().map(|port| Address::Port(*port))) else {
        if is_included(&valkey) {
            let next = "authentik-install install";
            return Ok(Finding::warn(format!("{unit} does not run; `install` starts it"), next));
        }
        return Ok(Finding::fail(
            format!("{unit} does not run; authentik {line} needs it"),
            format!("systemctl enable --now {unit}"),
        ));
    };
    Ok(match context.host.ask_valkey(&address, None) {
        Ok(answer) if answer.policy.starts_with("allkeys") => Finding::warn(
            format!("{here} at {address} drops keys when its memory is full ({})", answer.policy),
            "set maxmemory-policy noeviction: authentik keeps sessions and tasks in it",
        ),
        Ok(_) => Finding::ok(format!("{here} at {address}")),
        Err(Refusal::Password) => Finding::ok(format!("{here} at {address}, by password")),
        Err(Refusal::Other(said)) => Finding::fail(
            format!("{unit} at {address} does not answer: {said}"),
            format!("journalctl -u {unit} -n 50"),
        ),
    })
}

// 2.5 was the first to pass Host and X-Forwarded-* as authentik needs them without being told.
pub(super) fn caddy(context: &Context) -> Result<Finding> {
    let cure = context.install(|distro| distro.caddy.clone(), "Caddy");
    let Some(version) = context.host.caddy_version()? else {
        return Ok(Finding::fail("Caddy is not installed", cure));
    };
    if !at_least(&version, &[2, 5]) {
        return Ok(Finding::fail(format!("Caddy {version}; 2.5 or newer is needed"), cure));
    }
    let unit = context.host.unit(Manager::System, caddy::UNIT)?;
    if unit.active != "active" {
        return Ok(Finding::fail(
            format!("Caddy {version}, its service is {}", unit.active),
            "systemctl enable --now caddy.service",
        ));
    }
    Ok(Finding::ok(format!("Caddy {version}, running")))
}

fn port(context: &Context, number: u16, owner: &str) -> Result<Finding> {
    let mut others: Vec<String> = context
        .host
        .listeners(number)?
        .into_iter()
        .filter(|program| !program.starts_with(owner))
        .collect();
    others.sort();
    others.dedup();
    if others.is_empty() {
        return Ok(Finding::ok(format!("port {number} is free, or {owner}'s")));
    }
    Ok(Finding::fail(
        format!("port {number} is taken by {}", others.join(", ")),
        format!("stop it, or move it to another port: ss -Hltnp 'sport = :{number}'"),
    ))
}

pub(super) fn port_80(context: &Context) -> Result<Finding> {
    port(context, 80, "caddy")
}

pub(super) fn port_443(context: &Context) -> Result<Finding> {
    port(context, 443, "caddy")
}

pub(super) fn port_own(context: &Context) -> Result<Finding> {
    port(context, context.http_port, "pasta")
}
