//! Refused before anything is touched, with a message that names the thing and the next command.

use crate::lab::{DOMAIN, Host, assert_same};

#[test]
fn what_is_in_the_way_is_named_and_left_alone() {
    let host = Host::boot("full");
    let before = host.trace();
    let caddyfile = "/etc/caddy/Caddyfile";
    host.sh(&format!("cp {caddyfile} /var/lib/lab/Caddyfile"));
    let back =
        || host.sh(&format!("cat /var/lib/lab/Caddyfile >{caddyfile}; systemctl reload caddy"));

    // A broken Caddyfile, with file and line.
    host.sh(&format!("printf ':80 {{\\n\\tno_such_directive\\n}}\\n' >{caddyfile}"));
    host.install(&[]).exits(3).says("Caddyfile:2").says("Nothing was touched");
    back();
    // Our name served by somebody else.
    host.sh(&format!("printf '{DOMAIN} {{\\n\\ttls internal\\n\\trespond hi\\n}}\\n' >>{caddyfile}; systemctl reload caddy"));
    host.install(&[]).exits(3).says("is served already").says("Caddyfile:");
    back();
    // A site without braces cannot take another line.
    host.sh(&format!(
        "printf 'other.example\\ntls internal\\nrespond hi\\n' >{caddyfile}; systemctl reload caddy"
    ));
    host.install(&[]).exits(3).says("put braces around its site");
    back();
    // A configuration that the file does not show.
    host.sh(&format!("printf '# edited, not loaded\\n:81 {{\\n}}\\n' >>{caddyfile}"));
    host.install(&[]).exits(3).says("systemctl reload caddy");
    back();
    // An error in pg_hba.conf.
    let hba = "/etc/postgresql/$PG/main/pg_hba.conf";
    host.sh(&format!("cp -p {hba} {hba}.orig; echo 'local all all nonsense' >>{hba}"));
    host.install(&[]).exits(3).says("has an error in line");
    host.sh(&format!("mv {hba}.orig {hba}"));
    // A role of that name that somebody else uses.
    host.sh("runuser -u postgres -- createuser authentik");
    host.install(&[]).exits(3).says("was there before").says("dropuser authentik");
    host.sh("runuser -u postgres -- dropuser authentik");
    // A database in another encoding.
    host.sh("runuser -u postgres -- createdb -T template0 -E SQL_ASCII --locale=C authentik");
    host.install(&[]).exits(3).says("SQL_ASCII");
    host.sh("runuser -u postgres -- dropdb authentik");
    // A port taken by another program.
    host.sh("nohup setsid caddy respond --listen 127.0.0.1:9000 >/dev/null 2>&1 & for i in $(seq 50); do ss -Hltn 'sport = :9000' | grep -q . && break; sleep 0.1; done");
    host.install(&[]).exits(3).says("port 9000 is taken by caddy");
    host.sh("pkill -f '[c]addy respond'");
    // A unit file of ours by another hand.
    host.sh("mkdir -p /etc/caddy/authentik.d; echo 'x.example {\n}' >/etc/caddy/authentik.d/authentik.caddyfile");
    host.install(&[]).exits(3).says("was there before and is not what is needed");
    host.sh("rm -r /etc/caddy/authentik.d");
    let clean = |text: String| -> String {
        text.lines()
            .filter(|line| {
                !line.contains("./root")
                    && !line.contains("./etc/postgresql")
                    && !line.contains("pg_hba")
                    && !line.contains("./caddy")
                    && !line.contains("/caddy")
            })
            .map(|line| format!("{line}\n"))
            .collect()
    };
    assert_same(&clean(before), &clean(host.trace()));
    host.install(&[]).exits(0);
}

#[test]
fn a_persons_account_is_left_alone() {
    let host = Host::boot("full");
    host.sh("useradd --create-home authentik; echo mine >/home/authentik/file");
    host.install(&[]).exits(3).says("person's account").says("usermod --login");
    assert_eq!(
        host.sh("cat /home/authentik/file; test -e /etc/authentik || echo none"),
        "mine\nnone\n"
    );
}

#[test]
fn wrong_usage_touches_nothing() {
    let host = Host::boot("full");
    let before = host.trace();
    host.tool(&["install", "--domain", DOMAIN]).exits(2).says("--yes");
    host.tool(&["install", "--yes"]).exits(2).says("--domain");
    host.tool(&["install", "--yes", "--domain", "https://a.example/"]).exits(2);
    host.tool(&["install", "--yes", "--domain", DOMAIN, "--version", "latest"])
        .exits(2)
        .says("2026.8.3");
    host.tool(&["install", "--yes", "--domain", DOMAIN, "--version", "2026.8.1"])
        .exits(2)
        .says("known to do damage");
    host.tool(&["install", "--yes", "--domain", DOMAIN, "--image-archive", "/nowhere.tar"])
        .exits(2)
        .says("/nowhere.tar");
    host.sh("printf 'two\\nlines\\n' >/var/lib/lab/pw");
    host.install(&["--admin-password-file", "/var/lib/lab/pw"]).exits(2).says("more than one line");
    // On a terminal it shows the plan and asks; a no is a no.
    let asked = host.run(&["sh", "-c", &format!(
        "printf 'n\\n' | script -qec '/var/lib/lab/authentik-install install --domain {DOMAIN}' /dev/null"
    )]);
    asked
        .exits(0)
        .says("create the system user authentik")
        .says("Go ahead? [y/N]")
        .says("Nothing was touched.");
    host.sh("mkdir -p /run/authentik-install; touch /run/authentik-install/lock; \
        nohup flock /run/authentik-install/lock sleep 60 >/dev/null 2>&1 & sleep 1");
    host.install(&[]).exits(6).says("another run holds it");
    assert_same(&before, &host.trace());
    host.run(&[
        "setpriv",
        "--reuid",
        "1",
        "--clear-groups",
        "/var/lib/lab/authentik-install",
        "install",
        "--yes",
        "--domain",
        DOMAIN,
    ]);
    assert_same(&before, &host.trace());
}

#[test]
fn a_lost_key_of_a_living_database_is_not_made_anew() {
    let host = Host::installed();
    host.sh("mv /etc/authentik/secrets/secret_key /root/");
    host.tool(&["install", "--yes"]).exits(3).says("secret_key is missing").says("restore it");
    // Nor where the database gives no answer to what is in it.
    host.sql("ALTER TABLE authentik_version_history RENAME COLUMN version TO v");
    for more in [&[][..], &["--version", "2026.8.4"]] {
        let refused = host.tool(&[&["install", "--yes"], more].concat()).exits(3);
        refused.says("cannot be told").says("Nothing was touched");
    }
    host.sh("! test -e /etc/authentik/secrets/secret_key");
    host.sql("ALTER TABLE authentik_version_history RENAME COLUMN v TO version");
    host.sh("mv /root/secret_key /etc/authentik/secrets/");
    host.tool(&["install", "--yes"]).exits(0);
}
