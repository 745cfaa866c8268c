//! It goes away without a trace, and what belongs to others stays.

use crate::lab::{Host, INSTALL, assert_same};

const DELETE: &str = "--delete-data=auth.lab.example";

/// What a host keeps outside the files of an installation: accounts, clusters, files of other people.
fn surroundings(host: &Host) -> String {
    host.sh(
        "getent passwd | sort; getent group | sort; cat /etc/subuid /etc/subgid; ls /var/lib/systemd/linger /run/user; \
         sha256sum /etc/postgresql/*/main/*.conf /etc/caddy/Caddyfile /etc/valkey/valkey.conf; \
         stat -c '%n %A %U %G %s' /etc/postgresql/*/main/* /etc/caddy/* /etc/valkey/*; \
         runuser -u postgres -- psql -XAtqc 'SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles ORDER BY 1'; \
         systemctl list-unit-files --no-legend | grep -i authentik || true; ss -Hltn 'sport = 9000'",
    )
}

/// Every file of the host, but for what the system writes by itself, what Caddy keeps of its own, and what
/// each health check of a container leaves for a moment.
fn listing(host: &Host) -> String {
    host.sh(
        "find / /var/lib -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp \
           -o -path /var/log -o -path /var/cache -o -path /var/lib/lab -o -path '/var/lib/systemd/*' \
           -o -path /var/lib/caddy -o -path '/var/lib/postgresql/*' -o -path '/var/lib/valkey/*' -o -name '*.db' \
           -o -path '/etc/*-' -o -path '*/overlay-containers/*/userdata' -o -name db.sql-journal \
           -o -path /var/lib/authentik-install/verify.json -o -path '/etc/*shadow' \\) -prune \
           -o \\( -type f -printf '%p %m %U %G %s\\n' \\) -o -printf '%p %y %m %U %G\\n'; \
         find /var/lib /etc -xdev -name '*authentik*' -not -path '/var/lib/lab/*' -not -path '/var/lib/caddy/*'",
    )
}

fn at_rest(host: &Host) {
    assert_eq!(host.sh("ss -Hltn 'sport = 9000 or sport = 443'"), "");
    assert_eq!(host.sh("pgrep -u authentik conmon || true"), "");
    host.sh("systemctl reload caddy; systemctl is-active caddy 'postgresql@*-main'");
    assert_eq!(host.sh("systemctl list-timers --all --no-legend | grep authentik || true"), "");
    assert_eq!(
        host.sh("grep -c authentik-install /etc/postgresql/*/main/pg_hba.conf || true").trim(),
        "0"
    );
    assert_eq!(host.sh("systemctl --failed --no-legend --plain | grep authentik || true"), "");
}

/// Off, on again with all data, and off with everything.
#[test]
fn off_and_on_again_and_then_without_a_trace() {
    let host = Host::boot("full");
    // Somebody's own things, of which some are in the way of ours.
    host.sh("printf '# no newline at the end' >>/etc/caddy/Caddyfile; mkdir -p /etc/systemd/system/valkey-server.service.d");
    host.sh("runuser -u postgres -- createdb theirs; systemctl reload caddy");
    let surroundings_before = surroundings(&host);
    let before = listing(&host);
    host.tool(&["uninstall", "--yes"]).exits(0).says("0 changes");
    assert_same(&before, &listing(&host));

    host.install(&[]).exits(0);
    host.tool(&["backup"]).exits(0);
    host.sql("CREATE TABLE kept AS SELECT 42 AS answer");
    host.sh("echo upload >/var/lib/authentik/data/media/mine.png");
    let key = host.sh("cat /etc/authentik/secrets/secret_key");
    host.sh("printf '# mine\\n' >>/etc/containers/systemd/users/$(id -u authentik)/authentik-server.container");

    let installed = listing(&host);
    let plan = host.tool(&["uninstall", "--dry-run"]).exits(0);
    for words in ["stop authentik", "take our rule out of", "take our import out of", "is kept as"]
    {
        assert!(plan.out.contains(words), "no {words:?} in {}", plan.out);
    }
    assert!(!plan.out.contains("drop the database"), "{}", plan.out);
    host.tool(&["uninstall", "--dry-run", "--delete-data"])
        .exits(0)
        .says("drop the database authentik");
    for wrong in [&["--yes", "--delete-data"][..], &["--yes", "--delete-data=auth.example.com"]] {
        host.tool(&[&["uninstall"], wrong].concat()).exits(2).says("Nothing was touched");
    }
    // Without a terminal nobody can be asked.
    assert_ne!(host.tool(&["uninstall"]).code, 0);
    assert_same(&installed, &listing(&host));
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");

    host.tool(&["uninstall", "--yes"]).exits(0).says("the database authentik");
    at_rest(&host);
    assert_eq!(host.sql("SELECT answer FROM kept"), "42");
    assert_eq!(host.sh("cat /etc/authentik/secrets/secret_key"), key);
    host.sh("ls /var/backups/authentik/*/manifest.json");
    host.sh("grep -q mine /etc/containers/systemd/users/*/authentik-server.container.*edited*; ! test -e /etc/caddy/authentik.d");
    host.tool(&["uninstall", "--yes"]).exits(0).says("0 changes");

    host.install(&[]).exits(0);
    host.comes_to_rest();
    assert_eq!(host.sql("SELECT answer FROM kept"), "42");
    assert_eq!(host.sh("cat /etc/authentik/secrets/secret_key"), key);
    assert_eq!(host.sh("cat /var/lib/authentik/data/media/mine.png"), "upload\n");
    host.tool(&["verify", "--only", "database,files,secrets,workload"]).exits(0);

    host.tool(&["uninstall", "--yes", DELETE]).exits(0);
    at_rest(&host);
    // What somebody had written into a unit of ours is theirs.
    host.sh("rm /etc/containers/systemd/users/*/*.edited; rmdir /etc/containers/systemd/users/*");
    assert_same(&before, &listing(&host));
    assert_same(&surroundings_before, &surroundings(&host));
}

