//! The host's Valkey listens on a socket that the containers reach: by a drop-in of its unit and an
//! included file, its own configuration untouched.
//!
//! Files, reload, restart and proof are one resource: if the server does not answer on the socket
//! afterwards, what was there before comes back.

use crate::error::{Failure, Result};
use crate::event::{Event, Sink};
use crate::host::files::{FileNow, Perms, Put, sha256};
use crate::host::systemd::Manager;
use crate::host::valkey::Address;
use crate::host::{Reader, Writer};
use crate::resource::file::{edit, kept};
use crate::resource::role::read_secret;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict, unified};
use crate::{facts::cache::Cache, secret::Secret};
use rustix::fs::FileType;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A Valkey with a socket for us.
#[derive(Debug)]
pub struct Valkey {
    /// As it was found.
    pub cache: Cache,
    /// Where it is to listen.
    pub socket: PathBuf,
    /// The name beside the socket that Go's way of dialling leads to.
    pub link: PathBuf,
    /// The drop-in of its unit, and its text.
    pub dropin: (PathBuf, String),
    /// The included file and its text without the password; `None`: nothing has to be included.
    pub conf: Option<(PathBuf, String)>,
    /// File of the password that opens it; `None`: it is open.
    pub password: Option<PathBuf>,
    /// Is the password for us to set?
    pub sets_password: bool,
}

/// How it is.
#[derive(Debug)]
pub struct Found {
    conf: Option<FileNow>,
    dropin: Option<FileNow>,
    conf_fits: bool,
    stale: bool,
    /// Why it does not serve; `None`: it does.
    missing: Option<String>,
    linked: bool,
}

/// What it takes.
#[derive(Debug)]
pub enum Act {
    /// Write, reload, restart, prove, or put these back.
    Set(Box<Old>),
    /// Reload and restart: the files are right.
    Restart,
    /// Reload alone.
    Reload,
    /// Make the name that the outpost dials.
    Link,
}

/// What is there before a change.
#[derive(Debug)]
pub struct Old {
    conf: Option<FileNow>,
    dropin: Option<FileNow>,
    /// Was the drop-in edited by hand?
    edited: bool,
}

const LIMIT: Duration = Duration::from_secs(30);

// As its configuration files quote (sdssplitargs in sds.c).
fn quoted(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(format!("\"{}\"", secret.expose().replace('\\', "\\\\").replace('"', "\\\"")))
}

impl Valkey {
    fn conf_text(&self, host: &Reader) -> Result<Option<Zeroizing<String>>> {
        let Some((_, text)) = &self.conf else { return Ok(None) };
        let mut text = Zeroizing::new(text.clone());
        if let (true, Some(path)) = (self.sets_password, &self.password) {
            let password = read_secret(host, path)?.ok_or_else(|| {
                Failure::new("reading the secret", path.display(), "it is missing")
            })?;
            text.push_str(&format!("requirepass {}\n", quoted(&password).as_str()));
        }
        Ok(Some(text))
    }

    // Why it does not serve us yet.
    fn missing(&self, host: &Reader) -> Result<Option<String>> {
        let socket = self.socket.display();
        let Some(meta) = host.stat(&self.socket)? else {
            return Ok(Some(format!("there is no {socket}")));
        };
        if meta.kind != FileType::Socket {
            return Ok(Some(format!("{socket} is not a socket")));
        }
        if meta.perms.mode & 0o060 != 0o060 || meta.perms.gid != self.cache.valkey.user.gid {
            return Ok(Some(format!("{socket} is closed to its group ({})", meta.perms)));
        }
        let password = match &self.password {
            Some(path) => read_secret(host, path)?,
            None => None,
        };
        let answer = host.ask_valkey(&Address::Socket(self.socket.clone()), password.as_ref());
        Ok(answer
            .err()
            .map(|refusal| refusal.failure(&Address::Socket(self.socket.clone())).summary()))
    }

    // Where nothing is included its command stays as it is: the drop-in waits for its next start.
    fn restart(&self, host: &Writer<'_>) -> Result<()> {
        host.daemon_reload(Manager::System)?;
        match self.conf {
            Some(_) => self.start_anew(host),
            None => Ok(()),
        }
    }

    fn start_anew(&self, host: &Writer<'_>) -> Result<()> {
        let unit = self.cache.valkey.unit.as_str();
        host.forget_failures(Manager::System, &[unit]);
        host.unit_job(Manager::System, "restart", &[unit], LIMIT * 3)
    }

    fn prove(&self, host: &Writer<'_>, told: &dyn Sink) -> Result<()> {
        let unit = &self.cache.valkey.unit;
        let started = Instant::now();
        let mut ended = self.restart(host).err().map(|failure| failure.summary());
        while let Some(why) =
            ended.take().map_or_else(|| self.missing(host), |why| Ok(Some(why)))?
        {
            let failed = host.unit(Manager::System, unit)?.active != "active";
            if failed || started.elapsed() >= LIMIT {
                let why = format!("{why}; its last lines:\n{}", host.unit_log(unit, 5).trim());
                return Err(Failure::new("asking", unit, why));
            }
            told.emit(&Event::waiting("Valkey", why, started.elapsed(), LIMIT));
            host.pause(Duration::from_millis(200))?;
        }
        Ok(())
    }

