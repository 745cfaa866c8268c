//! `--adopt`: what is in the way, and would do if it were ours, becomes ours.

use crate::blueprint::step::{Outlook, Step};
use crate::error::Result;
use crate::host::Reader;
use crate::resource::{Mark, Standing};

/// How something foreign would be looked at as ours; `None` if that does not help, or if it cannot be claimed.
///
/// # Errors
/// If the host cannot be looked at.
pub fn as_ours(host: &Reader, step: &dyn Step, standing: &Standing) -> Result<Option<Outlook>> {
    if *standing != Standing::Unclaimed || step.claim().is_none() {
        return Ok(None);
    }
    Ok(match step.look(host, &Standing::Claimed(Mark::default()))? {
        Outlook::Foreign { .. } | Outlook::After(_) => None,
        outlook => Some(outlook),
    })
}

/// The change in words.
pub fn text(step: &dyn Step, what: &str) -> String {
    format!("take over {}: {what}", step.id())
}
