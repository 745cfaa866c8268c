//! systemd: the system's manager and a user's.

use crate::error::{Exit, Failure, Result};
use crate::host::accounts::Account;
use crate::host::memo::About;
use crate::host::run::Cmd;
use crate::host::{Reader, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Which manager.
#[derive(Debug, Clone, Copy)]
pub enum Manager<'a> {
    /// The system's.
    System,
    /// A user's own.
    User(&'a Account),
}

/// What a manager knows of a unit: systemd's own property values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// `LoadState`: loaded, not-found, masked …
    pub load: String,
    /// `ActiveState`: active, activating, inactive, failed …
    pub active: String,
    /// `SubState`.
    pub sub: String,
    /// `NeedDaemonReload`: the file on disk is newer than what the manager read.
    pub stale: bool,
    /// `MainPID`, 0 if none.
    pub main_pid: u32,
    /// `NRestarts`.
    pub restarts: u32,
    /// `ControlGroup`, below /sys/fs/cgroup; empty if nothing of it runs.
    pub control_group: String,
    /// `ExecStart`, as the manager has read it.
    pub exec_start: String,
    /// `UnitFileState`: enabled, disabled, masked …; empty if there is no file.
    pub file_state: String,
}

impl Manager<'_> {
    fn systemctl(self) -> Cmd {
        let cmd = Cmd::new("systemctl");
        match self {
            Manager::System => cmd,
            Manager::User(account) => cmd.user(account).arg("--user"),
        }
    }

    fn shown(self) -> String {
        match self {
            Manager::System => "systemctl".into(),
            Manager::User(account) => format!("systemctl --user -M {}@", account.name),
        }
    }
}

/// Of as many moments the gaps are looked at: more than a week of a schedule by the day.
const MOMENTS: &str = "--iterations=10";

// "Next elapse: Mon 2026-11-30 04:15:00 UTC", and then "Iteration #2: …".
fn moments(said: &str) -> Vec<jiff::civil::DateTime> {
    let read = |line: &str| {
        let (name, time) = line.split_once(": ")?;
        let wanted = name.ends_with("Next elapse") || name.contains('#');
        let time = time.trim().rsplit_once(' ').filter(|_| wanted)?.0;
        jiff::civil::DateTime::strptime("%a %Y-%m-%d %H:%M:%S", time).ok()
    };
    said.lines().filter_map(read).collect()
}

fn longest_gap(moments: &[jiff::civil::DateTime]) -> Option<jiff::SignedDuration> {
    let later = moments.iter().skip(1);
    moments.iter().zip(later).map(|(one, next)| next.duration_since(*one)).max()
}

