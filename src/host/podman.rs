//! Rootless Podman of the service user.
//!
//! Everything runs as a transient unit of the user's manager: a `podman` started from here would
//! leave its pause process in our own control group.

use crate::error::{Failure, Result};
use crate::event::{Event, Sink};
use crate::host::accounts::Account;
use crate::host::arg::Arg;
use crate::host::memo::About;
use crate::host::run::Cmd;
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
    /// The architecture that it was built for, in Go's words: `amd64`, `arm64`.
    #[serde(rename = "Architecture", default)]
    pub architecture: String,
}

impl Image {
    /// Can this machine run it?
    pub fn runs_here(&self) -> bool {
        self.architecture == architecture()
    }
}

/// The architecture of this machine, in Go's words.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
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
    /// Its first process, on this host; 0 if it does not run.
    #[serde(rename = "Pid", default)]
    pub pid: u32,
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

// What only looks needs no unit of its own where Podman's pause process lives already: it joins that
// one's namespace and ends, at a third of the time.
fn asking(host: &Reader, account: &Account, about: About) -> Cmd {
    let pause = format!("/run/user/{}/libpod/tmp/pause.pid", account.uid);
    let file = host.read_as(account, pause.as_ref()).ok().flatten();
    let pid = file.and_then(|file| file.text().ok()?.trim().parse::<u32>().ok());
    match pid.is_some_and(|pid| host.exists(&format!("/proc/{pid}"))) {
        true => Cmd::new("podman").user(account).deadline(Duration::from_secs(60)).asks(about),
        false => podman(account).asks(about),
    }
}

fn parse_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new("reading the answer of", what, error.to_string()))
}

impl Reader {
    /// Can Podman of this user be asked? Its manager has to run, and its home be in its own hands.
    ///
    /// # Errors
    /// If the home cannot be looked at.
    pub fn podman_answers(&self, account: &Account) -> Result<bool> {
        if !self.manager_runs(account) {
            return Ok(false);
        }
        let home = self.stat(&account.home)?;
        let parent = account.home.parent().filter(|parent| parent.parent().is_some());
        let parent = parent.map(|parent| self.stat(parent)).transpose()?.flatten();
        let within_reach = parent.is_none_or(|parent| parent.perms.mode & 0o001 != 0);
        Ok(within_reach && home.is_some_and(|home| home.perms.uid == account.uid))
    }

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
        let output =
            asking(self, account, About::Images).args(["image", "inspect", name]).output(self)?;
        match output.code {
            Some(0) => Ok(parse_json::<Vec<Image>>("podman image inspect", &output.out)?
                .into_iter()
                .next()),
            Some(125) if output.err.contains("image not known") => Ok(None),
            _ => Err(output.failure()),
        }
    }

    /// All containers of the user.
    ///
    /// # Errors
    /// If Podman cannot be asked.
    pub fn containers(&self, account: &Account) -> Result<Vec<Container>> {
        if !self.storage_exists(account)? {
            return Ok(Vec::new());
        }
        let text = asking(self, account, About::Containers)
            .args(["ps", "--all", "--format", "json"])
            .run(self)?;
        parse_json("podman ps", &text)
    }
}

// Podman itself asks again when there is no connection, not when the registry says "not now".
const PULL_PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

fn may_pass(said: &str) -> bool {
    said.contains("unexpected HTTP status: 5") || too_many(said)
}

fn too_many(said: &str) -> bool {
    said.contains("toomanyrequests") || said.contains("429")
}

fn tell(what: &str, told: &dyn Sink) -> impl Fn(&str, Duration) {
    move |line, elapsed| told.emit(&Event::waiting(what, line, elapsed, PULL_LIMIT))
}

