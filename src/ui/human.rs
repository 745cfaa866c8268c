//! For a person: tables, plans and a moving line while something takes time.

use crate::checks::Report;
use crate::data::release::LifeUnit;
use crate::engine::plan::{Plan, State};
use crate::event::{Event, Sink};
use crate::resource::Kind;
use crate::settings::Settings;
use crate::settings::origin::{KeyPath, Origin};
use crate::ui::word;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
use std::time::Duration;

/// Finished lines above, one moving line below.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Starts the moving line on standard error.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }
}

fn moving() -> ProgressStyle {
    let template = "{spinner} {msg} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Sink for Progress {
    fn emit(&self, event: &Event) {
        match event {
            Event::Phase { phase } => self.0.println(*phase),
            Event::Changing { text, .. } => {
                self.0.reset_elapsed();
                self.0.set_message(text.clone());
            }
            Event::Changed { text, .. } => self.0.println(format!("  ✓ {text}")),
            Event::Waiting { missing, elapsed, limit, .. } => {
                self.0.set_message(format!("{missing} ({elapsed} of {limit} s)"));
            }
            Event::Moving { id, done, total } => {
                self.0.set_style(moving());
                self.0.set_length((*total).max(*done));
                self.0.set_position(*done);
                self.0.set_message(id.clone());
            }
            Event::Note { text } => self.0.println(text),
            Event::Warning { text } => self.0.println(format!("warning: {text}")),
        }
    }
}

fn mark(kind: Kind) -> char {
    match kind {
        Kind::Create => '+',
        Kind::Change => '~',
        Kind::Remove => '-',
        Kind::Run => '>',
    }
}

/// A plan, phase by phase.
pub fn plan(plan: &Plan, with_diff: bool) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    for phase in &plan.phases {
        line(phase.phase.name().to_owned());
        let mut quiet = true;
        for row in &phase.steps {
            match &row.state {
                State::Converged => continue,
                State::Used => line(format!("  = {}: was there before, used as it is", row.id)),
                State::After { after, text } => line(format!("  > {text} (after {after})")),
                State::Foreign { what, next } => line(format!("  ! {what}\n    next: {next}")),
                State::Pending { changes } => {
                    for change in changes {
                        line(format!("  {} {}", mark(change.kind), change.text));
                        if let (true, Some(diff)) = (with_diff, &change.diff) {
                            diff.lines().for_each(|text| line(format!("      {text}")));
                        }
                    }
                }
            }
            quiet = false;
        }
        if quiet {
            line("  nothing to do".to_owned());
        }
    }
    line(match plan.changes {
        0 => "No changes.".to_owned(),
        1 => "1 change. Nothing was touched.".to_owned(),
        many => format!("{many} changes. Nothing was touched."),
    });
    out
}

/// A report, a row a check.
pub fn checks(report: &Report) -> String {
    let mut out = String::new();
    for row in &report.checks {
        let level = word(row.level);
        let _ = writeln!(out, "{level:<8}{:<18}{}", row.id, row.found);
        if let Some(cure) = &row.cure {
            let _ = writeln!(out, "{:<26}cure: {cure}", "");
        }
    }
    if let Some(line) = &report.packages {
        let _ = writeln!(
            out,
            "\nAll that is missing: {line}\nor by itself: authentik-install install --install-packages"
        );
    }
    out
}

/// The values in effect, a line each, with their origins.
pub fn settings(origins: &[(KeyPath, toml_edit::Value, Origin)]) -> String {
    let rows: Vec<(String, Origin)> = origins
        .iter()
        .map(|(path, value, origin)| {
            let value = value.clone().decorated("", "");
            (format!("{} = {value}", path.join(".")), *origin)
        })
        .collect();
    let width = rows.iter().map(|(row, _)| row.chars().count()).max().unwrap_or_default();
    rows.iter().map(|(row, origin)| format!("{row:width$}  # {origin}\n")).collect()
}

/// The end of an installation.
pub fn installed(settings: &Settings, changes: usize, link: Option<&str>) -> String {
    let (version, domain) = (&settings.version, &settings.domain);
    let changed = match changes {
        0 => "nothing had to be changed".to_owned(),
        1 => "1 change".to_owned(),
        many => format!("{many} changes"),
    };
    let mut out = format!("authentik {version} at https://{domain}/ ({changed})\n");
    if let Some(link) = link {
        let _ = write!(
            out,
            "\nSign in once as akadmin, {}, and set a password:\n  {link}\nAnother link: authentik-install admin link\n",
            match settings.release.recovery_key_unit {
                LifeUnit::Minutes => "within an hour",
                LifeUnit::Years => "soon (unused it opens for a year)",
            }
        );
    } else if changes > 0 && settings.admin_password.is_none() {
        // It may have been made for a run that ended before its link could be opened.
        let _ = writeln!(out, "A link to sign in as akadmin: authentik-install admin link");
    }
    out
}
