//! What goes wrong with backups while nobody looks; most of it with `tests/run --full`.

use crate::backup::{DIR, create, fill, id};
use crate::lab::Host;
use crate::sweeps::wanted;

/// A signal ends a backup as such, and nothing is left of it.
#[test]
fn an_interrupted_backup_says_so_and_leaves_nothing() {
    if !wanted("interrupted backups") {
        return;
    }
    let host = Host::installed();
    fill(&host, 6);
    host.sh("head -c 2G /dev/urandom >/var/lib/authentik/data/media/large; chown --reference=/var/lib/authentik/data /var/lib/authentik/data/media/large");
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        host.sh("systemd-run -q --unit made -p StandardError=truncate:/run/made /var/lib/lab/authentik-install backup create; \
            for i in $(seq 100); do ls /var/backups/authentik/.partial-*/data.tar.zst >/dev/null 2>&1 && break; sleep 0.05; done");
        host.sh(&format!("pkill -{signal} -x authentik-insta; for i in $(seq 600); do systemctl is-active -q made || exit 0; sleep 0.1; done; exit 1"));
        let (said, status) = (
            host.sh("cat /run/made"),
            host.sh("systemctl show -p ExecMainStatus --value made; systemctl reset-failed made"),
        );
        assert_eq!(status.trim(), code.to_string(), "{said}");
        assert!(said.contains(&format!("stopping on SIG{signal}")), "{said}");
        assert!(!said.contains("df -h"), "{said}");
        assert_eq!(host.sh(&format!("ls -A {DIR}")), "");
    }
    // Nor does a look at one that is stopped pass for damage, and what is half carried away for a copy.
    let good = id(&create(&host, &[]).exits(0));
    for verb in ["verify", &format!("export {good} /root/carried.tar")] {
        host.sh(&format!("systemd-run -q --unit made -p StandardError=truncate:/run/made /var/lib/lab/authentik-install backup {verb}; \
            until ls -l /proc/$(pgrep -x authentik-insta)/fd 2>/dev/null | grep -q data.tar; do systemctl is-active -q made || exit 1; done; pkill -INT -x authentik-insta; \
            for i in $(seq 600); do systemctl is-active -q made || exit 0; sleep 0.1; done; exit 1"));
        let status =
            host.sh("systemctl show -p ExecMainStatus --value made; systemctl reset-failed made");
        assert_eq!(status, "130\n", "{verb}: {}", host.sh("cat /run/made"));
    }
    host.sh("! test -e /root/carried.tar");
    host.tool(&["backup", "list"]).exits(0).says(&format!("{good}  whole"));
}

/// What cannot be thrown away, and what is damaged, is told, and keeps no backup from being made.
#[test]
fn an_old_one_that_stays_and_one_that_is_damaged() {
    if !wanted("old and damaged backups") {
        return;
    }
    let host = Host::installed();
    let first = id(&create(&host, &[]).exits(0));
    let second = id(&create(&host, &[]).exits(0));
    let set = [
        "install",
        "--yes",
        "--set",
        "backup.keep_last=1",
        "--set",
        "backup.keep_daily=0",
        "--set",
        "backup.keep_weekly=0",
        "--set",
        "backup.keep_monthly=0",
    ];
    host.tool(&set).exits(0);
    host.sh(&format!("chattr +i {DIR}/{first}/manifest.json"));
    let told = host.tool(&["backup", "create", "--scheduled"]).exits(7);
    assert!(told.err.contains("removing"), "{}", told.err);
    // It is none any more, and the next one is told of what is left.
    let list = host.tool(&["backup", "list"]).exits(0).out;
    assert!(!list.contains(&first) && !list.contains(&second), "{list}");
    host.tool(&["backup", "create", "--scheduled"]).exits(0).says("removing");
    host.sh(&format!("chattr -i {DIR}/.partial-*/manifest.json"));
    let last = id(&create(&host, &[]).exits(0));
    host.sh(&format!("test -z \"$(ls -d {DIR}/.partial-* 2>/dev/null)\""));

    // What a look at the sums found is remembered.
    host.sh(&format!(
        "printf xxxxxxxx | dd of={DIR}/{last}/data.tar.zst bs=1 seek=100 conv=notrunc status=none"
    ));
    host.tool(&["backup", "verify", &last]).exits(8);
    let list = host.tool(&["backup", "list"]).exits(0).out;
    let line = list.lines().find(|line| line.contains(&last)).unwrap_or_default();
    assert!(line.to_lowercase().contains("damaged"), "{list}");
    host.tool(&["backup", "show", "latest", "--json"]).exits(0);
    assert!(!host.tool(&["backup", "show", "latest"]).out.contains(&last));
}

