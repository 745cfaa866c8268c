//! Makes resources so, one after the other: look, claim, change, look again.

use crate::blueprint::step::{Hook, Outlook, Shown, Step};
use crate::blueprint::{self, Phase};
use crate::engine::adopt;
use crate::engine::ledger::Ledger;
use crate::error::{Exit, Failure, Result};
use crate::event::{Event, Sink};
use crate::facts::Facts;
use crate::host::Writer;
use crate::resource::{Id, Kind, Standing};
use crate::settings::Settings;

/// What a run changed.
#[derive(Debug, Default)]
pub struct Done {
    /// Each change, with its resource.
    pub changes: Vec<(Id, String)>,
}

impl Done {
    /// Was this resource changed?
    pub fn changed(&self, id: &Id) -> bool {
        self.changes.iter().any(|(changed, _)| changed == id)
    }
}

/// A phase is begun anew when a change renews the facts; more often than this is a defect.
const ROUNDS: usize = 12;

struct Log<'r, 'lock> {
    host: &'r Writer<'lock>,
    told: &'r dyn Sink,
    ledger: &'r mut Ledger,
    phase: Phase,
    step: &'r dyn Step,
    done: &'r mut Done,
}

impl Hook for Log<'_, '_> {
    fn before(&mut self, change: &Shown) -> Result<()> {
        self.host.check_interrupt()?;
        let id = self.step.id();
        tracing::info!(phase = self.phase.name(), resource = %id, change = %change.text, "changing");
        let ours = self.ledger.standing(&id) != Standing::Unclaimed;
        // What is ours is claimed anew when it changes: a file's new content becomes a mark.
        let claims = change.kind == Kind::Create || (change.kind == Kind::Change && ours);
        if let (true, Some(mark)) = (claims, self.step.claim()) {
            self.ledger.intend(self.host, &id, mark)?;
        }
        self.told.emit(&Event::Changing { id: id.to_string(), text: change.text.clone() });
        Ok(())
    }

    fn after(&mut self, change: &Shown) -> Result<()> {
        let id = self.step.id();
        // That it is gone is for the next look to say: a claim lasts until then.
        if change.kind != Kind::Remove {
            self.ledger.made(self.host, &id)?;
        }
        self.told.emit(&Event::Changed { id: id.to_string(), text: change.text.clone() });
        self.done.changes.push((id, change.text.clone()));
        Ok(())
    }
}

/// Makes these phases so.
///
/// # Errors
/// At the first thing that cannot be made so. What was done is in `done`, also then.
pub fn apply(
    host: &Writer<'_>,
    settings: &Settings,
    phases: &[Phase],
    told: &dyn Sink,
    done: &mut Done,
) -> Result<()> {
    let build = |phase, facts: &Facts| blueprint::phase(phase, settings, facts);
    converge(host, (settings, phases), &build, told, done)
}

/// Lays out one phase from the facts of the moment.
pub type Build<'b> = dyn Fn(Phase, &Facts) -> Result<Vec<Box<dyn Step>>> + 'b;

/// Makes so what `build` says of each phase.
///
/// # Errors
/// As [`apply`].
pub fn converge(
    host: &Writer<'_>,
    (settings, phases): (&Settings, &[Phase]),
    build: &Build<'_>,
    told: &dyn Sink,
    done: &mut Done,
) -> Result<()> {
    let mut ledger = Ledger::read(host)?;
    let mut known = None;
    for phase in phases {
        told.emit(&Event::Phase { phase: phase.name() });
        let mut rounds = 0;
        loop {
            let before = done.changes.len();
            let facts = match known.take() {
                Some(facts) => facts,
                None => Facts::gather(host, settings)?,
            };
            let steps = build(*phase, &facts)?;
            let mut log = (&mut ledger, &mut *done);
            if settings.adopt {
                take_over(host, &steps, told, &mut log)?;
            }
            let rests = round(host, (*phase, steps), told, log)?;
            if done.changes.len() == before {
                known = Some(facts);
            }
            if rests {
                break;
            }
            rounds += 1;
            if rounds > ROUNDS {
                return Err(Failure::new("converging", phase.name(), "it does not come to rest"));
            }
        }
    }
    Ok(())
}

// What is in the way, and only has to be ours, becomes ours; then it is changed like anything of ours.
fn take_over(
    host: &Writer<'_>,
    steps: &[Box<dyn Step>],
    told: &dyn Sink,
    (ledger, done): &mut (&mut Ledger, &mut Done),
) -> Result<()> {
    for step in steps {
        let (step, id) = (step.as_ref(), step.id());
        let standing = ledger.standing(&id);
        let (what, mark) = match step.look(host, &standing)? {
            Outlook::Foreign { what, .. } if adopt::as_ours(host, step, &standing)?.is_some() => {
                (what, None)
            }
            Outlook::Converged if adopt::can_be_ours(step, &standing) => {
                (adopt::FITS.to_owned(), step.claim())
            }
            _ => continue,
        };
        let text = adopt::text(step, &what);
        told.emit(&Event::Changing { id: id.to_string(), text: text.clone() });
        ledger.intend(host, &id, mark.unwrap_or_default())?;
        ledger.made(host, &id)?;
        told.emit(&Event::Changed { id: id.to_string(), text: text.clone() });
        done.changes.push((id, text));
    }
    Ok(())
}

// True: every resource of the phase is as it should be. False: facts changed, begin anew.
fn round(
    host: &Writer<'_>,
    (phase, steps): (Phase, Vec<Box<dyn Step>>),
    told: &dyn Sink,
    (ledger, done): (&mut Ledger, &mut Done),
) -> Result<bool> {
    for step in steps {
        host.check_interrupt()?;
        let step = step.as_ref();
        let before = done.changes.len();
        let standing = ledger.standing(&step.id());
        let mut log = Log { host, told, ledger, phase, step, done };
        match step.act(host, &standing, told, &mut log)? {
            Outlook::Converged => continue,
            Outlook::Gone => ledger.gone(host, &step.id())?,
            Outlook::After(id) => {
                return Err(Failure::new("looking at", step.id(), format!("it needs {id} first"))
                    .next("run authentik-install install without --only and --skip"));
            }
            Outlook::Foreign { what, next } => {
                return Err(Failure::new("changing", step.id(), what).next(next).exit(Exit::Unfit));
            }
            Outlook::Pending(_) if step.proves_itself() => {}
            Outlook::Pending(_) => confirm(host, step, ledger)?,
        }
        if done.changes.len() > before && step.renews_facts() {
            return Ok(false);
        }
    }
    Ok(true)
}

// A change that leaves a difference did not work, whatever the programs said.
fn confirm(host: &Writer<'_>, step: &dyn Step, ledger: &mut Ledger) -> Result<()> {
    let left = match step.look(host, &ledger.standing(&step.id()))? {
        Outlook::Converged => return Ok(()),
        Outlook::Gone => return ledger.gone(host, &step.id()),
        Outlook::Pending(changes) => {
            changes.into_iter().map(|change| change.text).collect::<Vec<_>>().join("; ")
        }
        Outlook::After(id) => format!("it needs {id}"),
        Outlook::Foreign { what, .. } => what,
    };
    Err(Failure::new("changing", step.id(), format!("it was done, and still differs: {left}"))
        .next("run the same command again; if it stays, report this line"))
}
