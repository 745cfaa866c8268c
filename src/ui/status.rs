//! The screen of `status`.

use crate::health::status::Status;
use crate::ui::word;
use jiff::{SpanRound, Timestamp, Unit};
use std::fmt::Write;

/// For a person.
pub fn human(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12}{text}");
    };
    line("authentik", format!("{}{}", status.version, newer(status)));
    line("address", status.url.clone());
    let state = if status.healthy { "healthy" } else { "NOT HEALTHY" };
    let since = status.since.as_deref().and_then(ago).map(|ago| format!(", for {ago} now"));
    line("health", format!("{state}{}", since.unwrap_or_default()));
    for group in &status.groups {
        let worst = group.worst.as_deref().unwrap_or("as it should be");
        line("", format!("{:<8}{:<10}{worst}", word(group.level), group.group.name()));
    }
    for one in &status.containers {
        let time = ago(&one.since).map_or_else(|| one.since.clone(), |ago| format!("up for {ago}"));
        line("container", format!("{} {time}", one.name));
    }
    for size in &status.sizes {
        let text = size.bytes.map_or_else(
            || "not counted in time".to_owned(),
            |bytes| indicatif::HumanBytes(bytes).to_string(),
        );
        line("size", format!("{} {text}", size.of));
    }
    line("backup", status.last_backup.clone().unwrap_or_else(|| "none yet".into()));
    for next in &status.timers {
        line("next", format!("{} {}", next.timer, next.at.as_deref().unwrap_or("not set up")));
    }
    out
}

fn newer(status: &Status) -> String {
    match (&status.newest, &status.newest_unknown) {
        (Some(newest), _) if *newest != status.version => {
            format!(" ({newest} is out: authentik-install install --version {newest})")
        }
        (Some(_), _) => " (the newest patch of its line)".into(),
        (None, Some(why)) => format!(" (whether there is a newer one is not known: {why})"),
        (None, None) => String::new(),
    }
}

// Two units are enough to know.
fn ago(time: &str) -> Option<String> {
    let then: Timestamp = time.parse().ok()?;
    let rounding = SpanRound::new().largest(Unit::Hour).smallest(Unit::Minute);
    let span = then.until(Timestamp::now()).ok()?.round(rounding).ok()?;
    let text = format!("{span:#}");
    Some(if text == "0s" { "less than a minute".into() } else { text })
}
