//! The result of `verify`: for a person, for Nagios and its kin, and for Prometheus.

use crate::checks::Level;
use crate::health::{Group, Report, Row};
use crate::ui::word;
use std::collections::BTreeSet;
use std::fmt::Write;

/// One line a group, and under it what is not as it should be; with `all` every check.
pub fn human(report: &Report, all: bool) -> String {
    let mut out = String::new();
    for group in Group::ALL {
        let rows: Vec<&Row> = report.checks.iter().filter(|row| row.group == group).collect();
        let Some(worst) = rows.iter().map(|row| row.level).max() else { continue };
        let _ = writeln!(out, "{:<8}{:<10}{} checks", word(worst), group.name(), rows.len());
        for row in rows.iter().filter(|row| all || row.level != Level::Ok) {
            let _ = writeln!(out, "  {:<8}{}: {}", word(row.level), row.id, row.found);
            if let Some(next) = &row.next {
                let _ = writeln!(out, "{:<10}next: {next}", "");
            }
        }
    }
    let state = if report.healthy { "healthy" } else { "not healthy" };
    let _ = writeln!(
        out,
        "authentik {} at {} is {state} ({} checks, {} ms)",
        report.authentik,
        report.domain,
        report.checks.len(),
        report.took_ms
    );
    out
}

/// One line as the Monitoring Plugins' guidelines have it, with performance data, then the bad ones.
pub fn nagios(report: &Report) -> String {
    let state = match report.level {
        Level::Ok => "OK",
        Level::Warn => "WARNING",
        Level::Fail => "CRITICAL",
        Level::Unknown => "UNKNOWN",
    };
    let count = |level| report.of_level(level).count();
    let mut out = format!(
        "AUTHENTIK {state} - {} ok, {} warn, {} failed, {} unknown",
        count(Level::Ok),
        count(Level::Warn),
        count(Level::Fail),
        count(Level::Unknown)
    );
    let bad = || report.checks.iter().filter(|row| row.level != Level::Ok);
    if let Some(first) = bad().max_by_key(|row| row.level) {
        let _ = write!(out, "; {}: {}", first.id, plain(&first.found));
    }
    let _ = write!(out, " | time={}ms", report.took_ms);
    for measure in &report.measures {
        let unit = if measure.name.ends_with("_bytes") { "B" } else { "" };
        let label = match &measure.of {
            Some(of) => format!("'{}:{of}'", measure.name),
            None => measure.name.to_owned(),
        };
        let _ = write!(out, " {label}={}{unit}", measure.value);
    }
    out.push('\n');
    for row in bad() {
        let next = row.next.as_deref().unwrap_or("authentik-install verify");
        let _ = writeln!(
            out,
            "{} {}: {}; next: {}",
            word(row.level),
            row.id,
            plain(&row.found),
            plain(next)
        );
    }
    out
}

// A line break or bar would end the text early.
fn plain(text: &str) -> String {
    text.replace(['\n', '\r', '|'], " ")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const PREFIX: &str = "authentik_install";

/// The text format of Prometheus, for the node exporter's textfile collector.
pub fn prometheus(report: &Report) -> String {
    let mut out = String::new();
    let head = |out: &mut String, name: &str, help: &str| {
        let _ = writeln!(out, "# HELP {PREFIX}_{name} {}", help.replace('\\', "\\\\"));
        let _ = writeln!(out, "# TYPE {PREFIX}_{name} gauge");
    };
    head(&mut out, "info", "Versions and the public name; always 1.");
    let _ = writeln!(
        out,
        "{PREFIX}_info{{version=\"{}\",authentik=\"{}\",domain=\"{}\"}} 1",
        escaped(report.program),
        escaped(&report.authentik),
        escaped(&report.domain)
    );
    head(&mut out, "healthy", "1 if no check failed and each one could look.");
    let _ = writeln!(out, "{PREFIX}_healthy {}", u8::from(report.healthy));
    head(&mut out, "verify_timestamp_seconds", "When it was looked, in seconds since 1970.");
    let time: Option<jiff::Timestamp> = report.time.parse().ok();
    let _ = writeln!(
        out,
        "{PREFIX}_verify_timestamp_seconds {}",
        time.map_or(0, |time| time.as_second())
    );
    head(&mut out, "verify_duration_seconds", "How long the look took.");
    let _ = writeln!(out, "{PREFIX}_verify_duration_seconds {}", report.took_ms as f64 / 1000.0);
    head(
        &mut out,
        "check_status",
        "How a check ended: 0 ok, 1 warning, 2 failed, 3 could not look.",
    );
    for row in &report.checks {
        let value = match row.level {
            Level::Ok => 0,
            Level::Warn => 1,
            Level::Fail => 2,
            Level::Unknown => 3,
        };
        let _ = writeln!(
            out,
            "{PREFIX}_check_status{{check=\"{}\",group=\"{}\"}} {value}",
            escaped(&row.id),
            row.group.name()
        );
    }
    let mut told = BTreeSet::new();
    for measure in &report.measures {
        if told.insert(measure.name) {
            head(&mut out, measure.name, measure.help);
        }
        let of = measure.of.as_ref().map(|of| format!("{{name=\"{}\"}}", escaped(of)));
        let _ =
            writeln!(out, "{PREFIX}_{}{} {}", measure.name, of.unwrap_or_default(), measure.value);
    }
    out
}
