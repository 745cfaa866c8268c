//! `check`: is this host fit?

use crate::checks::{self, Report, Subject};
use crate::cli::Check;
use crate::data::release;
use crate::error::{Exit, Result};
use crate::ui::{human, json};
use crate::verbs::{self, World};

/// Runs every check and prints one row for each.
///
/// # Errors
/// If the settings are wrong, or an embedded table is broken.
pub fn run(world: &World<'_>, args: &Check) -> Result<Exit> {
    let report = checks::run(&world.host, subject(world, args)?)?;
    world.output.result(&if args.json { json::pretty(&report)? } else { human::checks(&report) });
    Ok(exit(&report))
}

// Also good for nothing but the host: without a domain, what the newest line needs is looked for.
fn subject(world: &World<'_>, args: &Check) -> Result<Subject> {
    let (file, _) = verbs::from_file(&world.host, &args.settings.config)?;
    if args.settings.domain.is_some() || file.domain.is_some() {
        return Ok(Subject::of(&verbs::resolved(&world.host, &args.settings)?));
    }
    let given = args.settings.input()?.over(&file)?;
    let release = release::newest()?;
    let allowed = release::Allowed { unsupported: true, unknown: true };
    let release = given.version.map_or(Ok(release), |version| release::of(&version, allowed))?;
    Ok(Subject {
        image: release.image.clone(),
        user: given.user.map_or_else(|| "authentik".to_owned(), |user| user.to_string()),
        database_user: given
            .database
            .user
            .map_or_else(|| "authentik".to_owned(), |user| user.to_string()),
        domain: None,
        public_port: 443,
        http_port: given.http_port.map_or(9000, |port| port.number()),
        https_port: given.https_port.flatten().map(|port| port.number()),
        certificate: Vec::new(),
        release,
    })
}

fn exit(report: &Report) -> Exit {
    if report.fit { Exit::Done } else { Exit::Unfit }
}