    fn write(&self, host: &Writer<'_>) -> Result<()> {
        let (dropin, text) = &self.dropin;
        if let (Some((path, _)), Some(text)) = (&self.conf, self.conf_text(host)?) {
            host.put(path, text.as_bytes(), self.conf_perms(), Put::Replace)?;
        }
        host.put(dropin, text.as_bytes(), Perms::root(0o644), Put::Replace)
    }

    fn conf_perms(&self) -> Perms {
        Perms { gid: self.cache.valkey.user.gid, ..Perms::root(0o640) }
    }

    fn put_back(&self, host: &Writer<'_>, old: &Old) -> Result<()> {
        let conf = self.conf.as_ref().map(|(path, _)| path);
        for (path, old) in [(conf, &old.conf), (Some(&self.dropin.0), &old.dropin)] {
            match (path, old) {
                (Some(path), Some(now)) => {
                    host.put(path, &now.bytes, now.meta.perms, Put::Replace)?
                }
                (Some(path), None) => host.remove(path)?,
                (None, _) => {}
            }
        }
        host.daemon_reload(Manager::System)?;
        // Whatever is included now, it has to be let go of.
        self.start_anew(host)
    }

    fn set(&self, host: &Writer<'_>, old: &Old, told: &dyn Sink) -> Result<()> {
        if let (true, Some(now)) = (old.edited, &old.dropin) {
            host.put(&kept(&self.dropin.0), &now.bytes, now.meta.perms, Put::Replace)?;
        }
        self.write(host)?;
        self.prove(host, told).or_else(|failure| {
            self.put_back(host, old)?;
            let unit = &self.cache.valkey.unit;
            Err(failure.next(format!("the old state is back; look at: journalctl -u {unit} -n 50")))
        })?;
        match host.stat(&self.link)? {
            Some(_) => Ok(()),
            None => self.make_link(host),
        }
    }

    fn make_link(&self, host: &Writer<'_>) -> Result<()> {
        let name = self.socket.file_name().unwrap_or_default().to_string_lossy();
        host.link_as(&self.cache.valkey.user, &name, &self.link)
    }
}

impl Resource for Valkey {
    type Found = Found;
    type Act = Act;

    fn id(&self) -> Id {
        Id::new("valkey", &self.cache.valkey.unit)
    }

    fn aim(&self) -> String {
        format!("make {} listen on {}", self.cache.valkey.unit, self.socket.display())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark(vec![sha256(self.dropin.1.as_bytes())]))
    }

    // A password that is set from now on decides how it is asked.
    fn renews_facts(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Found>> {
        if let (true, Some(path)) = (self.sets_password, &self.password)
            && host.stat(path)?.is_none()
        {
            return Ok(Seen::After(Id::new("secret", path.display())));
        }
        let conf = match &self.conf {
            Some((path, _)) => host.read(path)?,
            None => None,
        };
        let wanted = self.conf_text(host)?;
        let conf_fits = match (&conf, &wanted) {
            (_, None) => true,
            (Some(now), Some(text)) => {
                now.bytes == text.as_bytes() && now.meta.perms == self.conf_perms()
            }
            (None, Some(_)) => false,
        };
        Ok(Seen::Now(Found {
            conf,
            conf_fits,
            dropin: host.read(&self.dropin.0)?,
            stale: host.unit(Manager::System, &self.cache.valkey.unit)?.stale,
            missing: self.missing(host)?,
            linked: host.stat(&self.link)?.is_some(),
        }))
    }

    fn diff(&self, found: &Found, standing: &Standing) -> Verdict<Act> {
        let (path, text) = (self.dropin.0.display().to_string(), &self.dropin.1);
        let now =
            found.dropin.as_ref().map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        let unit = &self.cache.valkey.unit;
        if now.as_ref() != Some(text) || !found.conf_fits {
            if let (Some(_), Standing::Unclaimed) = (&now, standing) {
                return Verdict::foreign(
                    format!("{path} was there before and is not what is needed"),
                    format!("move it away: mv {path} {path}.before"),
                );
            }
            let (edited, note) = match (&found.dropin, standing) {
                (Some(file), Standing::Claimed(mark)) => edit(&self.dropin.0, file, mark),
                _ => (false, String::new()),
            };
            let (conf, dropin) = (found.conf.clone(), found.dropin.clone());
            let act = Act::Set(Box::new(Old { conf, dropin, edited }));
            let says = match self.conf {
                Some(_) => format!("{} and restart it ({path}{note})", self.aim()),
                None => format!("keep the socket's folder over restarts of {unit} ({path}{note})"),
            };
            let planned = match now {
                None => Planned::create(act, says),
                Some(_) => Planned::change(act, says),
            };
            let diff = unified(&path, now.as_deref().unwrap_or_default(), text);
            return Verdict::of(vec![planned.with_diff(diff)]);
        }
        if let Some(why) = &found.missing {
            return Verdict::of(vec![Planned::run(
                Act::Restart,
                format!("restart {unit} ({why})"),
            )]);
        }
        let mut changes = Vec::new();
        if found.stale {
            changes.push(Planned::run(Act::Reload, "make systemd read its unit files again"));
        }
        if !found.linked {
            let text = format!("link {} to the socket beside it", self.link.display());
            changes.push(Planned::run(Act::Link, text));
        }
        Verdict::of(changes)
    }

    fn apply(&self, host: &Writer<'_>, act: &Act, told: &dyn Sink) -> Result<()> {
        match act {
            Act::Set(old) => self.set(host, old, told),
            Act::Restart => self.prove(host, told),
            Act::Reload => host.daemon_reload(Manager::System),
            Act::Link => self.make_link(host),
        }
    }
}
