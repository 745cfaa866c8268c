//! Backups: for a person, and for Prometheus.

use crate::backup::manifest::Manifest;
use crate::backup::retention::Verdict;
use crate::backup::shelf::Shelved;
use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;

fn state(one: &Shelved) -> &'static str {
    match (&one.manifest, &one.proof) {
        (Err(_), _) => "DAMAGED",
        (Ok(_), Some(proof)) if proof.proven => "proven",
        (Ok(_), Some(_)) => "DAMAGED",
        (Ok(_), None) => "whole",
    }
}

/// One line each, newest first.
pub fn list(all: &[Shelved]) -> String {
    let mut out = String::new();
    for one in all {
        let _ = match &one.manifest {
            Ok(manifest) => writeln!(
                out,
                "{}  {:<8}{:>10}  authentik {}{}{}",
                one.id,
                state(one),
                HumanBytes(manifest.stored()).to_string(),
                manifest.authentik.version,
                if manifest.recipients.is_empty() { "" } else { "  encrypted" },
                manifest.tag.as_ref().map(|tag| format!("  {tag}")).unwrap_or_default()
            ),
            Err(why) => writeln!(out, "{}  {:<8}{why}", one.id, state(one)),
        };
    }
    if all.is_empty() {
        out.push_str("There is none. Make one: authentik-install backup\n");
    }
    out
}

/// The same for programs.
pub fn list_json(all: &[Shelved]) -> Value {
    let row = |one: &Shelved| {
        let manifest = one.manifest.as_ref().ok();
        json!({
            "id": one.id, "time": one.time, "path": one.path, "state": state(one).to_lowercase(),
            "bytes": manifest.map(Manifest::stored),
            "authentik": manifest.map(|manifest| &manifest.authentik.version),
            "encrypted": manifest.map(|manifest| !manifest.recipients.is_empty()),
            "tag": manifest.and_then(|manifest| manifest.tag.as_ref()),
            "why": one.manifest.as_ref().err(),
            "proof": one.proof,
        })
    };
    json!({"format": 1, "backups": all.iter().map(row).collect::<Vec<_>>()})
}

/// One in full.
pub fn show(one: &Shelved, manifest: &Manifest) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12}{text}");
    };
    line("backup", format!("{} ({})", one.id, state(one)));
    line("made", format!("{:.0}, in {} ms", manifest.time, manifest.took_ms));
    line("of", format!("https://{}/ on {}", manifest.domain, manifest.host));
    line("authentik", manifest.authentik.version.clone());
    let database = &manifest.postgresql;
    line(
        "database",
        format!(
            "{} of PostgreSQL {}: {} tables, {} rows",
            database.database,
            database.version / 10_000,
            database.rows.len(),
            database.rows.values().sum::<u64>()
        ),
    );
    line("files", manifest.files.len().to_string());
    for part in &manifest.parts {
        let (stored, holds) = (HumanBytes(part.stored.bytes), HumanBytes(part.holds.bytes));
        line("part", format!("{} {stored}, holds {holds}", part.name));
    }
    for recipient in &manifest.recipients {
        line("readable by", recipient.clone());
    }
    for tree in &manifest.trees {
        line("folder", format!("{} from {}", tree.name, tree.path.display()));
    }
    for warning in &manifest.warnings {
        line("warning", warning.clone());
    }
    if let Some(proof) = &one.proof {
        line(
            "proof",
            format!("{:.0}: {}", proof.time, if proof.proven { "proven" } else { "failed" }),
        );
        for finding in &proof.findings {
            line("", finding.clone());
        }
    }
    out
}

/// What was made, in one line.
pub fn made(manifest: &Manifest, path: &std::path::Path) -> String {
    format!(
        "{}: {}, {} rows and {} files, in {} ms",
        path.display(),
        HumanBytes(manifest.stored()),
        manifest.postgresql.rows.values().sum::<u64>(),
        manifest.files.len(),
        manifest.took_ms
    )
}

/// What stays, what goes, and why.
pub fn retention(judged: &[Verdict], dry_run: bool) -> String {
    let mut out = String::new();
    for one in judged {
        let _ = match (one.stays(), dry_run) {
            (true, _) => writeln!(out, "keep    {}  {}", one.id, one.reasons.join(", ")),
            (false, true) => writeln!(out, "delete  {}  nothing speaks for it", one.id),
            (false, false) => writeln!(out, "deleted {}  nothing spoke for it", one.id),
        };
    }
    out
}

const PREFIX: &str = "authentik_install_backup";

/// The text format of Prometheus. `failed`: did the last run fail?
pub fn prometheus(all: &[Shelved], failed: bool) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, value: f64| {
        let _ = writeln!(out, "# HELP {PREFIX}_{name} {help}\n# TYPE {PREFIX}_{name} gauge");
        let _ = writeln!(out, "{PREFIX}_{name} {value}");
    };
    let seconds = |time: Timestamp| time.as_second() as f64;
    gauge("last_run_failed", "1 if the last run made none.", f64::from(u8::from(failed)));
    let good = all.iter().filter(|one| one.is_good()).count();
    gauge("count", "How many good ones there are.", good as f64);
    let newest = all.iter().find(|one| one.is_good());
    if let Some((one, manifest)) = newest.and_then(|one| Some((one, one.manifest.as_ref().ok()?))) {
        gauge("timestamp_seconds", "When the newest good one was made.", seconds(one.time));
        gauge("size_bytes", "Size of the newest good one.", manifest.stored() as f64);
        gauge("duration_seconds", "How long it took.", manifest.took_ms as f64 / 1000.0);
        gauge(
            "warnings",
            "What could not be backed up as it should.",
            manifest.warnings.len() as f64,
        );
    }
    let proven = all.iter().find(|one| one.is_proven());
    if let Some(proof) = proven.and_then(|one| one.proof.as_ref()) {
        gauge("proven_timestamp_seconds", "When one was last proven.", seconds(proof.time));
    }
    out
}