/// After a run that was killed, with a lost ledger, with things missing, and killed itself.
#[test]
fn from_any_state() {
    let host = Host::boot("full");
    let surroundings_before = surroundings(&host);
    let before = listing(&host);
    assert!(host.killed_at(("clone", 60), &INSTALL).is_none());
    host.tool(&["uninstall", "--yes", DELETE]).exits(0);
    assert_same(&before, &listing(&host));
    assert_same(&surroundings_before, &surroundings(&host));

    host.install(&[]).exits(0);
    host.sh("for name in theirs authentik_install_proof; do runuser -u postgres -- createdb -O authentik $name; done");
    host.tool(&["uninstall", "--yes", DELETE])
        .exits(3)
        .says("databases of others: theirs")
        .says("Nothing was touched");
    host.sh("runuser -u postgres -- psql -qd theirs -c 'REASSIGN OWNED BY authentik TO postgres; DROP OWNED BY authentik'");
    host.sh("systemctl stop caddy; rm -r /etc/caddy/authentik.d /etc/authentik/secrets/database_password");
    host.sh("systemctl --user -M authentik@ stop authentik-pod");
    for moment in [("renameat2", 3), ("clone", 40), ("unlinkat", 3)] {
        let all = ["uninstall", "--yes", DELETE];
        assert!(host.killed_at(moment, &all).is_none(), "{moment:?}");
    }
    host.tool(&["uninstall", "--yes", DELETE]).exits(0);
    host.sh("systemctl start caddy; runuser -u postgres -- dropdb theirs");
    at_rest(&host);
    assert_same(&surroundings_before, &surroundings(&host));

    host.install(&[]).exits(0);
    host.sh("rm /var/lib/authentik-install/ledger.json");
    let settings = host.sh("cat /etc/authentik/install.toml; rm /etc/authentik/install.toml");
    host.tool(&["uninstall", "--yes", "--delete-data"]).exits(2).says("--delete-data=DOMAIN");
    host.sh(&format!("cat >/etc/authentik/install.toml <<'X'\n{settings}X"));
    // Without a ledger only what bears our mark is known as ours; whoever says so gets all of it back.
    let there = host.trace();
    host.tool(&["uninstall", "--yes", DELETE]).exits(3).says("the ledger is lost").says("--adopt");
    assert_same(&there, &host.trace());
    host.tool(&["install", "--yes", "--adopt"]).exits(0);
    // The name is asked for, and another one is none.
    let asked = |name: &str| {
        host.run(&["sh", "-c", &format!("(printf '{name}\\ny\\n') | script -qec '/var/lib/lab/authentik-install uninstall --delete-data' /dev/null")])
    };
    asked("auth.example.com").exits(2).says("that name was not given");
    asked("auth.lab.example").exits(0).says("Type auth.lab.example to go on");
    at_rest(&host);
    // Who has put the program there is known to nobody.
    host.sh("rm /usr/local/bin/authentik-install");
    assert_same(&before, &listing(&host));
    assert_same(&surroundings_before, &surroundings(&host));

    host.install(&[]).exits(0);
    host.sh("rm /var/lib/authentik-install/ledger.json");
    host.tool(&["uninstall", "--yes"]).exits(0);
    at_rest(&host);
    host.sh("! ls /etc/systemd/system/authentik* /etc/containers/systemd/users/*/authentik*");
    // Nor is the data taken for gone, or for somebody else's, once nothing bears a mark any more.
    host.tool(&["uninstall", "--yes", DELETE]).exits(3).says("the ledger is lost");
}

/// A host's own Valkey is as it was before.
#[test]
fn valkey_is_given_back() {
    let host = Host::boot("full");
    let surroundings_before = surroundings(&host);
    let before = listing(&host);
    host.install_version("2025.8.6", &[]).exits(0);
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");
    // Each run gets one file further than the one before: the first call is for what a killed restore may
    // have left, and the third is not made any more.
    let mut kills = 0;
    while host.killed_at(("unlinkat", 3), &["uninstall", "--yes", DELETE]).is_none() {
        kills += 1;
        assert!(kills < 100, "it does not get further");
    }
    assert!(kills >= 5, "{kills} runs were killed");
    host.tool(&["uninstall", "--yes", DELETE]).exits(0);
    at_rest(&host);
    assert_same(&before, &listing(&host));
    assert_same(&surroundings_before, &surroundings(&host));
    assert_eq!(host.sh("pgrep -u authentik || true; ls /run/user"), "");
    assert_eq!(host.sh("valkey-cli ping; valkey-cli info keyspace").trim(), "PONG\n# Keyspace");
    host.sh("systemctl is-active valkey-server; ! ls /run/valkey/valkey.sock*");
}