// What the registry's own words call for.
fn pull_advice(said: &str, account: &Account) -> String {
    let offline = "give --image-archive FILE (made elsewhere by: podman save -o FILE IMAGE)";
    let own = |rest: &str| {
        let Account { name, uid, .. } = account;
        format!("runuser -u {name} -- env XDG_RUNTIME_DIR=/run/user/{uid} podman {rest}")
    };
    if said.contains("manifest unknown") || said.contains("no image found") {
        return format!(
            "choose a --version and --image that the registry has for {}",
            architecture()
        );
    }
    if said.contains("unauthorized") || said.contains("denied") || said.contains("authentication") {
        return format!("sign in: {}", own("login REGISTRY"));
    }
    if too_many(said) {
        return format!(
            "the registry allows no more for now: wait, sign in ({}), or {offline}",
            own("login REGISTRY")
        );
    }
    format!("check the network and the registry, or {offline}")
}

impl Writer<'_> {
    /// Pulls an image into the user's storage. Login, mirror and proxy are Podman's own settings.
    ///
    /// # Errors
    /// If the registry does not give it, also when asked again, or it takes longer than half an
    /// hour.
    pub fn pull(&self, account: &Account, name: &str, told: &dyn Sink) -> Result<()> {
        let mut pauses = PULL_PAUSES.iter();
        loop {
            let Err(failure) = self.pull_once(account, name, told) else { return Ok(()) };
            let said = failure.to_string();
            match pauses.next().filter(|_| may_pass(&said)) {
                Some(pause) => {
                    let text =
                        format!("{}; asking again in {} s", failure.summary(), pause.as_secs());
                    told.emit(&Event::warning(text));
                    self.pause(*pause)?;
                }
                None => return Err(failure.next(pull_advice(&said, account))),
            }
        }
    }

    fn pull_once(&self, account: &Account, name: &str, told: &dyn Sink) -> Result<()> {
        podman(account)
            .args(["pull", name])
            .deadline(PULL_LIMIT)
            .interruptible()
            .doing("pulling", name)
            .changes_only(&[About::Images])
            .run_watched(self, &tell(name, told))
            .map(drop)
    }

    /// Loads an OCI or docker archive, compressed or not, into the user's storage and returns the
    /// names in it. The archive is handed over open, so that user needs no right to its path.
    ///
    /// # Errors
    /// If it is not such an archive.
    pub fn load(&self, account: &Account, archive: File, told: &dyn Sink) -> Result<Vec<String>> {
        let text = podman(account)
            .arg("load")
            .stdin_file(archive)
            .deadline(PULL_LIMIT)
            .interruptible()
            .doing("loading", "the image archive")
            .changes_only(&[About::Images])
            .next("make the archive again: podman save -o FILE IMAGE")
            .run_watched(self, &tell("the image archive", told))?;
        Ok(text
            .lines()
            .filter_map(|line| line.strip_prefix("Loaded image: "))
            .map(|name| name.trim().to_owned())
            .collect())
    }

    /// Takes a name off an image, and removes the image if that was its last one.
    ///
    /// # Errors
    /// If a container uses it.
    pub fn remove_image(&self, account: &Account, name: &str) -> Result<()> {
        podman(account)
            .args(["rmi", name])
            .doing("removing", name)
            .changes_only(&[About::Images])
            .run(self)
            .map(drop)
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
        podman(account)
            .arg("unshare")
            .args(args)
            .deadline(PULL_LIMIT)
            .changes_only(&[])
            .run(self)
            .map(drop)
    }

    /// Runs a program in a running container, with this as its standard input, and returns its
    /// standard output.
    ///
    /// # Errors
    /// If it fails.
    pub fn exec(
        &self,
        account: &Account,
        container: &str,
        args: &[&str],
        input: Option<&str>,
    ) -> Result<String> {
        let flags: &[&str] = if input.is_some() { &["exec", "-i"] } else { &["exec"] };
        let cmd = podman(account)
            .args(flags.iter().copied())
            .arg(container)
            .args(args.iter().copied())
            .deadline(Duration::from_secs(120));
        match input {
            Some(text) => cmd.stdin_text(text).run(self),
            None => cmd.run(self),
        }
    }
}
