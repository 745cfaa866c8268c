//! Trial of Quadlet files by Podman's own generator: it drops a unit that it does not understand
//! without a word to anybody, so it is asked before the files are moved into place.

use crate::error::{Failure, Result};
use crate::host::Writer;
use crate::host::accounts::Account;
use crate::host::files::{Perms, Put};
use std::path::{Path, PathBuf};

/// Files that belong together, and the services that must come out of them.
#[derive(Debug)]
pub struct Set {
    /// Whose generator.
    pub account: Account,
    /// File names and contents.
    pub files: Vec<(String, String)>,
    /// Names of the services.
    pub services: Vec<String>,
}

const STAGE: &str = "/run/authentik-install-trial";

impl Set {
    /// Asks the generator.
    ///
    /// # Errors
    /// With its own words if it refuses a file, or if a service is missing from what it makes.
    pub fn pass(&self, host: &Writer<'_>) -> Result<()> {
        let stage = Path::new(STAGE);
        let paths: Vec<PathBuf> = self.files.iter().map(|(name, _)| stage.join(name)).collect();
        if host.stat(stage)?.is_none() {
            host.create_dir(stage, Perms::root(0o755))?;
        }
        for ((_, text), path) in self.files.iter().zip(&paths) {
            host.put(path, text.as_bytes(), Perms::root(0o644), Put::Replace)?;
        }
        let made = host.quadlet_trial(&self.account, stage);
        for path in &paths {
            host.remove(path)?;
        }
        host.remove_dir(stage)?;
        let made = made?;
        match self.services.iter().find(|name| !made.contains(&format!("---{name}---"))) {
            None => Ok(()),
            Some(name) => Err(Failure::new(
                "trying the unit files with",
                "podman's generator",
                format!("it makes no {name} of them"),
            )
            .next("report this with the output of: podman --version")),
        }
    }
}
