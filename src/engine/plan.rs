//! What would be done. Holds a [`Reader`], and so cannot do it.

use crate::blueprint::step::{Outlook, Shown, Step};
use crate::blueprint::{self, Phase};
use crate::engine::adopt;
use crate::engine::ledger::Ledger;
use crate::error::{Exit, Failure, Result};
use crate::facts::Facts;
use crate::host::Reader;
use crate::resource::{Id, Kind, Standing};
use crate::settings::Settings;
use serde::Serialize;

/// One resource in a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The resource.
    pub id: Id,
    /// How it is.
    #[serde(flatten)]
    pub state: State,
}

/// How a resource is.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Converged,
    /// As it should be, and made by somebody else: used, never removed.
    Used,
    /// These changes are pending.
    Pending {
        /// In order.
        changes: Vec<Shown>,
    },
    /// Can be told only when that other one is there.
    After {
        /// Which one.
        after: Id,
        /// What will be done.
        text: String,
    },
    /// In the way.
    Foreign {
        /// What it is.
        what: String,
        /// What its owner can do.
        next: String,
    },
}

/// The rows of one phase.
#[derive(Debug, Clone, Serialize)]
pub struct PhasePlan {
    /// Which.
    pub phase: Phase,
    /// In order.
    pub steps: Vec<Row>,
}

/// A whole plan. Its JSON shape is a promise, numbered by `format`.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Number of this shape.
    pub format: u32,
    /// Changes pending; what can be told only later counts as one each.
    pub changes: usize,
    /// By phase, in order.
    pub phases: Vec<PhasePlan>,
}

impl Plan {
    /// Looks at every resource of these phases.
    ///
    /// # Errors
    /// If the host cannot be looked at.
    pub fn make(host: &Reader, settings: &Settings, phases: &[Phase]) -> Result<Self> {
        let facts = std::thread::scope(|scope| {
            // Looked at later; of all answers Podman's takes the longest, so it is asked for first.
            scope.spawn(|| ask_for_containers(host, settings));
            Facts::gather(host, settings)
        })?;
        facts.refuse_other_line(settings)?;
        Plan::of(host, (phases, settings.adopt), &|phase| blueprint::phase(phase, settings, &facts))
    }

    /// Looks at what `build` says of each phase; with `adopt` what is in the way becomes ours if it can.
    ///
    /// # Errors
    /// If the host cannot be looked at.
    pub fn of(
        host: &Reader,
        (phases, adopt): (&[Phase], bool),
        build: &dyn Fn(Phase) -> Result<Vec<Box<dyn Step>>>,
    ) -> Result<Self> {
        let ledger = Ledger::read(host)?;
        let mut planned = Vec::new();
        for phase in phases {
            planned.push((*phase, build(*phase)?));
        }
        host.check_interrupt()?;
        let planned = look(host, (&ledger, adopt), &planned)?;
        Ok(Plan { format: 1, changes: count(&planned), phases: planned })
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.phases.iter().flat_map(|phase| &phase.steps)
    }

    /// Is something foreign in the way?
    pub fn is_blocked(&self) -> bool {
        self.rows().any(|row| matches!(row.state, State::Foreign { .. }))
    }

    // What waits for something that no row of this plan brings about.
    fn refuse_gaps(&self) -> Result<()> {
        let planned = |id: &Id| self.rows().any(|row| row.id == *id);
        let gap = self.rows().find_map(|row| match &row.state {
            State::After { after, .. } if !planned(after) => Some((&row.id, after)),
            _ => None,
        });
        match gap {
            None => Ok(()),
            Some((id, after)) => Err(Failure::new(
                "planning",
                id,
                format!("it needs {after} first, which the chosen phases do not bring"),
            )
            .next("leave out --only and --skip\nNothing was touched.")
            .exit(Exit::Unfit)),
        }
    }