/// A folder of authentik that is gone is no folder without files.
#[test]
fn a_folder_that_is_gone_is_told() {
    let host = Host::installed();
    host.sh("mv /var/lib/authentik/certs /root/");
    create(&host, &[]).exits(7).says("/var/lib/authentik/certs: there is no such folder");
    host.tool(&["restore", "latest", "--dry-run"])
        .says("the backup holds no /var/lib/authentik/certs");
    host.sh("mv /root/certs /var/lib/authentik/");
    create(&host, &[]).exits(0);
}

/// Settings that lie on an empty host are not those of the backup, which is what is restored.
#[test]
fn settings_that_were_there_give_way_to_the_backups() {
    if !wanted("settings on an empty host") {
        return;
    }
    let host = Host::installed();
    let name = id(&create(&host, &[]).exits(0));
    host.tool(&["backup", "export", &name, "/root/a.tar"]).exits(0);
    host.tool(&["uninstall", "--yes", "--delete-data=auth.lab.example"]).exits(0);
    host.sh("install -d /etc/authentik; printf 'domain = \"other.example.com\"\n' >/etc/authentik/install.toml");
    host.tool(&["restore", "/root/a.tar", "--yes", "--image-archive", "/var/lib/lab/image.tar"])
        .exits(0)
        .says("https://auth.lab.example/");
    host.comes_to_rest();
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");
    host.sh("grep -qx 'domain = \"auth.lab.example\"' /etc/authentik/install.toml; grep -q other.example.com /etc/authentik/install.toml.edited");
}

/// What runs no more comes back; and of a folder that several hosts share each takes only its own away.
#[test]
fn a_folder_of_several_hosts() {
    if !wanted("a folder of several hosts") {
        return;
    }
    let host = Host::installed();
    let name = id(&create(&host, &[]).exits(0));
    host.sql("CREATE TABLE later AS SELECT 1 AS one");
    host.tool(&["uninstall", "--yes"]).exits(0);
    // The image went, too: that it cannot be had is found out before anything is exchanged.
    host.tool(&["restore", &name, "--yes"]).exits(1).says("--image-archive FILE");
    assert_eq!(host.sql("SELECT one FROM later"), "1");
    let image = ["--image-archive", "/var/lib/lab/image.tar"];
    host.tool(&[&["restore", &name, "--yes"][..], &image].concat()).exits(0);
    host.comes_to_rest();
    assert_eq!(host.sql("SELECT to_regclass('later') IS NULL"), "t");
    host.tool(&["restore", "--abort"]).exits(0);
    assert_eq!(host.sql("SELECT one FROM later"), "1");

    // What a restore has replaced is kept for a month, and not for ever.
    host.tool(&["restore", &name, "--yes", "--no-safety-backup"]).exits(0);
    let kept = "SELECT count(*) FROM pg_database WHERE datname = 'authentik_restore_old'";
    let age = |days: u32| {
        host.sh(&format!("sed -i \"s/\\\"time\\\": .*/\\\"time\\\": \\\"$(date -u -d '{days} days ago' +%FT%TZ)\\\",/\" /var/lib/authentik-install/restored.json; systemctl start authentik-backup"));
        host.sql(kept)
    };
    assert_eq!(age(29), "1");
    host.tool(&["verify", "--only", "backups"]).says("it goes after 30 days");
    assert_eq!(age(31), "0");
    host.sh(
        "! ls -d /var/lib/authentik/*.restore; ! test -e /var/lib/authentik-install/restored.json",
    );
    host.sh(&format!("cd {DIR}; ls | grep -v {name} | xargs -r rm -r"));

    let other = "20260101T000000Z-00abcd";
    host.sh(&format!(
        "cd {DIR}; cp -a {name} {other}; h=$(uname -n); sed -i \"s/\\\"host\\\": \\\"$h\\\"/\\\"host\\\": \\\"elsewhere\\\"/\" {other}/manifest.json; grep -q elsewhere {other}/manifest.json"
    ));
    let all = ["uninstall", "--yes", "--delete-data=auth.lab.example"];
    host.tool(&all).exits(0).says("those of others stay (1)");
    assert_eq!(host.sh(&format!("ls -A {DIR}")), format!("{other}\n"));
    host.sh("! getent passwd authentik; ! test -e /etc/authentik");
}

/// A lock that a migration holds is waited for, and not for ever.
#[test]
fn a_lock_is_not_waited_for_without_end() {
    if !wanted("a lock of a minute") {
        return;
    }
    let host = Host::installed();
    host.sh("systemd-run -q --unit held -p User=postgres psql -d authentik -c 'BEGIN; LOCK authentik_install_id; SELECT pg_sleep(600)'; \
        for i in $(seq 300); do runuser -u postgres -- psql -XAtqc \"SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'\" | grep -q 1 && exit 0; sleep 0.1; done; exit 1");
    let begun = std::time::Instant::now();
    host.tool(&["backup", "create"]).exits(1).says("LOCK TABLE").says("is it being migrated?");
    let took = begun.elapsed().as_secs();
    assert!((55..150).contains(&took), "{took} s");
    assert_eq!(host.sh(&format!("ls -A {DIR}")), "");
}
