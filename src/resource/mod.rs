//! Things on a host that converge. Each one looks, states the difference as a value, and applies
//! it; nothing else in the program changes anything.

pub mod account_gone;
pub mod admin;
pub mod bootstrap;
pub mod caddy_loaded;
pub mod caddyfile;
pub mod database;
pub mod derived;
pub mod directory;
pub mod file;
pub mod gone;
pub mod handover;
pub mod hba;
pub mod hba_gone;
pub mod image;
pub mod import_gone;
pub mod keys_gone;
pub mod linger;
pub mod media;
pub mod membership;
pub mod program;
pub mod quadlet;
pub mod ready;
pub mod role;
pub mod secret_file;
pub mod served;
pub mod settings_file;
pub mod settled;
pub mod sql_gone;
pub mod subids;
pub mod system_loaded;
pub mod timer;
pub mod tree_gone;
pub mod user;
pub mod valkey;
pub mod valkey_gone;
pub mod workload;
pub mod workload_gone;

use crate::error::Result;
use crate::event::Sink;
use crate::host::files::FileNow;
use crate::host::{Reader, Writer};
use crate::text::block;
use serde::Serialize;
use std::fmt::{self, Debug};
use std::path::Path;

/// Name of a resource: its kind and what it is about, as in `user:authentik`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Id(String);

impl Id {
    /// A name.
    pub fn new(kind: &str, about: impl fmt::Display) -> Self {
        Id(format!("{kind}:{about}"))
    }

    /// A name as it was written down.
    pub fn written(text: &str) -> Self {
        Id(text.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a look found.
#[derive(Debug)]
pub enum Seen<F> {
    /// This.
    Now(F),
    /// It cannot be looked at before that other resource is there. Only while planning.
    After(Id),
}

/// What the difference is.
#[derive(Debug)]
pub enum Verdict<A> {
    /// None.
    Converged,
    /// None: it is not there, and should not be. Nobody has a claim on it any more.
    Gone,
    /// These changes, in order.
    Change(Vec<Planned<A>>),
    /// Something is there that is not ours and does not fit.
    Foreign {
        /// What it is.
        what: String,
        /// What its owner can do about it.
        next: String,
    },
}

impl<A> Verdict<A> {
    /// Converged if there are no changes.
    pub fn of(changes: Vec<Planned<A>>) -> Self {
        if changes.is_empty() { Verdict::Converged } else { Verdict::Change(changes) }
    }

    /// Gone if there are no changes.
    pub fn gone_unless(changes: Vec<Planned<A>>) -> Self {
        if changes.is_empty() { Verdict::Gone } else { Verdict::Change(changes) }
    }

    /// Something that is not ours.
    pub fn foreign(what: impl Into<String>, next: impl Into<String>) -> Self {
        Verdict::Foreign { what: what.into(), next: next.into() }
    }
}

/// By what we know a thing again that we are about to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark(
    /// SHA-256 of the contents that we have written or are about to write.
    pub Vec<String>,
);

/// Is the thing ours?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// We never claimed it.
    Unclaimed,
    /// We made it, or were about to.
    Claimed(Mark),
}

/// What a change does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It comes into being.
    Create,
    /// It becomes other.
    Change,
    /// It goes away.
    Remove,
    /// Something runs; nothing is kept.
    Run,
}

/// A change, and how it is shown before it is made. No secret is ever in it.
#[derive(Debug)]
pub struct Planned<A> {
    /// What to do.
    pub act: A,
    /// What that does to the resource.
    pub kind: Kind,
    /// The change in words.
    pub text: String,
    /// Difference of texts, if there is one to show.
    pub diff: Option<String>,
}

impl<A> Planned<A> {
    /// Something comes into being.
    pub fn create(act: A, text: impl Into<String>) -> Self {
        Planned { act, kind: Kind::Create, text: text.into(), diff: None }
    }

    /// Something becomes other.
    pub fn change(act: A, text: impl Into<String>) -> Self {
        Planned { kind: Kind::Change, ..Planned::create(act, text) }
    }

    /// Something goes away.
    pub fn remove(act: A, text: impl Into<String>) -> Self {
        Planned { kind: Kind::Remove, ..Planned::create(act, text) }
    }

    /// Something runs, and nothing of it is kept.
    pub fn run(act: A, text: impl Into<String>) -> Self {
        Planned { kind: Kind::Run, ..Planned::create(act, text) }
    }

    /// Adds the difference of texts.
    #[must_use]
    pub fn with_diff(mut self, diff: String) -> Self {
        self.diff = Some(diff);
        self
    }
}

/// One thing on the host, with the state it should have.
pub trait Resource: Debug + Send + Sync {
    /// What a look finds.
    type Found: Debug;
    /// What can be done about a difference.
    type Act: Debug + Send;

    /// Its name.
    fn id(&self) -> Id;
    /// What it is for, in words: shown where it cannot be looked at yet.
    fn aim(&self) -> String;
    /// Is it created by us and so claimed in the ledger? Then the mark that it is known by.
    fn claim(&self) -> Option<Mark> {
        None
    }
    /// May applying it change what the blueprint was made from?
    fn renews_facts(&self) -> bool {
        false
    }

    /// Does [`Resource::apply`] itself end only when a look says that it is so?
    fn proves_itself(&self) -> bool {
        false
    }
    /// Looks at the host.
    ///
    /// # Errors
    /// If the host cannot be looked at.
    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>>;
    /// The difference between what was found and what should be. Pure.
    fn diff(&self, found: &Self::Found, standing: &Standing) -> Verdict<Self::Act>;
    /// Makes one change.
    ///
    /// # Errors
    /// If it cannot be made.
    fn apply(&self, host: &Writer<'_>, act: &Self::Act, told: &dyn Sink) -> Result<()>;
}

/// A unified difference of two texts.
pub fn unified(path: &str, old: &str, new: &str) -> String {
    similar::TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(2)
        .header(path, path)
        .to_string()
}

/// A refusal, if a file of somebody else's has to take a line and nobody can write it.
fn refuse_fixed<A>(path: &Path, file: &FileNow) -> Option<Verdict<A>> {
    let path = path.display();
    file.fixed.then(|| {
        Verdict::foreign(
            format!("{path} has to be changed, and is immutable"),
            format!("chattr -i -a {path}, and again when this is done: chattr +i {path}"),
        )
    })
}

/// Takes our marked block out of a file of somebody else's, by `act` with the file and its text without
/// the block. The marks say whose it is, also to a run that has lost the ledger.
fn block_gone<A>(
    (path, file): (&Path, &Option<FileNow>),
    aim: String,
    act: impl FnOnce(FileNow, String) -> A,
) -> Verdict<A> {
    let Some(file) = file else { return Verdict::Gone };
    let Ok(text) = file.text() else { return Verdict::Converged };
    let Some(rest) = block::taken_out(&text) else { return Verdict::Gone };
    if let Some(refusal) = refuse_fixed(path, file) {
        return refusal;
    }
    let diff = unified(&path.display().to_string(), &text, &rest);
    Verdict::of(vec![Planned::remove(act(file.clone(), rest), aim).with_diff(diff)])
}
