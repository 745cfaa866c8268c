//! A resource of any kind, for the engine that walks a list of them.

use crate::error::Result;
use crate::event::Sink;
use crate::host::{Reader, Writer};
use crate::resource::{Id, Kind, Mark, Planned, Resource, Seen, Standing, Verdict};
use std::fmt::Debug;

/// A change as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// What it does to the resource.
    pub kind: Kind,
    /// In words.
    pub text: String,
    /// Difference of texts, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Shown {
    fn of<A>(planned: &Planned<A>) -> Self {
        Shown { kind: planned.kind, text: planned.text.clone(), diff: planned.diff.clone() }
    }
}

/// What a look at a resource says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// As it should be.
    Converged,
    /// As it should be: it is not there.
    Gone,
    /// These changes are pending.
    Pending(Vec<Shown>),
    /// It cannot be looked at before that other one is there.
    After(Id),
    /// Something is there that is not ours and does not fit.
    Foreign {
        /// What it is.
        what: String,
        /// What its owner can do.
        next: String,
    },
}

/// Told before and after each change.
pub trait Hook {
    /// A change is about to be made.
    ///
    /// # Errors
    /// If it must not be made.
    fn before(&mut self, change: &Shown) -> Result<()>;
    /// It was made.
    ///
    /// # Errors
    /// If that cannot be noted.
    fn after(&mut self, change: &Shown) -> Result<()>;
}

/// A [`Resource`] without its own types.
pub trait Step: Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> Id;
    /// See [`Resource::aim`].
    fn aim(&self) -> String;
    /// See [`Resource::claim`].
    fn claim(&self) -> Option<Mark>;
    /// See [`Resource::renews_facts`].
    fn renews_facts(&self) -> bool;
    /// See [`Resource::proves_itself`].
    fn proves_itself(&self) -> bool;
    /// Looks, and says what differs.
    ///
    /// # Errors
    /// If the host cannot be looked at.
    fn look(&self, host: &Reader, standing: &Standing) -> Result<Outlook>;
    /// Looks, and makes every change, telling `hook` before and after each.
    ///
    /// # Errors
    /// At the first change that cannot be made.
    fn act(
        &self,
        host: &Writer<'_>,
        standing: &Standing,
        told: &dyn Sink,
        hook: &mut dyn Hook,
    ) -> Result<Outlook>;
}

impl<R: Resource> Step for R {
    fn id(&self) -> Id {
        Resource::id(self)
    }

    fn aim(&self) -> String {
        Resource::aim(self)
    }

    fn claim(&self) -> Option<Mark> {
        Resource::claim(self)
    }

    fn renews_facts(&self) -> bool {
        Resource::renews_facts(self)
    }

    fn proves_itself(&self) -> bool {
        Resource::proves_itself(self)
    }

    fn look(&self, host: &Reader, standing: &Standing) -> Result<Outlook> {
        match self.inspect(host)? {
            Seen::After(id) => Ok(Outlook::After(id)),
            Seen::Now(found) => Ok(outlook(&self.diff(&found, standing))),
        }
    }

    fn act(
        &self,
        host: &Writer<'_>,
        standing: &Standing,
        told: &dyn Sink,
        hook: &mut dyn Hook,
    ) -> Result<Outlook> {
        let found = match self.inspect(host)? {
            Seen::After(id) => return Ok(Outlook::After(id)),
            Seen::Now(found) => found,
        };
        let verdict = self.diff(&found, standing);
        if let Verdict::Change(changes) = &verdict {
            for change in changes {
                let shown = Shown::of(change);
                hook.before(&shown)?;
                self.apply(host, &change.act, told)?;
                hook.after(&shown)?;
            }
        }
        Ok(outlook(&verdict))
    }
}

fn outlook<A>(verdict: &Verdict<A>) -> Outlook {
    match verdict {
        Verdict::Converged => Outlook::Converged,
        Verdict::Gone => Outlook::Gone,
        Verdict::Change(changes) => Outlook::Pending(changes.iter().map(Shown::of).collect()),
        Verdict::Foreign { what, next } => {
            Outlook::Foreign { what: what.clone(), next: next.clone() }
        }
    }
}
