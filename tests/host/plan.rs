//! What `check`, `plan` and a dry run say, and that they write nothing.

use crate::lab::{DOMAIN, Host, assert_same};

#[test]
fn looking_leaves_no_trace() {
    let host = Host::boot("full");
    let before = host.trace();
    let args = ["--domain", DOMAIN, "--tls", "internal"];
    host.tool(&[&["plan", "--exit-code", "--diff"], &args[..]].concat())
        .exits(4)
        .says("create the system user authentik")
        .says("+local authentik authentik scram-sha-256")
        .says("Nothing was touched");
    let json = host.tool(&[&["plan", "--json"], &args[..]].concat()).exits(0).out;
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["format"], 1);
    let phases: Vec<&str> =
        plan["phases"].as_array().unwrap().iter().map(|p| p["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["accounts", "database", "cache", "containers", "proxy", "schedule"]);
    host.install(&["--dry-run"]).exits(0);
    host.tool(&["check"]).exits(0);
    assert_same(&before, &host.trace());
}

#[test]
fn a_plan_shows_exactly_what_differs() {
    let host = Host::installed();
    let before = host.trace();
    host.tool(&["plan", "--exit-code"]).exits(0).says("No changes.");
    assert_same(&before, &host.trace());

    host.sh("sed -i s/max-age=63072000/max-age=1/ /etc/caddy/authentik.d/authentik.caddyfile");
    let plan = host.tool(&["plan", "--exit-code", "--diff"]).exits(4);
    let plan = plan.says("edited by hand").says("-\t\tStrict-Transport-Security \"max-age=1\"");
    assert!(plan.out.contains("\n2 changes."), "the file, and the reload: {}", plan.out);
    host.tool(&["install", "--yes"]).exits(0);
    assert_eq!(host.sh("grep -c max-age=1 /etc/caddy/authentik.caddyfile.edited").trim(), "1");
    host.tool(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn a_second_run_changes_and_restarts_nothing() {
    let host = Host::installed();
    let state = "ps -o lstart=,pid= -C caddy,postgres,catatonit | head -40; cat /var/lib/authentik-install/ledger.json";
    let (before, running) = (host.trace(), host.sh(state));
    let containers = host.podman("ps --no-trunc --format '{{.ID}} {{.StartedAt}}'").exits(0).out;
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    assert_same(&before, &host.trace());
    assert_eq!(running, host.sh(state));
    assert_eq!(
        containers,
        host.podman("ps --no-trunc --format '{{.ID}} {{.StartedAt}}'").exits(0).out
    );
}

#[test]
fn a_bare_host_is_told_what_to_install() {
    let host = Host::boot("bare");
    let before = host.trace();
    let json = host.tool(&["check", "--json"]).exits(3).out;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let level = |id: &str| {
        let rows = report["checks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        (
            row["level"].as_str().unwrap().to_owned(),
            row["cure"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for id in ["podman", "crun", "rootless-helpers", "postgresql", "caddy"] {
        let (level, cure) = level(id);
        assert_eq!(level, "fail", "{id}");
        assert!(cure.starts_with("apt-get install"), "{id}: {cure}");
    }
    assert_eq!(level("systemd").0, "ok");
    assert_eq!(level("valkey").0, "ok", "2026.8 needs none");
    host.tool(&["install", "--yes", "--domain", DOMAIN])
        .exits(3)
        .says("Podman is not installed")
        .says("Nothing was touched");
    assert_same(&before, &host.trace());
}
