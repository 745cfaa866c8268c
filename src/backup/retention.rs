//! Which backups are kept. Pure.

use super::shelf::Shelved;
use crate::settings::input;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeSet;

/// What becomes of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Its name.
    pub id: String,
    /// Why it is kept; it goes if nothing speaks for it.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// Does it stay?
    pub fn stays(&self) -> bool {
        !self.reasons.is_empty()
    }
}

type Seen = BTreeSet<(i16, i16)>;
type Period = fn(Date) -> (i16, i16);

const PERIODS: [(&str, Period); 4] = [
    ("day", |date| (date.year(), date.day_of_year())),
    ("week", |date| (date.iso_week_date().year(), date.iso_week_date().week().into())),
    ("month", |date| (date.year(), date.month().into())),
    ("year", |date| (date.year(), 0)),
];

fn date(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

// Why one is kept that the calendar has nothing to say about.
fn apart(
    one: &Shelved,
    (host, domain): (&str, &str),
    newest_safety: Option<&str>,
) -> Option<String> {
    if !one.is_good() {
        return Some("it is damaged: look at it, and delete it by hand".into());
    }
    if !one.may_be_of(host, domain) {
        return Some("it is of another host".into());
    }
    let newest = newest_safety == Some(one.id.as_str());
    newest.then(|| "what was there before the last restore".into())
}

/// Judges backups, newest first, as the host and domain given. What somebody has to look at is neither
/// counted nor thrown away, nor is what is another one's; of what restores have put aside the newest is
/// kept, and none counts.
pub fn judge(backups: &[Shelved], keep: &input::Backup, own: (&str, &str)) -> Vec<Verdict> {
    let counts = [keep.keep_daily, keep.keep_weekly, keep.keep_monthly, keep.keep_yearly];
    let mut periods: Vec<(&str, Period, usize, Seen)> = PERIODS
        .into_iter()
        .zip(counts)
        .map(|((name, period), count)| (name, period, usize::from(count), Seen::new()))
        .collect();
    let is_own = |one: &&Shelved| one.may_be_of(own.0, own.1);
    let first = |wanted: fn(&Shelved) -> bool| {
        backups.iter().filter(is_own).find(|one| wanted(one)).map(|one| one.id.as_str())
    };
    let safety = first(Shelved::is_safety);
    // One that a restore has put aside speaks for none that the calendar is about.
    let proven = [first(Shelved::is_proven), first(|one| one.is_proven() && !one.is_safety())];
    let (mut good, mut newest) = (0, None);
    let mut judged: Vec<Verdict> = Vec::new();
    for one in backups {
        let mut reasons = Vec::from_iter(apart(one, own, safety));
        let is_apart = !reasons.is_empty() || one.is_safety();
        if proven.contains(&Some(one.id.as_str())) {
            reasons.push("the newest that is proven".to_owned());
        }
        if is_apart {
            judged.push(Verdict { id: one.id.clone(), reasons });
            continue;
        }
        good += 1;
        newest.get_or_insert(judged.len());
        if good <= usize::from(keep.keep_last) {
            reasons.push(format!("last {good} of {}", keep.keep_last));
        }
        for (name, period, count, seen) in &mut periods {
            // The newest of each.
            if seen.len() < *count && seen.insert(period(date(one.time))) {
                reasons.push(format!("{name} {} of {count}", seen.len()));
            }
        }
        judged.push(Verdict { id: one.id.clone(), reasons });
    }
    // However the settings read, one is left.
    if let Some(newest) = newest.and_then(|at| judged.get_mut(at))
        && newest.reasons.is_empty()
    {
        newest.reasons.push("the newest".to_owned());
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::shelf::{Proof, time_of};

    const OWN: (&str, &str) = ("h", "a.example.com");

    fn keep(last: u16, [daily, weekly, monthly, yearly]: [u16; 4]) -> input::Backup {
        let text = format!(
            "domain = \"a.example.com\"\n[backup]\nkeep_last = {last}\nkeep_daily = {daily}\n\
             keep_weekly = {weekly}\nkeep_monthly = {monthly}\nkeep_yearly = {yearly}\n"
        );
        crate::backup::tests::settings(&text).backup.clone()
    }

    fn backup(id: &str, good: bool, proven: bool) -> Shelved {
        let time = time_of(id).unwrap();
        Shelved {
            id: id.to_owned(),
            time,
            path: "/".into(),
            offsite: None,
            manifest: match good {
                true => Ok(crate::backup::tests::manifest()),
                false => Err("broken".into()),
            },
            proof: proven.then(|| Proof {
                format: 1,
                time,
                program: String::new(),
                proven: true,
                findings: Vec::new(),
            }),
        }
    }

    fn nights(count: i64) -> Vec<Shelved> {
        let end: Timestamp = "2026-11-25T04:15:00Z".parse().unwrap();
        let night = |n: i64| end - jiff::SignedDuration::from_hours(24 * n);
        let id = |n| format!("{}-000000", night(n).strftime("%Y%m%dT%H%M%SZ"));
        (0..count).map(|n| backup(&id(n), true, false)).collect()
    }

    fn left(backups: &[Shelved], keep: &input::Backup) -> Vec<String> {
        let judged = judge(backups, keep, OWN).into_iter().filter(Verdict::stays);
        judged.map(|one| one.id.split('T').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_hundred_nights_become_days_weeks_and_months() {
        let left = left(&nights(100), &keep(1, [7, 4, 6, 0]));
        assert!(left.len() <= 17, "{left:?}");
        assert_eq!(
            left[..7],
            ["20261125", "20261124", "20261123", "20261122", "20261121", "20261120", "20261119"]
        );
        // The newest of each week, and of each month.
        for day in ["20261115", "20261108", "20261031", "20260930", "20260831"] {
            assert!(left.contains(&day.to_owned()), "{day} in {left:?}");
        }
    }

    #[test]
    fn weeks_and_years_are_those_of_the_calendar() {
        let ids = ["20270104T041500Z-000000", "20270103T041500Z-000000", "20261231T041500Z-000000"];
        let backups: Vec<Shelved> = ids.iter().map(|id| backup(id, true, false)).collect();
        // 2027-01-03 is a Sunday: its week began in 2026.
        assert_eq!(left(&backups, &keep(0, [0, 2, 0, 0])), ["20270104", "20270103"]);
        assert_eq!(left(&backups, &keep(0, [0, 0, 0, 2])), ["20270104", "20261231"]);
    }

    #[test]
    fn a_broken_one_counts_for_nothing_and_the_proven_one_stays() {
        let mut backups = nights(5);
        backups[0] = backup("20261125T041500Z-000000", false, false);
        backups[4] = backup("20261121T041500Z-000000", true, true);
        let judged = judge(&backups, &keep(1, [0, 0, 0, 0]), OWN);
        let stays: Vec<bool> = judged.iter().map(Verdict::stays).collect();
        assert_eq!(stays, [true, true, false, false, true]);
        assert!(
            judged[0].reasons[0].contains("damaged") && judged[4].reasons[0].contains("proven")
        );
    }

    #[test]
    fn the_last_one_is_never_thrown_away() {
        assert_eq!(left(&nights(3), &keep(0, [0, 0, 0, 0])), ["20261125"]);
    }

    #[test]
    fn the_newest_proven_one_stays_whoever_made_it() {
        let mut backups = nights(6);
        for at in [1, 2] {
            backups[at].manifest.as_mut().unwrap().tag = Some("before-restore".into());
        }
        for at in [2, 4, 5] {
            backups[at].proof = backup("20261121T041500Z-000000", true, true).proof;
        }
        let judged = judge(&backups, &keep(1, [0, 0, 0, 0]), OWN);
        let stays: Vec<bool> = judged.iter().map(Verdict::stays).collect();
        assert_eq!(stays, [true, true, true, false, true, false]);
        assert_eq!(judged[2].reasons, ["the newest that is proven"]);
    }

    #[test]
    fn what_restores_put_aside_and_what_others_have_made_is_judged_apart() {
        let mut backups = nights(6);
        for (at, tag, host) in
            [(0, None, "other"), (1, Some("before-restore"), "h"), (2, Some("before-restore"), "h")]
        {
            let manifest = backups[at].manifest.as_mut().unwrap();
            manifest.tag = tag.map(str::to_owned);
            manifest.host = host.to_owned();
        }
        let judged = judge(&backups, &keep(0, [0, 0, 0, 0]), OWN);
        let stays: Vec<bool> = judged.iter().map(Verdict::stays).collect();
        assert_eq!(stays, [true, true, false, true, false, false]);
        assert_eq!(judged[0].reasons, ["it is of another host"]);
        assert_eq!(judged[3].reasons, ["the newest"]);
    }
}
