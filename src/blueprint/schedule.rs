//! Phase `schedule`: what is run by itself.

use super::Steps;
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::facts::Facts;
use crate::names::AbsPath;
use crate::resource::directory::{Directory, Wanted};
use crate::resource::file::{File, Trial};
use crate::resource::gone::Gone;
use crate::resource::program::Program;
use crate::resource::timer::Timer;
use crate::resource::workload_gone::UnitsGone;
use crate::settings::Settings;
use minijinja::context;
use std::path::PathBuf;

const VERIFY: &str = "authentik-verify";
const BACKUP: &str = "authentik-backup";
const PROOF: &str = "authentik-backup-proof";
const UNITS: &str = "/etc/systemd/system";

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let backup = &settings.backup;
    steps.add(Program { path: facts.program.clone() });
    let perms = Wanted::root(0o700);
    if backup.enabled {
        super::storage::ancestors(steps, settings, backup.dir.path());
        steps.add(Directory::new(backup.dir.path(), perms, super::user_id(settings)));
    }
    timer(steps, (settings, facts), (VERIFY, settings.verify.enabled, false))?;
    timer(steps, (settings, facts), (BACKUP, backup.enabled, false))?;
    timer(steps, (settings, facts), (PROOF, backup.enabled, false))
}

/// Nothing runs by itself any more.
pub(super) fn withdraw(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let names = [VERIFY, BACKUP, PROOF];
    names.iter().try_for_each(|name| timer(steps, (settings, facts), (name, false, true)))?;
    let units =
        names.iter().flat_map(|name| ["service", "timer"].map(|end| format!("{name}.{end}")));
    steps.add(UnitsGone { account: None, units: units.collect() });
    Ok(())
}

fn timer(
    steps: &mut Steps,
    (settings, facts): (&Settings, &Facts),
    (name, wanted, by_first_line): (&'static str, bool, bool),
) -> Result<()> {
    let path = |path: &Option<AbsPath>| path.as_ref().map(|path| path.as_str().to_owned());
    let metrics = path(&settings.backup.prometheus_file);
    let metrics = metrics.as_deref().and_then(|path| path.rsplit_once('/')).map(|(dir, _)| dir);
    let values = context! {
        program => facts.program.display().to_string(),
        config => settings.paths.settings.display().to_string(),
        uid => super::units::uid_text(facts),
        verify_schedule => settings.verify.schedule.as_str(),
        backup_schedule => settings.backup.schedule.as_str(),
        proof_schedule => settings.backup.deep_schedule.as_str(),
        backup_dir => settings.backup.dir.as_str(),
        metrics_dir => metrics,
    };
    if !wanted {
        steps.add(Timer { name, wanted });
    }
    for ending in ["service", "timer"] {
        let path: PathBuf = format!("{UNITS}/{name}.{ending}").into();
        if !wanted {
            let why = "nothing is to run by itself";
            steps.add(Gone { id: File::id_of(&path), path, why, by_first_line });
            continue;
        }
        let text = render(&format!("systemd/{name}.{ending}"), Syntax::Unit, &values)?;
        steps.add(File { path, text, wanted: Wanted::root(0o644), trial: Trial::None });
    }
    if wanted {
        steps.add(Timer { name, wanted });
    }
    Ok(())
}
