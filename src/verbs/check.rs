//! `check`: is this host fit?

use crate::checks::{self, Report};
use crate::cli::Check;
use crate::error::{Exit, Result};
use crate::ui::{human, json};
use crate::verbs::World;

/// Runs every check and prints one row for each.
///
/// # Errors
/// If an embedded table is broken.
pub fn run(world: &World<'_>, args: &Check) -> Result<Exit> {
    let report = checks::run(&world.host, None, 9000)?;
    world.output.result(&if args.json { json::pretty(&report)? } else { human::checks(&report) });
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.fit { Exit::Done } else { Exit::Unfit }
}
