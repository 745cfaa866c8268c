//! `--adopt`: what is in the way, and would do if it were ours, becomes ours.

use crate::blueprint::step::{Outlook, Step};
use crate::error::Result;
use crate::host::Reader;
use crate::resource::{Id, Mark, Standing};

/// How something foreign would be looked at as ours; `None` if that does not help, or if it cannot be claimed.
///
/// # Errors
/// If the host cannot be looked at.
pub fn as_ours(host: &Reader, step: &dyn Step, standing: &Standing) -> Result<Option<Outlook>> {
    if !can_be_ours(step, standing) {
        return Ok(None);
    }
    Ok(match step.look(host, &Standing::Claimed(Mark::default()))? {
        Outlook::Foreign { .. } | Outlook::After(_) => None,
        outlook => Some(outlook),
    })
}

/// Is it nobody's yet, and something that can be claimed?
pub fn can_be_ours(step: &dyn Step, standing: &Standing) -> bool {
    let id = step.id();
    // This program came by itself, or by a package.
    let brought = id.as_str().starts_with("program:");
    *standing == Standing::Unclaimed && step.claim().is_some() && !brought && !is_shared(&id)
}

// A folder that is called neither after authentik nor after the number of its user may hold what others put
// there, and what is ours goes with us.
fn is_shared(id: &Id) -> bool {
    let Some(path) = id.as_str().strip_prefix("directory:") else { return false };
    let starts = ["/etc/containers/systemd/users/", "/etc/systemd/system/user@"];
    !path.contains("authentik") && !starts.iter().any(|start| path.starts_with(start))
}

/// Said of what is used as it is, and becomes ours.
pub const FITS: &str = "it is as it should be";

/// The change in words.
pub fn text(step: &dyn Step, what: &str) -> String {
    format!("take over {}: {what}", step.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_others_is_not_taken_over() {
        let shared = |path: &str| is_shared(&Id::new("directory", path));
        assert!(shared("/srv/backups") && shared("/srv"));
        assert!(!shared("/etc/authentik/secrets") && !shared("/srv/authentik/media"));
        assert!(!is_shared(&Id::new("file", "/srv/x")));
        assert!(!shared("/etc/containers/systemd/users/996"));
        assert!(shared("/etc/containers/systemd/users") && shared("/mnt/2026"));
    }
}
