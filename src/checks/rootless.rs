//! What rootless Podman is built on.

use super::host::read;
use super::{Context, Finding};
use crate::data::distro::{Need, at_least};
use crate::error::Result;
use crate::host::accounts::{Account, SubIdKind, SubIds};
use crate::host::systemd::Manager;
use std::path::{Path, PathBuf};

pub(super) fn user_namespaces(context: &Context) -> Result<Finding> {
    if read("/proc/sys/user/max_user_namespaces").is_some_and(|max| max == "0") {
        return Ok(Finding::fail(
            "user namespaces are switched off",
            "sysctl -w user.max_user_namespaces=15000",
        ));
    }
    // Debian's and Arch's own switch; absent elsewhere.
    if read("/proc/sys/kernel/unprivileged_userns_clone").is_some_and(|on| on == "0") {
        return Ok(Finding::fail(
            "user namespaces are for root alone",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ));
    }
    // Ubuntu's: a program needs a profile that allows them, and packaged Podman has one.
    let restricted = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if restricted.is_some_and(|on| on == "1") && !context.host.exists("/etc/apparmor.d/podman") {
        return Ok(Finding::warn(
            "AppArmor keeps programs without a profile from user namespaces, and Podman has none",
            "install the distribution's own podman and apparmor packages",
        ));
    }
    Ok(Finding::ok("user namespaces are there"))
}

// `.pod` units came with 5.0 (Podman's RELEASE_NOTES).
pub(super) fn podman(context: &Context) -> Result<Finding> {
    match context.host.program_version("podman", &["--version"])? {
        None => {
            let needs = [Need::Podman];
            Ok(context.missing("Podman is not installed", &needs, "Podman 5.0 or newer"))
        }
        Some(version) if at_least(&version, &[5, 0]) => {
            Ok(Finding::ok(format!("Podman {version}")))
        }
        Some(version) => Ok(Finding::fail(
            format!("Podman {version}; pods as systemd units need 5.0 or newer"),
            context.distro.as_ref().and_then(|distro| distro.lack(Need::Podman)).map_or_else(
                || "upgrade the distribution (Debian 13, Ubuntu 26.04, Fedora 42 and newer have it)".to_owned(),
                |lack| lack.way_out.clone(),
            ),
        )),
    }
}

// The annotation that keeps the groups of the sockets is crun's alone; our units name it as their
// runtime, whatever the host's default is.
pub(super) fn crun(context: &Context) -> Result<Finding> {
    Ok(match context.host.program_version("crun", &["--version"])? {
        None => context.missing(
            "crun is not installed; with another runtime the sockets stay closed",
            &[Need::Podman],
            "crun",
        ),
        Some(version) => Finding::ok(format!("crun {version}, named as the runtime by our units")),
    })
}

// Options that our network uses (-a, -n, -g, --ipv4-only) are older than Podman 5.0 itself.
pub(super) fn passt(context: &Context) -> Result<Finding> {
    if !context.host.has_program("pasta") {
        let found = "pasta is not installed: a pod would have no network";
        return Ok(context.missing(found, &[Need::Podman], "passt"));
    }
    let said = context.host.first_line("pasta", &["--version"])?;
    let version = said.trim_start_matches("pasta ");
    Ok(Finding::ok(format!("pasta {version}")))
}

pub(super) fn helpers(context: &Context) -> Result<Finding> {
    let missing: Vec<&str> = [
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
    if !missing.is_empty() {
        let found = format!("missing: {}", missing.join(", "));
        let needs = [Need::Podman, Need::Iproute];
        return Ok(context.missing(found, &needs, "what rootless Podman recommends"));
    }
    for program in ["newuidmap", "newgidmap"] {
        if !context.host.is_privileged(program) {
            return Ok(Finding::fail(
                format!("{program} is neither setuid nor has a capability, so it maps nothing"),
                format!("chmod u+s $(command -v {program})"),
            ));
        }
    }
    Ok(Finding::ok("newuidmap, newgidmap, catatonit, setpriv"))
}

pub(super) fn session(context: &Context) -> Result<Finding> {
    if !context.host.has_user_bus() {
        let found = "users get no bus of their own (dbus-user-session)";
        return Ok(context.missing(found, &[Need::Podman], "dbus-user-session"));
    }
    let logind = context.host.unit(Manager::System, "systemd-logind.service")?;
    if logind.load == "masked" || logind.active == "failed" {
        return Ok(Finding::fail(
            format!("logind is {} ({}), so no user can linger", logind.load, logind.active),
            "systemctl unmask systemd-logind; systemctl restart systemd-logind",
        ));
    }
    Ok(Finding::ok("user bus, logind"))
}

pub(super) fn subids(context: &Context) -> Result<Finding> {
    for (kind, path) in [(SubIdKind::User, "/etc/subuid"), (SubIdKind::Group, "/etc/subgid")] {
        if let Some((one, other)) = overlap(&context.host.subids(kind)?) {
            return Ok(Finding::fail(
                format!("{path}: {} and {} share ids from {}", one.owner, other.owner, other.start),
                format!("give one of them another range: edit {path}"),
            ));
        }
    }
    Ok(Finding::ok("no subordinate id belongs to two users"))
}

fn overlap(ranges: &[SubIds]) -> Option<(SubIds, SubIds)> {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    ranges.windows(2).find_map(|pair| match pair {
        [one, other]
            if one.start.saturating_add(one.count) > other.start && one.owner != other.owner =>
        {
            Some((one.clone(), other.clone()))
        }
        _ => None,
    })
}

// Without one every pull fails (containers/image, policy_config.go).
pub(super) fn policy(context: &Context) -> Result<Finding> {
    let places = ["/etc/containers/policy.json", "/usr/share/containers/policy.json"];
    let cure = "write {\"default\":[{\"type\":\"insecureAcceptAnything\"}]} into /etc/containers/policy.json";
    let Some(place) = places.iter().find(|path| context.host.exists(path)) else {
        // It comes with Podman, on every distribution.
        if !context.host.has_program("podman") {
            return Ok(Finding::ok("no Podman, no policy"));
        }
        return Ok(Finding::fail("there is no policy.json, without which no image is taken", cure));
    };
    let text = context.host.open_text(Path::new(place))?;
    let Ok(policy) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Ok(Finding::fail(format!("{place} is not JSON"), cure));
    };
    let registry = context.subject.image.split('/').next().unwrap_or_default();
    let own = policy.pointer("/transports/docker").and_then(serde_json::Value::as_object);
    let named = own.is_some_and(|scopes| scopes.keys().any(|scope| scope.starts_with(registry)));
    if policy.pointer("/default/0/type").is_some_and(|kind| kind == "reject") && !named {
        return Ok(Finding::fail(
            format!("{place} rejects images of {registry}"),
            format!("add {registry} below transports, docker in {place}"),
        ));
    }
    Ok(Finding::ok(format!("{place} takes images of {registry}")))
}

