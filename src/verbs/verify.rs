//! `verify`: is the installation healthy?

use crate::checks::Level;
use crate::cli::{Format, Verify};
use crate::data::embedded;
use crate::error::{Exit, Result};
use crate::event::Output;
use crate::health::{self, Options, Report};
use crate::host::files;
use crate::ui::{Stdout, json, verify};
use crate::verbs::{World, installed, scheduled};
use std::time::{Duration, Instant};

/// Looks, and tells in the form that was asked for.
///
/// # Errors
/// If nothing is installed here, the settings are wrong, or the output file cannot be written.
pub fn run(world: &World<'_>, args: &Verify) -> Result<Exit> {
    match (look(world, args), args.format()) {
        // Whoever reads only the first line and the exit code is told there.
        (Err(failure), Format::Nagios) => {
            world.output.result(&format!("AUTHENTIK UNKNOWN - {}", failure.summary()));
            Ok(Exit::Unfit)
        }
        (ended, _) => ended,
    }
}

fn look(world: &World<'_>, args: &Verify) -> Result<Exit> {
    if args.format() == Format::Schema {
        world.output.result(&embedded::text("schemas/verify.json")?);
        return Ok(Exit::Done);
    }
    let settings = installed(&world.host, &args.settings.config)?;
    let options = Options {
        only: args.only.clone(),
        quick: args.quick,
        deadline: Duration::from_secs(args.deadline),
    };
    if args.scheduled && scheduled::is_being_changed(world) {
        return Ok(Exit::Done);
    }
    let report = health::run(&world.host, &settings, &options)?;
    if args.scheduled {
        scheduled::tell(world, &settings, &report)?;
    }
    let text = match args.format() {
        Format::Human => verify::human(&report, args.all),
        Format::Json => json::pretty(&report)?,
        Format::Nagios => verify::nagios(&report),
        Format::Prometheus => verify::prometheus(&report),
        Format::Schema => String::new(),
    };
    match &args.output {
        Some(path) => files::publish(&world.host, path, text.as_bytes(), 0o644)?,
        None => tell(text, options.deadline),
    }
    Ok(exit(&report, args.format()))
}

// A reader that reads nothing must not keep the exit code from whoever waits for it.
fn tell(text: String, limit: Duration) {
    let begun = Instant::now();
    let told = std::thread::spawn(move || Stdout.result(&text));
    while !told.is_finished() && begun.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn exit(report: &Report, format: Format) -> Exit {
    match (format, report.level) {
        // The numbers of the Monitoring Plugins: 0, 1, 2, 3.
        (Format::Nagios, Level::Warn) => Exit::Failed,
        (Format::Nagios, Level::Fail) => Exit::Usage,
        (Format::Nagios, Level::Unknown) => Exit::Unfit,
        (_, Level::Fail | Level::Unknown) => Exit::Unhealthy,
        (_, Level::Ok | Level::Warn) => Exit::Done,
    }
}
