//! Both user namespace modes, with and without a password for the database, and the way between.

use crate::lab::Host;
use crate::sweeps::wanted;

const KEEP_ID: [&str; 4] = ["--user-namespace", "keep-id", "--database-auth", "peer"];

fn owner(host: &Host, path: &str) -> String {
    host.sh(&format!("stat -c %u:%g {path}")).trim().to_owned()
}

fn user(host: &Host) -> String {
    host.sh("echo $(id -u authentik):$(id -g authentik)").trim().to_owned()
}

fn no_password_anywhere(host: &Host) {
    host.sh("! test -e /etc/authentik/secrets/database_password");
    assert_eq!(
        host.sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'authentik'"),
        "t"
    );
    let inspect = host.podman("inspect authentik-server authentik-worker").exits(0).out;
    assert!(!inspect.contains("POSTGRESQL__PASSWORD"), "{inspect}");
    let method = "SELECT auth_method FROM pg_hba_file_rules WHERE type = 'local' AND 'authentik' = ANY(database)
        OR 'all' = ANY(database) ORDER BY rule_number LIMIT 1";
    assert_eq!(host.sql(method), "peer");
    let subject =
        "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'authentik-%'";
    assert!(["", "authentik"].contains(&host.sql(subject).as_str()));
}

#[test]
fn a_fresh_host_without_any_database_password() {
    if !wanted("a host without a database password") {
        return;
    }
    let host = Host::boot("full");
    host.install(&KEEP_ID).exits(0);
    no_password_anywhere(&host);
    let (user, pid) =
        (user(&host), host.podman("inspect --format '{{.State.Pid}}' authentik-worker").out);
    assert_eq!(owner(&host, &format!("/proc/{}", pid.trim())), user);
    assert_eq!(owner(&host, "/var/lib/authentik/data/media"), user);
    let groups = host.sh(&format!("grep ^Groups: /proc/{}/status", pid.trim()));
    let postgres = host.sh("getent group postgres | cut -d: -f3");
    assert!(groups.split_whitespace().any(|group| group == postgres.trim()), "{groups}");
    host.podman("exec authentik-server touch /data/media/x").exits(0);
    host.podman("exec authentik-server touch /etc/x").exits(1);
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    host.power_cut();
    host.comes_to_rest();
}

#[test]
fn switching_modes_hands_everything_over() {
    let host = Host::installed();
    let sub = owner(&host, "/var/lib/authentik/data");
    host.podman("exec authentik-server sh -c 'mkdir /data/media/d; echo kept >/data/media/d/f; ln -s /etc/shadow /data/media/l'").exits(0);
    let shadow = owner(&host, "/etc/shadow");

    host.tool(&["plan", "--user-namespace", "keep-id"])
        .exits(0)
        .says("hand /var/lib/authentik/data over");
    host.tool(&[&["install", "--yes"][..], &KEEP_ID].concat()).exits(0);
    host.wait_ready();
    no_password_anywhere(&host);
    let tree = "find /var/lib/authentik/data -printf '%U:%G\\n' | sort -u";
    assert_eq!(host.sh(tree).trim(), user(&host));
    assert_eq!(owner(&host, "/etc/shadow"), shadow, "a planted link leads nowhere");
    assert_eq!(host.podman("exec authentik-server cat /data/media/d/f").out, "kept\n");
    host.podman("exec authentik-server touch /data/media/d/g").exits(0);
    host.tool(&["plan", "--exit-code"]).exits(0);

    // And back, killed while it is at it: the next run finishes.
    let back = ["install", "--yes", "--user-namespace", "host", "--database-auth", "scram"];
    host.run(&[
        "sh",
        "-c",
        &format!("timeout -s KILL 2 /var/lib/lab/authentik-install {}", back.join(" ")),
    ]);
    host.tool(&back).exits(0);
    host.wait_ready();
    assert_eq!(host.sh(tree).trim(), sub);
    assert_eq!(host.podman("exec authentik-server cat /data/media/d/f").out, "kept\n");
    let hba = host.sh("grep -v '^#' /etc/postgresql/$PG/main/pg_hba.conf | grep -m1 .");
    assert_eq!(hba.trim(), "local authentik authentik scram-sha-256");
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");
    host.tool(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn what_does_not_go_together_says_why() {
    let host = Host::boot("full");
    let before = host.trace();
    host.install(&["--database-auth", "peer"]).exits(2).says("keep-id").says("subordinate id");
    host.install(&[
        "--user-namespace",
        "keep-id",
        "--database-auth",
        "peer",
        "--version",
        "2026.5.7",
    ])
    .exits(2)
    .says("2026.5 cannot log in without a password");
    host.install(&[
        "--user-namespace",
        "keep-id",
        "--database-auth",
        "peer",
        "--database-user",
        "other",
    ])
    .exits(2)
    .says("the role is other");
    crate::lab::assert_same(&before, &host.trace());
}
