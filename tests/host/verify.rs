//! Each check of `verify` sees the one thing that it is for, and no other one is alarmed but by what
//! follows from it.

use crate::breaks::{CASES, Case, HEAVY};
use crate::lab::Host;
use std::collections::{BTreeMap, BTreeSet};

pub type Levels = BTreeMap<String, (String, String)>;

pub fn levels(host: &Host, more: &[&str]) -> Levels {
    let answer = host.tool(&[&["verify", "--json", "--deadline", "60"][..], more].concat());
    let report: serde_json::Value = serde_json::from_str(&answer.out).expect("JSON");
    let healthy = report["healthy"].as_bool().unwrap();
    assert_eq!(answer.code, if healthy { 0 } else { 5 });
    let text =
        |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = report["checks"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "id"), (text(row, "level"), text(row, "found")))).collect()
}

fn fits(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        Some((head, tail)) => id.starts_with(head) && id.ends_with(tail),
        None => pattern == id,
    }
}

// What is not as expected, in words.
fn judge(case: &Case, before: &Levels, found: &Levels) -> Vec<String> {
    let expected: Vec<(&str, &str)> = case
        .ids
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap_or((word, case.level)))
        .collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (id, (level, text)) in found {
        let of = expected.iter().find(|(pattern, _)| fits(pattern, id));
        match of {
            Some((pattern, wanted)) if level == wanted => drop(seen.insert(*pattern)),
            Some((_, wanted)) => wrong.push(format!("{id} is {level}, not {wanted} ({text})")),
            None if *level != before[id].0 => wrong.push(format!("{id} is {level} ({text})")),
            None => {}
        }
    }
    wrong.extend(
        expected
            .iter()
            .filter(|(p, _)| !seen.contains(p))
            .map(|(p, _)| format!("{p} did not see it")),
    );
    wrong
}

// Breaks and mends one thing after the other, and tells all that was not as expected.
fn go_through(host: &Host, cases: &[Case], rest: impl Fn()) {
    let before = levels(host, &[]);
    assert!(before.len() >= 60, "{} checks", before.len());
    for (id, (level, found)) in &before {
        assert!(["ok", "warn"].contains(&level.as_str()), "{id}: {level} {found}");
    }
    let as_user = "U=$(id -u authentik); R=\"runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$U\"; cd /; ";
    let mut wrong = Vec::new();
    for case in cases {
        let broken = host.run(&["sh", "-c", &format!("{as_user}{}", case.with)]);
        let found = levels(host, &[]);
        let mended = host.run(&["sh", "-c", &format!("{as_user}{}", case.after)]);
        for answer in [broken, mended].iter().filter(|answer| answer.code != 0) {
            wrong.push(format!("{}: the test's own command: {}", case.ids, answer.err));
        }
        let list = judge(case, &before, &found);
        if !list.is_empty() {
            wrong.push(format!("{}:\n    {}", case.ids, list.join("\n    ")));
        }
        rest();
        for (id, (level, text)) in levels(host, &[]) {
            if level != before[&id].0 {
                wrong.push(format!("after mending {}: {id} is {level} ({text})", case.ids));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_check_of_verify_sees_its_own_thing() {
    go_through(&Host::installed(), CASES, || ());
}

#[test]
fn what_takes_a_restart_is_seen_too() {
    let host = Host::installed();
    go_through(&host, HEAVY, || host.comes_to_rest());
}
