//! `status`: the installation on one screen.

use crate::cli::Status;
use crate::error::{Exit, Result};
use crate::health::{self, Options, status};
use crate::ui::{json, status as screen};
use crate::verbs::{World, installed};
use std::time::Duration;

/// Looks, and shows. How healthy it is, is for `verify` to say by its exit code.
///
/// # Errors
/// If nothing is installed here, or the settings are wrong.
pub fn run(world: &World<'_>, args: &Status) -> Result<Exit> {
    let settings = installed(&world.host, &args.config.config)?;
    let options = Options { only: Vec::new(), quick: true, deadline: Duration::from_secs(10) };
    let report = health::run(&world.host, &settings, &options)?;
    let status = status::gather(&world.host, &settings, &report)?;
    let text = if args.json { json::pretty(&status)? } else { screen::human(&status) };
    world.output.result(&text);
    Ok(Exit::Done)
}
