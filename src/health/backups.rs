//! Is there something to go back to?

use super::{Context, Measure};
use crate::backup::offsite::Place;
use crate::backup::shelf::{self, Shelved};
use crate::backup::swap::Journal;
use crate::checks::Finding;
use crate::error::{Failure, Result};
use jiff::{SignedDuration, Timestamp};

const LOG: &str = "authentik-install logs backup -n 50";
const UNIT: &str = "authentik-backup.service";

impl Context {
    // Each manifest is read once, however many checks look at it.
    fn shelved(&self) -> Result<&[Shelved]> {
        let (dir, domain) = (self.settings.backup.dir.path(), self.settings.domain.as_str());
        let list = || shelf::list_own(&self.host, dir, domain);
        let asked = self.shelved.get_or_init(|| list().map_err(|failure| failure.summary()));
        let lost = |why: &String| Failure::new("looking at", "the backups", why.as_str());
        asked.as_deref().map_err(lost)
    }

    // Somebody who backs up by other means is left alone, until there is one of ours.
    fn set_up(&self, look: impl FnOnce(&[Shelved]) -> Result<Finding>) -> Result<Finding> {
        let all = self.shelved()?;
        match self.settings.backup.enabled || !all.is_empty() {
            true => look(all),
            false => Ok(Finding::ok("not set up")),
        }
    }
}

fn days(age: SignedDuration) -> String {
    match age.as_hours() {
        hours if hours < 48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

pub(super) fn age(context: &Context) -> Result<Finding> {
    context.set_up(|all| {
        let backup = &context.settings.backup;
        let allowed = context.host.calendar_gap(backup.schedule.as_str())? * 2;
        let now = Timestamp::now();
        let newest = all.iter().find(|one| one.is_good());
        // Until the first one is due there can be none.
        let since = match newest {
            Some(one) => one.time,
            None => {
                let unit = "/etc/systemd/system/authentik-backup.timer";
                let set_up = context.host.stat(unit.as_ref())?.map_or(0, |meta| meta.modified);
                Timestamp::from_nanosecond(set_up).unwrap_or_default()
            }
        };
        let age = now.duration_since(since);
        let help = "When the newest good backup was made, in seconds since 1970.";
        let value = newest.map_or(0.0, |one| one.time.as_second() as f64);
        context.measure(Measure { name: "backup_timestamp_seconds", help, of: None, value });
        let found = match newest {
            Some(one) => format!("{} is {} old", one.id, days(age)),
            None => "there is none yet".to_owned(),
        };
        Ok(match age <= allowed {
            true => Finding::ok(found),
            false => Finding::fail(
                format!("{found}; at most {} are allowed", days(allowed)),
                format!("{LOG}; authentik-install backup"),
            ),
        })
    })
}

pub(super) fn whole(context: &Context) -> Result<Finding> {
    context.set_up(|all| {
        let bad: Vec<&str> =
            all.iter().filter(|one| !one.is_good()).map(|one| one.id.as_str()).collect();
        Ok(match bad.first() {
            None => Finding::ok(format!("{} of them", all.len())),
            Some(first) => Finding::fail(
                format!("damaged: {}", bad.join(", ")),
                format!("authentik-install backup verify {first}"),
            ),
        })
    })
}

pub(super) fn run(context: &Context) -> Result<Finding> {
    context.set_up(|_| {
        Ok(match context.host.unit_result(UNIT)?.as_str() {
            "success" => Finding::ok("it ended well"),
            state @ ("never" | "running") => Finding::ok(state),
            result => Finding::fail(format!("the last one ended with {result}"), LOG),
        })
    })
}

pub(super) fn space(context: &Context) -> Result<Finding> {
    context.set_up(|all| {
        let newest = all.iter().find_map(|one| one.manifest.as_ref().ok());
        let needed = newest.map_or(0, |manifest| manifest.stored() / 10 * 12);
        let dir = context.settings.backup.dir.path();
        if context.host.stat(dir)?.is_none() {
            return Ok(Finding::fail(
                format!("there is no {}", dir.display()),
                "is the disk mounted? authentik-install install",
            ));
        }
        let free = context.host.space(dir)?.free;
        let found = format!("{} MiB are free, the next needs {}", free >> 20, needed >> 20);
        Ok(match free >= needed {
            true => Finding::ok(found),
            false => Finding::fail(found, "authentik-install backup prune --dry-run; df -h"),
        })
    })
}

pub(super) fn proof(context: &Context) -> Result<Finding> {
    context.set_up(|all| {
        let proof = all.iter().find(|one| one.is_proven()).and_then(|one| one.proof.as_ref());
        let encrypted = all.first().and_then(|one| one.manifest.as_ref().ok());
        let next = match encrypted.is_some_and(|manifest| !manifest.recipients.is_empty()) {
            true => "authentik-install backup verify latest --deep --identity FILE",
            false => "authentik-install backup verify latest --deep",
        };
        let oldest = SignedDuration::from_hours(24 * 62);
        Ok(match (all.is_empty(), proof) {
            (true, _) => Finding::ok("there is none yet"),
            (_, Some(proof)) if Timestamp::now().duration_since(proof.time) < oldest => {
                Finding::ok(format!("proven at {:.0}", proof.time))
            }
            (_, Some(proof)) => Finding::warn(format!("last proven at {:.0}", proof.time), next),
            // The timer proves one within a month.
            (_, None)
                if all.iter().all(|one| Timestamp::now().duration_since(one.time) < oldest) =>
            {
                Finding::ok("none is proven yet")
            }
            (_, None) => Finding::warn("none is proven", next),
        })
    })
}

pub(super) fn offsite(context: &Context) -> Result<Finding> {
    let Some(place) = Place::of(&context.settings.backup.offsite) else {
        return Ok(Finding::ok("not set up"));
    };
    context.set_up(|all| {
        Ok(match all.iter().find(|one| one.is_good() && !one.is_safety()) {
            None => Finding::ok("there is none yet"),
            Some(Shelved { offsite: Some(copy), .. }) if copy.place == place.shown() => {
                Finding::ok(format!("copied to {} at {:.0}", copy.place, copy.time))
            }
            Some(one) => Finding::warn(
                format!("{} is not in {}", one.id, place.shown()),
                "authentik-install backup send latest",
            ),
        })
    })
}

pub(super) fn restore(context: &Context) -> Result<Finding> {
    let abort = "authentik-install restore --abort";
    if let Some(journal) = Journal::half_way(&context.host)? {
        let found = format!("the restore of {} was stopped half-way", journal.backup);
        return Ok(Finding::fail(found, abort));
    }
    let long = SignedDuration::from_hours(24 * 7);
    Ok(match Journal::uncommitted(&context.host)? {
        Some(journal) if Timestamp::now().duration_since(journal.time) > long => Finding::warn(
            format!(
                "{} was restored, and what was there before takes up room since{}",
                journal.backup,
                match context.settings.backup.keep_replaced {
                    0 => String::new(),
                    days => format!("; it goes after {days} days"),
                }
            ),
            "authentik-install restore commit",
        ),
        Some(journal) => Finding::ok(format!(
            "{} was restored; what was there before is kept until: authentik-install restore commit",
            journal.backup
        )),
        None => Finding::ok("none"),
    })
}