impl Reader {
    /// State of one unit. A unit that does not exist has the load state `not-found`.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn unit(&self, manager: Manager<'_>, name: &str) -> Result<Unit> {
        Ok(self.units(manager, &[name])?.remove(name).unwrap_or_default())
    }

    /// State of several units of one manager, by name.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn units(&self, manager: Manager<'_>, names: &[&str]) -> Result<BTreeMap<String, Unit>> {
        let properties = "LoadState,ActiveState,SubState,NeedDaemonReload,MainPID,NRestarts,ControlGroup,ExecStart,UnitFileState";
        let args = ["show", "-p", properties];
        let text = manager
            .systemctl()
            .args(args)
            .args(names.iter().copied())
            .asks(About::Units)
            .run(self)?;
        // One paragraph each, in the order asked for.
        let found = text.trim_end().split("\n\n").map(|paragraph| unit(&properties_of(paragraph)));
        Ok(names.iter().map(|name| (*name).to_owned()).zip(found).collect())
    }

    /// How the last run of a system unit ended, in systemd's words: `success`, `exit-code` …; `never` if
    /// it has not run since this host was started.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn unit_result(&self, name: &str) -> Result<String> {
        let asked = ("Result,ExecMainStartTimestampMonotonic,ActiveState", About::Units);
        let mut found = self.unit_properties(name, asked)?;
        let started = found.remove("ExecMainStartTimestampMonotonic").unwrap_or_default();
        Ok(match (started.as_str(), found.remove("ActiveState").as_deref()) {
            (_, Some("activating" | "active")) => "running".into(),
            ("0" | "", _) => "never".into(),
            _ => found.remove("Result").unwrap_or_default(),
        })
    }

    /// The longest time between two of the next moments of a calendar expression that follow each other:
    /// a schedule may leave out weekends.
    ///
    /// # Errors
    /// If systemd does not take it for one, or it has no two moments to come.
    pub fn calendar_gap(&self, text: &str) -> Result<jiff::SignedDuration> {
        // Where no hour comes twice.
        longest_gap(&self.moments(text, Some("UTC"))?).ok_or_else(|| {
            Failure::new("asking systemd when that is", text, "it comes once at most")
        })
    }

    /// The hours of the day, in this host's time, at which a calendar expression comes next.
    ///
    /// # Errors
    /// If systemd does not take it for one.
    pub fn calendar_hours(&self, text: &str) -> Result<BTreeSet<i8>> {
        Ok(self.moments(text, None)?.iter().map(|moment| moment.hour()).collect())
    }

    fn moments(&self, text: &str, zone: Option<&str>) -> Result<Vec<jiff::civil::DateTime>> {
        let asked = Cmd::new("systemd-analyze").asks(About::Machine);
        let asked = zone.into_iter().fold(asked, |asked, zone| asked.env("TZ", zone));
        Ok(moments(&asked.args(["calendar", MOMENTS, text]).run(self)?))
    }

    /// Refuses what systemd does not take for a calendar expression.
    ///
    /// # Errors
    /// With [`Exit::Usage`], in systemd's words.
    pub fn refuse_calendar(&self, text: &str) -> Result<()> {
        let asked = Cmd::new("systemd-analyze").args(["calendar", text]).asks(About::Machine);
        let asked = asked.doing("asking systemd when that is", text);
        asked.run(self).map(drop).map_err(|failure| {
            failure.next("write it as systemd.time(7) has it: \"*-*-* 04:00\"").exit(Exit::Usage)
        })
    }

    /// When each timer of the system that is set fires next, in microseconds since 1970 (UTC).
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn timers_elapse(&self, timers: &[&str]) -> Result<BTreeMap<String, i64>> {
        #[derive(serde::Deserialize)]
        struct Row {
            unit: String,
            next: Option<i64>,
        }
        let args = ["list-timers", "--all", "--output=json"];
        let asked = Manager::System.systemctl().args(args).args(timers.iter().copied());
        let text = asked.asks(About::Units).run(self)?;
        let rows: Vec<Row> = serde_json::from_str(&text).map_err(|error| {
            Failure::new("reading the answer of", "systemctl list-timers", error.to_string())
        })?;
        let set =
            rows.into_iter().filter_map(|row| Some((row.unit, row.next.filter(|at| *at > 0)?)));
        Ok(set.collect())
    }

    /// Names of the running system units that a pattern fits.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn active_units(&self, pattern: &str) -> Result<Vec<String>> {
        let args = ["list-units", "--plain", "--no-legend", "--state=active", pattern];
        let text = Manager::System.systemctl().args(args).asks(About::Units).run(self)?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Properties by name of a system unit, as its files give them.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn unit_properties(
        &self,
        name: &str,
        (properties, about): (&str, About),
    ) -> Result<BTreeMap<String, String>> {
        let args = ["show", "-p", properties, name];
        let text = Manager::System.systemctl().args(args).asks(about).run(self)?;
        Ok(properties_of(&text))
    }

    /// Is this user's manager running and answering?
    pub fn manager_runs(&self, account: &Account) -> bool {
        self.manager_pid(account).is_some()
    }

    /// Process id of this user's manager, if it runs and answers.
    pub fn manager_pid(&self, account: &Account) -> Option<u32> {
        // The folder is there only while the manager is: no need to ask about one that is not.
        self.exists(&format!("/run/user/{}/bus", account.uid)).then_some(())?;
        let unit = self.unit(Manager::System, &account.manager_unit()).ok()?;
        (unit.active == "active").then_some(unit.main_pid)
    }

    /// The system unit that a process belongs to, by its control group.
    pub fn unit_of_process(&self, pid: u32) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        text.lines()
            .flat_map(|line| line.rsplit('/'))
            .find(|part| part.ends_with(".service"))
            .map(str::to_owned)
    }

    /// Last lines of the journal that these fields fit, oldest first, with their times.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn journal(&self, matches: &[String], lines: u32) -> Result<String> {
        let args = ["--no-pager", "-o", "short-iso", "-n", &lines.to_string()];
        let cmd = Cmd::new("journalctl").looks_anew().args(args);
        cmd.args(matches.iter().map(String::as_str)).run(self)
    }

    /// Last log lines of a container of this user, oldest first. Empty if there are none.
    pub fn container_log(&self, account: &Account, container: &str, lines: u32) -> String {
        Cmd::new("journalctl")
            .looks_anew()
            .args(["--no-pager", "-o", "cat", "-n", &lines.to_string()])
            .arg(format!("_UID={}", account.uid))
            .arg(format!("CONTAINER_NAME={container}"))
            .run(self)
            .unwrap_or_default()
    }

    /// Last log lines of a system unit, oldest first. Empty if there are none.
    pub fn unit_log(&self, unit: &str, lines: u32) -> String {
        Cmd::new("journalctl")
            .looks_anew()
            .args(["--no-pager", "-o", "cat", "-n", &lines.to_string(), "-u", unit])
            .run(self)
            .unwrap_or_default()
    }

    /// What the user unit generator of Podman makes of a folder of Quadlet files.
    ///
    /// # Errors
    /// With the generator's own words, if it refuses a file.
    pub fn quadlet_trial(&self, account: &Account, dir: &Path) -> Result<String> {
        Cmd::new("/usr/lib/systemd/user-generators/podman-user-generator")
            .user(account)
            .env("QUADLET_UNIT_DIRS", dir)
            .args(["-user", "-dryrun"])
            .looks_anew()
            .run(self)
    }
}

