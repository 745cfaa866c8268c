//! Rootless Podman of the service user.
//!
//! Everything runs as a transient unit of the user's manager: a `podman` started from here would
//! leave its pause process in our own control group.

use crate::error::{Failure, Result};
use crate::host::accounts::Account;
use crate::host::run::{Arg, Cmd};
use crate::host::{Reader, Writer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

/// An image in the user's storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// Digest of its manifest: `sha256:…`.
    #[serde(rename = "Digest")]
    pub digest: String,
}

/// A container, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// Its names.
    #[serde(rename = "Names", default)]
    pub names: Vec<String>,
    /// Its labels.
    #[serde(rename = "Labels", default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// `running`, `exited` …
    #[serde(rename = "State", default)]
    pub state: String,
    /// Start, in seconds since 1970 (UTC).
    #[serde(rename = "StartedAt", default)]
    pub started_at: i64,
    /// Text such as `Up 2 minutes (healthy)`.
    #[serde(rename = "Status", default)]
    pub status: String,
}

impl Container {
    /// The value of a label, empty if it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.as_ref().and_then(|labels| labels.get(name)).map_or("", String::as_str)
    }
}

/// Ten minutes a gigabyte on a slow line, and more.
const PULL_LIMIT: Duration = Duration::from_secs(1800);

fn podman(account: &Account) -> Cmd {
    Cmd::new("systemd-run")
        .user(account)
        .args(["--user", "--wait", "--pipe", "--collect", "--quiet", "--", "podman"])
        .deadline(Duration::from_secs(60))
}

fn parse_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new("reading the answer of", what, error.to_string()))
}

impl Reader {
    // Podman makes its storage when it is first asked anything; looking must not do that.
    fn storage_exists(&self, account: &Account) -> Result<bool> {
        let path = account.home.join(".local/share/containers/storage");
        Ok(self.stat(&path)?.is_some())
    }

    /// An image by name and tag, or `None` if the user's storage has none.
    ///
    /// # Errors
    /// If Podman cannot be asked.
    pub fn image(&self, account: &Account, name: &str) -> Result<Option<Image>> {
        if !self.storage_exists(account)? {
            return Ok(None);
        }
        let filter = format!("reference={name}");
        let text =
            podman(account).args(["images", "--format", "json", "--filter", &filter]).run(self)?;
        Ok(parse_json::<Vec<Image>>("podman images", &text)?.into_iter().next())
    }

    /// All containers of the user.
    ///
    /// # Errors
    /// If Podman cannot be asked.
    pub fn containers(&self, account: &Account) -> Result<Vec<Container>> {
        if !self.storage_exists(account)? {
            return Ok(Vec::new());
        }
        let text = podman(account).args(["ps", "--all", "--format", "json"]).run(self)?;
        parse_json("podman ps", &text)
    }
}

impl Writer<'_> {
    /// Pulls an image into the user's storage.
    ///
    /// # Errors
    /// If the registry does not give it, or it takes longer than half an hour.
    pub fn pull(&self, account: &Account, name: &str) -> Result<()> {
        podman(account)
            .args(["pull", "--quiet", name])
            .deadline(PULL_LIMIT)
            .interruptible()
            .next("check the network and the registry, or give --image-archive FILE (made elsewhere by: podman save -o FILE IMAGE)")
            .run(self)
            .map(drop)
    }

    /// Loads an OCI or docker archive into the user's storage and returns the names in it. The
    /// archive is handed over open, so that user needs no right to its path.
    ///
    /// # Errors
    /// If it is not such an archive.
    pub fn load(&self, account: &Account, archive: File) -> Result<Vec<String>> {
        let text = podman(account)
            .args(["load", "--quiet"])
            .stdin_file(archive)
            .deadline(PULL_LIMIT)
            .interruptible()
            .next("make the archive again: podman save -o FILE IMAGE")
            .run(self)?;
        Ok(text
            .lines()
            .filter_map(|line| line.strip_prefix("Loaded image: "))
            .map(|name| name.trim().to_owned())
            .collect())
    }

    /// Runs a program in the user's namespace, where it may act for the ids of the containers.
    ///
    /// # Errors
    /// If it fails.
    pub fn unshare<A: Into<Arg>>(
        &self,
        account: &Account,
        args: impl IntoIterator<Item = A>,
    ) -> Result<()> {
        podman(account).arg("unshare").args(args).run(self).map(drop)
    }

    /// Runs a program in a running container and returns its standard output.
    ///
    /// # Errors
    /// If it fails.
    pub fn exec(&self, account: &Account, container: &str, args: &[&str]) -> Result<String> {
        podman(account)
            .args(["exec", container])
            .args(args.iter().copied())
            .deadline(Duration::from_secs(120))
            .run(self)
    }
}