    /// Everything that is in the way, as one refusal.
    ///
    /// # Errors
    /// If anything is, or if the chosen phases build on one that was left out and never done.
    pub fn refuse_foreign(&self) -> Result<()> {
        self.refuse_gaps()?;
        let found: Vec<(&str, &str)> = self
            .rows()
            .filter_map(|row| match &row.state {
                State::Foreign { what, next } => Some((what.as_str(), next.as_str())),
                _ => None,
            })
            .collect();
        let (Some((first, next)), more) = (found.first(), found.iter().skip(1)) else {
            return Ok(());
        };
        let mut what = (*first).to_owned();
        for (also, then) in more {
            what.push_str(&format!("\n  also: {also}\n  next: {then}"));
        }
        Err(Failure::new("changing", "this host", what)
            .next(format!("{next}\nNothing was touched."))
            .exit(Exit::Unfit))
    }
}

// Whether it is answered is seen where the answer is used.
fn ask_for_containers(host: &Reader, settings: &Settings) {
    if let Ok(Some(account)) = host.account(settings.user.as_str())
        && host.podman_answers(&account).unwrap_or_default()
    {
        let _ = host.containers(&account);
    }
}

// All at once: looking waits for programs, and does not change anything.
fn look(
    host: &Reader,
    (ledger, adopt): (&Ledger, bool),
    phases: &[(Phase, Vec<Box<dyn Step>>)],
) -> Result<Vec<PhasePlan>> {
    std::thread::scope(|scope| {
        let looks: Vec<_> = phases
            .iter()
            .map(|(phase, steps)| {
                let looks = steps
                    .iter()
                    .map(|step| scope.spawn(move || row(host, (ledger, adopt), step.as_ref())));
                (*phase, looks.collect::<Vec<_>>())
            })
            .collect();
        let mut planned = Vec::new();
        for (phase, looks) in looks {
            let ended = || Failure::new("planning", phase.name(), "a look ended early");
            let rows = looks.into_iter().map(|look| look.join().unwrap_or_else(|_| Err(ended())));
            planned.push(PhasePlan { phase, steps: rows.collect::<Result<_>>()? });
        }
        Ok(planned)
    })
}

fn row(host: &Reader, (ledger, adopt): (&Ledger, bool), step: &dyn Step) -> Result<Row> {
    let standing = ledger.standing(&step.id());
    let claimable = step.claim().is_some();
    let state = match step.look(host, &standing)? {
        Outlook::Converged if adopt && adopt::can_be_ours(step, &standing) => {
            State::Pending { changes: taken_over(step, adopt::FITS, Outlook::Converged) }
        }
        Outlook::Converged if claimable && standing == Standing::Unclaimed => State::Used,
        Outlook::Converged | Outlook::Gone => State::Converged,
        Outlook::Pending(changes) => State::Pending { changes },
        Outlook::After(after) => State::After { after, text: step.aim() },
        Outlook::Foreign { what, next } => match adopt::as_ours(host, step, &standing)? {
            None => State::Foreign { what, next },
            Some(_) if !adopt => {
                State::Foreign { what, next: format!("{next}; or let it become ours: --adopt") }
            }
            Some(outlook) => State::Pending { changes: taken_over(step, &what, outlook) },
        },
    };
    Ok(Row { id: step.id(), state })
}

fn taken_over(step: &dyn Step, what: &str, outlook: Outlook) -> Vec<Shown> {
    let text = adopt::text(step, what);
    let mut changes = vec![Shown { kind: Kind::Change, text, diff: None }];
    if let Outlook::Pending(more) = outlook {
        changes.extend(more);
    }
    changes
}

fn count(phases: &[PhasePlan]) -> usize {
    phases
        .iter()
        .flat_map(|phase| &phase.steps)
        .map(|row| match &row.state {
            State::Pending { changes } => changes.len(),
            State::After { .. } => 1,
            State::Converged | State::Used | State::Foreign { .. } => 0,
        })
        .sum()
}
