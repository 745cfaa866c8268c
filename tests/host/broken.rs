//! Broken in one way at a time: cured by the next `install`, or refused before anything is touched. All
//! of it with `tests/run --full`; without, what is refused.

use crate::lab::{Host, assert_same};
use crate::sweeps::{is_full, wanted};

enum Then {
    /// The next run makes it right again, and says so.
    Cured(&'static str),
    /// The next run says this and touches nothing; then this makes it right.
    Refused(&'static str, &'static str),
}
use Then::{Cured, Refused};

/// What breaks it, and what then.
const INSTALLED: &[(&str, Then)] = &[
    ("usermod --shell /bin/bash authentik", Cured("set the shell of authentik")),
    ("usermod --expiredate 1 authentik", Cured("the account of authentik, which has ended")),
    (
        "systemctl stop user@$(id -u authentik); usermod --home /root authentik",
        Cured("set the home of authentik from /root"),
    ),
    (
        "sed -i 's,:/var/lib/authentik/home:,:/root:,' /etc/passwd",
        Cured("set the home of authentik from /root"),
    ),
    ("sed -i /^authentik:/d /etc/subuid", Cured("65536 ids from 100000 in /etc/subuid")),
    (
        "sed -i /^authentik:/d /etc/subuid /etc/subgid",
        Cured("65536 ids from 100000 in /etc/subgid"),
    ),
    (
        "sed -i 's/^\\(authentik:[0-9]*\\):.*/\\1:100/' /etc/subgid",
        Cured("in the place of what it has"),
    ),
    (
        "echo theirs:150000:10 >>/etc/subuid",
        Refused("share ids from", "sed -i '/^theirs/d' /etc/subuid"),
    ),
    (
        "systemctl stop user@$(id -u authentik); useradd --system theirs; userdel authentik",
        Cured("create the system user authentik"),
    ),
    (
        "systemctl stop user@$(id -u authentik); userdel authentik; useradd --system other",
        Refused("usermod --uid NEW other", "userdel other"),
    ),
    ("true", Cured("create the system user authentik")),
    (
        "systemctl stop user@$(id -u authentik); userdel authentik; echo theirs:100000:65536 >>/etc/subuid",
        Refused("gives to theirs now", "sed -i '/^theirs/d' /etc/subuid"),
    ),
    ("true", Cured("create the system user authentik")),
    ("gpasswd -d authentik postgres", Cured("add authentik to the group postgres")),
    (
        "gpasswd -d authentik postgres; systemctl restart user@$(id -u authentik); gpasswd -a authentik postgres",
        Cured("restart the user manager"),
    ),
    (
        "systemctl --user -M authentik@ mask --runtime authentik-worker",
        Refused(
            "would be taken instead of our unit",
            "systemctl --user -M authentik@ unmask --runtime authentik-worker",
        ),
    ),
    (
        "D=/var/lib/authentik/home/.config/systemd/user; runuser -u authentik -- mkdir -p $D; ln -s /dev/null $D/authentik-server.service; systemctl --user -M authentik@ daemon-reload",
        Refused(
            "would be taken instead of our unit",
            "rm -r /var/lib/authentik/home/.config/systemd; systemctl --user -M authentik@ daemon-reload",
        ),
    ),
    (
        "D=/var/lib/authentik/home/.config/containers/systemd; runuser -u authentik -- mkdir -p $D; touch $D/authentik-server.container; systemctl --user -M authentik@ daemon-reload",
        Refused(
            "would be taken instead of our unit",
            "rm -r /var/lib/authentik/home/.config/containers/systemd; systemctl --user -M authentik@ daemon-reload",
        ),
    ),
    (
        "echo '# mine' >>/etc/containers/systemd/users/$(id -u authentik)/authentik-server.container",
        Cured("it was edited by hand, that is kept as"),
    ),
    (
        "rm /etc/containers/systemd/users/*/authentik.pod",
        Cured("make the user manager read the unit files again"),
    ),
    (
        "mv /etc/authentik/secrets/secret_key /root/",
        Refused("secret_key is missing", "mv /root/secret_key /etc/authentik/secrets/"),
    ),
    (
        "rm /etc/authentik/secrets/database_password",
        Cured("set the password of the role authentik"),
    ),
    (
        "chown nobody /etc/authentik/secrets/* /etc/systemd/system/authentik*; chmod 644 /etc/authentik/secrets/*; chmod 700 /var/lib/authentik",
        Cured("set /etc/authentik/secrets/secret_key from"),
    ),
    (
        "chown root:root /var/lib/authentik/data; chown nobody:nogroup /var/lib/authentik/home; chmod 777 /var/lib/authentik/home",
        Cured("set /var/lib/authentik/home from"),
    ),
    (
        "chmod 777 /etc/authentik/secrets",
        Refused("chmod go-w /etc/authentik/secrets", "chmod 750 /etc/authentik/secrets"),
    ),
    (
        "runuser -u postgres -- psql -qc \"ALTER ROLE authentik NOLOGIN PASSWORD 'other'\"",
        Cured("let the role authentik log in"),
    ),
    (
        "runuser -u postgres -- psql -qc 'ALTER DATABASE authentik OWNER TO postgres'",
        Cured("give the database authentik to authentik"),
    ),
    (
        "systemctl --user -M authentik@ stop authentik-pod; runuser -u postgres -- psql -qd authentik -c 'CREATE ROLE theirs' -c 'REASSIGN OWNED BY authentik TO theirs' -c 'DROP OWNED BY authentik' -c 'DROP ROLE authentik'",
        Cured("create the role authentik"),
    ),
    (
        "sed -i '/^# authentik-install: begin/,/^# authentik-install: end/d' /etc/postgresql/*/main/pg_hba.conf; systemctl reload postgresql",
        Cured("let the role authentik log in by password"),
    ),
    (
        "printf 'port = 5444\\n' >/etc/postgresql/$PG/main/conf.d/x.conf; systemctl restart postgresql@$PG-main",
        Cured("restart authentik-server.service"),
    ),
    (
        "install -d -o postgres /run/elsewhere; printf \"unix_socket_directories = '/run/elsewhere'\\n\" >/etc/postgresql/$PG/main/conf.d/x.conf; systemctl restart postgresql@$PG-main",
        Cured("restart authentik-server.service"),
    ),
    (
        "rm /etc/postgresql/$PG/main/conf.d/x.conf; systemctl restart postgresql@$PG-main; pg_createcluster $PG other --start >/dev/null",
        Cured("restart authentik-server.service"),
    ),
    (
        "pg_dropcluster --stop $PG other; systemctl stop postgresql@$PG-main",
        Refused("does not run", "systemctl start postgresql@$PG-main"),
    ),
    (
        "echo max_connections=10 >/etc/postgresql/$PG/main/conf.d/x.conf; systemctl --user -M authentik@ stop authentik-pod; systemctl restart postgresql@$PG-main
         for i in $(seq 10); do systemd-run -q --unit hold$i --uid postgres psql -Xc 'SELECT pg_sleep(600)' postgres; done; sleep 2",
        Refused(
            "raise max_connections",
            "systemctl stop 'hold*'; rm /etc/postgresql/$PG/main/conf.d/x.conf; systemctl restart postgresql@$PG-main",
        ),
    ),
    ("systemctl --user -M authentik@ start authentik-server authentik-worker; systemctl --user -M authentik@ stop authentik-worker", Cured("start authentik-worker")),
    ("loginctl disable-linger authentik", Cured("let authentik linger")),
    (
        "systemctl stop caddy; rm /etc/caddy/authentik.d/authentik.caddyfile",
        Refused("systemctl enable --now caddy", "systemctl start caddy"),
    ),
    ("true", Cured("create /etc/caddy/authentik.d/authentik.caddyfile")),
    ("systemctl stop authentik-backup.timer", Cured("start authentik-backup.timer")),
    (
        "rm /etc/caddy/authentik.d/authentik.caddyfile; cp -p /etc/caddy/Caddyfile /root/; printf '{\\n\\tadmin unix//run/caddy.sock\\n}\\n' >/etc/caddy/Caddyfile; touch /run/caddy.sock; chown caddy /run /run/caddy.sock; systemctl restart caddy",
        Refused(
            "admin localhost:2019",
            "chown root /run; cp -p /root/Caddyfile /etc/caddy/Caddyfile; systemctl restart caddy",
        ),
    ),
    ("true", Cured("create /etc/caddy/authentik.d/authentik.caddyfile")),
    ("systemctl --user -M authentik@ stop authentik-pod; runuser -u postgres -- dropdb authentik", Cured("create the database authentik")),
];

#[test]
fn what_breaks_is_cured_or_refused() {
    let host = Host::installed();
    host.sql("CREATE TABLE kept AS SELECT 42 AS answer");
    let key = host.sh("cat /etc/authentik/secrets/secret_key");
    let mut ends = (0, 0);
    for (with, then) in INSTALLED {
        eprintln!("broken: {with}");
        match then {
            // What is refused with the user gone is cured by the case after it.
            Cured(_) if !is_full() => continue,
            Refused(..) if !is_full() && with.contains("userdel") => continue,
            Cured(says) => {
                host.sh(with);
                host.tool(&["install", "--yes"]).exits(0).says(says);
                host.tool(&["plan", "--exit-code"]).exits(0);
                if !says.contains("create the database") {
                    assert_eq!(host.sql("SELECT answer FROM kept"), "42", "{with}");
                }
                ends.0 += 1;
            }
            Refused(says, after) => {
                host.sh(with);
                let before = host.trace();
                host.tool(&["install", "--yes"]).exits(3).says(says).says("next: ");
                assert_same(&before, &host.trace());
                host.sh(after);
                ends.1 += 1;
            }
        }
        assert_eq!(host.sh("cat /etc/authentik/secrets/secret_key"), key, "{with}");
    }
    host.tool(&["install", "--yes"]).exits(0);
    host.comes_to_rest();
    eprintln!("broken: {} cured, {} refused, 0 bad ends", ends.0, ends.1);
}

/// No room in one place after the other: each time it is said where, and nothing is lost.
#[test]
fn a_full_disk_is_told_and_gone_on_from() {
    if !is_full() {
        return;
    }
    let host = Host::boot("full");
    for (place, phase) in [
        ("/etc/authentik", "database_password"),
        ("/etc/containers/systemd/users", "authentik-server.container"),
        ("/var/lib/authentik-install", "ledger.json"),
        ("/etc/systemd/system", "authentik-"),
    ] {
        host.sh(&format!("mkdir -p {place}; cp -a {place} /run/kept; mount -t tmpfs -o size=4k,mode=755 none {place}; [ {place} != /etc/systemd/system ] || mount -o remount,size=64k {place}; cp -a /run/kept/. {place}/; rm -r /run/kept"));
        host.sh(&format!(
            "[ {place} != /etc/systemd/system ] || head -c 1M /dev/zero >{place}/full || true"
        ));
        host.install(&[]).exits(1).says(phase).says(&format!("df -h {place}"));
        host.sh(&format!("umount {place}"));
    }
    host.install(&[]).exits(0);
    host.comes_to_rest();
}

#[test]
fn a_cluster_made_under_lang_c_is_no_hindrance() {
    if !wanted("a cluster made under LANG=C") {
        return;
    }
    let host = Host::boot("full");
    host.sh("pg_dropcluster --stop $PG main; pg_createcluster --locale=C --encoding=SQL_ASCII $PG main --start >/dev/null");
    host.install(&[]).exits(0);
    let encoding =
        "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'authentik'";
    assert_eq!(host.sql(encoding), "UTF8");
    host.comes_to_rest();
    host.tool(&["backup"]).exits(0);
    host.tool(&["backup", "verify", "latest", "--deep"]).exits(0);
}