fn properties_of(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn unit(values: &BTreeMap<String, String>) -> Unit {
    let text = |key: &str| values.get(key).cloned().unwrap_or_default();
    Unit {
        load: text("LoadState"),
        active: text("ActiveState"),
        sub: text("SubState"),
        stale: text("NeedDaemonReload") == "yes",
        main_pid: text("MainPID").parse().unwrap_or(0),
        restarts: text("NRestarts").parse().unwrap_or(0),
        control_group: text("ControlGroup"),
        exec_start: text("ExecStart"),
        file_state: text("UnitFileState"),
    }
}

// Containers come and go with their units, and what runs in them writes to the database.
const JOB: &[About] = &[About::Units, About::Containers, About::Database];

impl Writer<'_> {
    /// Stops a user's manager, and all that it runs.
    ///
    /// # Errors
    /// If it does not stop in time.
    pub fn stop_manager(&self, account: &Account) -> Result<()> {
        self.unit_job(Manager::System, "stop", &[&account.manager_unit()], Duration::from_secs(180))
    }

    /// Makes the manager read its files again.
    ///
    /// # Errors
    /// If it cannot.
    pub fn daemon_reload(&self, manager: Manager<'_>) -> Result<()> {
        manager
            .systemctl()
            .arg("daemon-reload")
            .changes_only(&[About::Units])
            .deadline(Duration::from_secs(90))
            .run(self)
            .map(drop)
    }

    /// Starts, restarts or reloads units and waits for the job.
    ///
    /// # Errors
    /// If the job fails or takes longer than `limit`.
    pub fn unit_job(
        &self,
        manager: Manager<'_>,
        verb: &str,
        units: &[&str],
        limit: Duration,
    ) -> Result<()> {
        let next = format!("{} status {}", manager.shown(), units.join(" "));
        let job = manager.systemctl().arg(verb).args(units.iter().copied()).deadline(limit);
        job.changes_only(JOB).run(self).map(drop).map_err(|failure| {
            Failure::new(format!("systemctl {verb}"), units.join(" "), failure.summary()).next(next)
        })
    }

    /// Forgets that these units failed, and how often they were started.
    pub fn forget_failures(&self, manager: Manager<'_>, units: &[&str]) {
        // Nothing to forget is not a failure.
        let _ = manager
            .systemctl()
            .arg("reset-failed")
            .args(units.iter().copied())
            .changes_only(&[About::Units])
            .output(self);
    }

    /// Forgets when a timer ran last: one that is set up anew does not make up for the time between.
    ///
    /// # Errors
    /// If it cannot.
    pub fn forget_last_run(&self, timer: &str) -> Result<()> {
        // One that does not make up for anything has nothing to forget, and systemctl calls that an error.
        let stamp = Path::new("/var/lib/systemd/timers").join(format!("stamp-{timer}"));
        if self.stat(&stamp)?.is_none() {
            return Ok(());
        }
        let clean = Manager::System.systemctl().args(["clean", "--what=state", timer]);
        clean.changes_only(&[About::Units]).run(self).map(drop)
    }

    /// Queues a job and does not wait for it; earlier failures of the units are forgotten.
    ///
    /// # Errors
    /// If the job cannot be queued.
    pub fn queue_job(&self, manager: Manager<'_>, verb: &str, units: &[&str]) -> Result<()> {
        self.forget_failures(manager, units);
        manager
            .systemctl()
            .args([verb, "--no-block"])
            .args(units.iter().copied())
            .changes_only(JOB)
            .run(self)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_may_leave_out_weekends() {
        let said = "  Original form: Mon..Fri 04:15\nNormalized form: Mon..Fri *-*-* 04:15:00\n    \
            Next elapse: Fri 2026-11-27 04:15:00 UTC\n       From now: 3h left\n   \
            Iteration #2: Mon 2026-11-30 04:15:00 UTC\n       From now: 3 days left\n       \
            Iter. #3: Tue 2026-12-01 04:15:00 UTC\n       From now: 4 days left\n";
        assert_eq!(longest_gap(&moments(said)), Some(jiff::SignedDuration::from_hours(72)));
        assert_eq!(longest_gap(&moments("    Next elapse: Fri 2026-11-27 04:15:00 UTC\n")), None);
    }
}