// Each container takes one; when all are taken none starts: "Disk quota exceeded".
pub(super) fn keyring(context: &Context) -> Result<Finding> {
    let quota = read("/proc/sys/kernel/keys/maxkeys").and_then(|text| text.parse::<u32>().ok());
    let Some(quota) = quota else { return Ok(Finding::ok("the kernel keeps no keys")) };
    let used = match context.host.account(&context.subject.user)? {
        Some(account) => read("/proc/key-users").map_or(0, |text| keys_of(&text, account.uid)),
        None => 0,
    };
    if used + 10 > quota {
        return Ok(Finding::fail(
            format!("{used} of {quota} kernel keys of {} are taken", context.subject.user),
            "sysctl -w kernel.keys.maxkeys=1000",
        ));
    }
    Ok(Finding::ok(format!("{used} of {quota} kernel keys are taken")))
}

//   999:     2 2/2 2/200 26/20000
fn keys_of(text: &str, uid: u32) -> u32 {
    let own = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{uid}:")));
    let keys = own.and_then(|rest| rest.split_whitespace().nth(2)?.split('/').next()?.parse().ok());
    keys.unwrap_or(0)
}

pub(super) fn stray(context: &Context) -> Result<Finding> {
    let user = context.host.account(&context.subject.user)?;
    // His own folders, for good and until he logs out: podman-systemd.unit(5), systemd.unit(5).
    let folders = |account: &Account| [account.home.join(".config"), account.runtime_dir()];
    let ours = |name: &str| name.starts_with("authentik");
    let is_unit = |name: &str| {
        [".container", ".pod", ".service", ".service.d", ".container.d", ".pod.d"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let shadowing = ["containers/systemd", "systemd/user", "systemd/user.control"];
    let own = user.iter().flat_map(folders);
    let own = own.flat_map(|folder: PathBuf| shadowing.map(|dir| folder.join(dir)));
    let all = [PathBuf::from("/etc/systemd/user"), PathBuf::from("/run/systemd/user")];
    for dir in own.chain(all) {
        if let Some(name) =
            context.host.names_in(&dir)?.into_iter().find(|name| ours(name) && is_unit(name))
        {
            let path = dir.join(name).display().to_string();
            return Ok(Finding::fail(
                format!("{path} would be taken instead of our unit"),
                format!("move it away: mv {path} /root/"),
            ));
        }
    }
    let everybody = Path::new("/etc/containers/systemd/users");
    let mut names = context.host.names_in(everybody)?;
    names.retain(|name| is_unit(name));
    if let Some(name) = names.first() {
        let path = everybody.join(name).display().to_string();
        return Ok(Finding::warn(
            format!("{path} runs for every user, the service user too"),
            format!("if that is not meant, move it into a folder named by a user id: {path}"),
        ));
    }
    Ok(Finding::ok("no unit of others shadows ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_and_keys() {
        let range = |owner: &str, start, count| SubIds { owner: owner.into(), start, count };
        assert!(overlap(&[range("a", 100, 10), range("b", 110, 10)]).is_none());
        assert!(overlap(&[range("b", 109, 10), range("a", 100, 10)]).is_some());
        assert!(overlap(&[range("a", 100, 10), range("a", 105, 10)]).is_none(), "one user's own");
        assert_eq!(
            keys_of(
                "    0:    23 22/22 17/1000000 354/25000000\n  999:     2 2/2 2/200 26/20000\n",
                999
            ),
            2
        );
        assert_eq!(keys_of("", 999), 0);
    }
}
