//! `logs`: the journal of each part. `podman logs` is empty for a system user, whose journal nobody
//! but root may read.

use crate::cli::{Logs, Part};
use crate::error::{Exit, Result};
use crate::verbs::{World, stored};

/// Shows them.
///
/// # Errors
/// If nothing is installed here, or journalctl cannot be started.
pub fn run(world: &World<'_>, args: &Logs) -> Result<Exit> {
    let settings = stored(&world.host, &args.config.config)?;
    let uid = super::account(&world.host, &settings)?.uid;
    let mut line: Vec<String> = Vec::new();
    if args.follow {
        line.push("--follow".into());
    }
    if let Some(lines) = args.lines {
        line.push(format!("--lines={lines}"));
    }
    if let Some(since) = &args.since {
        line.push(format!("--since={since}"));
    }
    line.extend(matches(args.part, uid));
    let code = world.host.journal_for_person(&line)?;
    // Whoever follows ends it by a signal, as a shell would tell.
    Ok(match code {
        0 => Exit::Done,
        130 => Exit::Interrupted,
        143 => Exit::Terminated,
        _ => Exit::Failed,
    })
}

// Fields beside each other must all fit; "+" begins another set of them.
pub(super) fn matches(part: Part, uid: u32) -> Vec<String> {
    let user = format!("_UID={uid}");
    let container = |name: &str| {
        [
            vec![user.clone(), format!("CONTAINER_NAME=authentik-{name}")],
            vec![user.clone(), format!("USER_UNIT=authentik-{name}.service")],
        ]
    };
    let unit = |name: &str| vec![format!("_SYSTEMD_UNIT={name}.service")];
    let sets: Vec<Vec<String>> = match part {
        Part::Server => container("server").into(),
        Part::Worker => container("worker").into(),
        Part::Pod => container("pod").into(),
        Part::Verify => vec![unit("authentik-verify")],
        Part::Backup => vec![unit("authentik-backup")],
        Part::Install => vec![vec!["SYSLOG_IDENTIFIER=authentik-install".into()]],
        Part::All => {
            let parts = ["server", "worker", "pod"].into_iter().flat_map(container);
            let own = ["authentik-verify", "authentik-backup"].into_iter().map(unit);
            parts.chain(own).chain([vec!["SYSLOG_IDENTIFIER=authentik-install".into()]]).collect()
        }
    };
    sets.join(&"+".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_fields_are_divided() {
        let server = [
            "_UID=9",
            "CONTAINER_NAME=authentik-server",
            "+",
            "_UID=9",
            "USER_UNIT=authentik-server.service",
        ];
        assert_eq!(matches(Part::Server, 9), server);
        assert_eq!(matches(Part::Backup, 9), ["_SYSTEMD_UNIT=authentik-backup.service"]);
        assert!(
            matches(Part::All, 9)
                .ends_with(&["+".into(), "SYSLOG_IDENTIFIER=authentik-install".into()])
        );
    }
}
