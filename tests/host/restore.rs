//! `restore`: on the host itself, and on an empty one that counts its users otherwise.

use crate::backup::{create, fill, id};
use crate::lab::{DOMAIN, Host};

// Something in the database and among the settings that nobody puts right by itself.
pub fn marked(host: &Host) {
    host.sh("echo old >/etc/authentik/mark; sed -i '1i # old' /etc/authentik/install.toml");
    host.sql(
        "CREATE TABLE lab_mark AS SELECT 'old' AS mark; ALTER TABLE lab_mark OWNER TO authentik",
    );
}

fn mark(host: &Host) -> String {
    host.sql("SELECT mark FROM lab_mark")
}

pub fn change(host: &Host) {
    settings_are(host, "new");
    host.sql("UPDATE lab_mark SET mark = 'new'");
    host.sh("M=/var/lib/authentik/data/media; U=$(stat -c %u $M); echo late >$M/late; rm $M/public/icons/t1; chown $U:$U $M/late");
}

fn settings_are(host: &Host, what: &str) {
    host.sh(&format!(
        "echo {what} >/etc/authentik/mark; sed -i '1s/.*/# {what}/' /etc/authentik/install.toml"
    ));
}

fn settings(host: &Host) -> String {
    host.sh("cat /etc/authentik/mark; head -n 1 /etc/authentik/install.toml")
}

pub fn is_old(host: &Host) {
    assert_eq!((mark(host), settings(host)), ("old".into(), "old\n# old\n".into()));
    files_are_old(host);
}

fn files_are_old(host: &Host) {
    host.sh("cd /var/lib/authentik/data/media; test ! -e late && test -s public/icons/t1 && test -L public/icons/link");
}

pub fn is_new(host: &Host) {
    assert_eq!((mark(host), settings(host)), ("new".into(), "new\n# new\n".into()));
    host.sh("cd /var/lib/authentik/data/media; test -s late && test ! -e public/icons/t1");
}

pub fn nothing_is_left_over(host: &Host) {
    assert_eq!(host.sh("ls -d /var/lib/authentik/*.restore /etc/authentik.restore /var/lib/authentik/restore.json 2>/dev/null || true"), "");
    assert_eq!(host.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%restore%'"), "0");
}

/// From a state in which the database alone is as it was.
fn each_part_alone(host: &Host, backup: &str) {
    let part =
        |what: &str| host.tool(&["restore", backup, "--only", what, "--yes", "--no-safety-backup"]);
    host.sql("UPDATE lab_mark SET mark = 'new'");
    part("config").exits(0);
    assert_eq!((mark(host), settings(host)), ("new".into(), "old\n# old\n".into()));
    host.sh("test -s /var/lib/authentik/data/media/late");
    // Where the service user has no manager nothing runs that would have to be stopped.
    host.sh("systemctl stop user@$(id -u authentik)");
    host.tool(&["restore", "--abort"]).exits(0);
    is_new(host);
    host.comes_to_rest();
    part("data").exits(0);
    assert_eq!((mark(host), settings(host)), ("new".into(), "new\n# new\n".into()));
    files_are_old(host);
    host.tool(&["restore", "commit"]).exits(0);
    nothing_is_left_over(host);
    host.sql("UPDATE lab_mark SET mark = 'old'");
}

/// A backup of an authentik that never comes to serve its login page, and the host as before.
fn never_served(host: &Host) -> String {
    let kept = "slug FROM authentik_flows_flow";
    let slug = host.sql(&format!("SELECT {kept} LIMIT 1"));
    host.sql(
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER never BEFORE INSERT ON authentik_flows_flow FOR EACH ROW EXECUTE FUNCTION never();
         DELETE FROM authentik_flows_flow; UPDATE lab_mark SET mark = 'dead'",
    );
    let dead = id(&create(host, &[]).exits(0));
    host.sql(&format!(
        "DROP FUNCTION never() CASCADE; INSERT INTO authentik_flows_flow (slug) VALUES ('{slug}'); UPDATE lab_mark SET mark = 'new'"
    ));
    dead
}

#[test]
fn a_restore_brings_all_back_and_can_be_undone() {
    let host = Host::installed();
    fill(&host, 2);
    marked(&host);
    host.sh("cd /var/lib/authentik/data/media/public; setfacl -m u:bin:r icons/t2; setfacl -d -m u:bin:rx icons; \
        perl -e '($f, $n, $b) = qw(icons/t2 user.origin here); syscall(188, $f, $n, $b, 4, 0) == 0 or die $!'");
    let backup = id(&create(&host, &[]).exits(0));
    let acl = |host: &Host| {
        host.sh("cd /var/lib/authentik/data/media/public; getfacl -ncp icons/t2 icons")
    };
    let owner = host.sh("stat -c '%u:%g %a %Y' /var/lib/authentik/data/media/public/icons/t1");
    let access = acl(&host);
    change(&host);
    host.tool(&["restore", &backup]).exits(2).says("--yes");
    host.tool(&["restore", &backup, "--dry-run"])
        .exits(0)
        .says("onto the installation that is here");
    is_new(&host);
    host.tool(&["restore", &backup, "--yes"]).exits(0).says("restore commit");
    is_old(&host);
    assert_eq!(
        host.sh("stat -c '%u:%g %a %Y' /var/lib/authentik/data/media/public/icons/t1"),
        owner
    );
    let attribute = "cd /var/lib/authentik/data/media/public; perl -e '($f, $n, $b) = qw(icons/t2 user.origin none); syscall(191, $f, $n, $b, 4); print $b'";
    assert_eq!(host.sh(attribute), "here");
    assert!(access.contains("user:2:r") && acl(&host) == access, "{access} {}", acl(&host));
    host.comes_to_rest();
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");
    // Not over one that can still be undone; and what was there is in a backup, too.
    host.tool(&["restore", &backup, "--yes"]).exits(3).says("restore commit");
    host.tool(&["backup", "list"]).exits(0).says("before-restore");
    host.tool(&["restore", "--abort"]).exits(0);
    is_new(&host);
    nothing_is_left_over(&host);
    host.comes_to_rest();

    // A part alone; and for good.
    host.tool(&["restore", "latest", "--only", "database", "--yes", "--no-safety-backup"]).exits(0);
    assert_eq!(mark(&host), "old");
    host.sh("test -s /var/lib/authentik/data/media/late");
    host.tool(&["restore", "commit"]).exits(0);
    host.tool(&["restore", "commit"]).exits(9);
    host.tool(&["restore", "--abort"]).exits(9);
    nothing_is_left_over(&host);
    host.tool(&["plan", "--exit-code"]).exits(0);
    each_part_alone(&host, &backup);

    // Names that others have, and what is mounted inside: seen before anything is touched.
    let backups = || host.sh("ls /var/backups/authentik | wc -l");
    let before = backups();
    host.sql("CREATE DATABASE authentik_restore_old");
    let over = ["restore", backup.as_str(), "--yes"];
    host.tool(&over).exits(3).says("authentik_restore_old: it is there already");
    host.sql("DROP DATABASE authentik_restore_old");
    host.sh("mkdir /var/lib/authentik/data.restore");
    host.tool(&over).exits(3).says("data.restore: it is there already");
    host.sh("rmdir /var/lib/authentik/data.restore; mount -t tmpfs none /var/lib/authentik/data/media/public");
    host.tool(&over)
        .exits(3)
        .says("a file system is mounted on /var/lib/authentik/data/media/public");
    host.sh("umount /var/lib/authentik/data/media/public");
    assert_eq!(backups(), before);

    // Who asks to stop while the restored is started gets the old back.
    host.sql("UPDATE lab_mark SET mark = 'new'");
    host.sh("systemd-run -q sh -c 'while ! test -e /var/lib/authentik-install/restored.json; do sleep 0.1; done; pkill -INT -x authentik-insta'");
    let stopped = host.tool(&["restore", &backup, "--yes", "--no-safety-backup"]).exits(130);
    assert!(stopped.err.contains("It is as it was before"), "{}", stopped.err);
    assert_eq!(mark(&host), "new");
    nothing_is_left_over(&host);
    host.comes_to_rest();

    // What is gone altogether comes back as well.
    host.as_service_user("systemctl --user stop authentik-pod");
    host.sql_in("postgres", "DROP DATABASE authentik WITH (FORCE)");
    host.sh("rm -r /var/lib/authentik/data");
    host.tool(&["restore", &backup, "--yes"]).exits(3).says("--no-safety-backup");
    host.tool(&["restore", &backup, "--yes", "--no-safety-backup"]).exits(0);
    is_old(&host);
    host.comes_to_rest();
    host.tool(&["restore", "commit"]).exits(0);
    host.sql("UPDATE lab_mark SET mark = 'new'");

    // A host on which it cannot come up is left as it is; what does not come up is taken back by itself.
    host.sh("echo 'nonsense {' >>/etc/caddy/Caddyfile");
    host.tool(&["restore", &backup, "--yes", "--no-safety-backup"]).exits(3).says("caddy-config");
    host.sh("sed -i '$d' /etc/caddy/Caddyfile");
    let dead = never_served(&host);
    let failed = host.tool(&["restore", &dead, "--yes", "--no-safety-backup", "--deadline", "5"]);
    assert_ne!(failed.code, 0, "{}", failed.err);
    assert!(failed.err.contains("It is as it was before"), "{}", failed.err);
    assert_eq!(mark(&host), "new");
    nothing_is_left_over(&host);
    host.comes_to_rest();
}

/// Killed at any moment, or with the power cut, it is the one or the other, never half of each.
#[test]
fn a_killed_restore_leads_to_one_of_two_whole_states() {
    let host = Host::installed();
    fill(&host, 1);
    marked(&host);
    let backup = id(&create(&host, &[]).exits(0));
    change(&host);
    let args = ["restore", &backup, "--yes", "--no-safety-backup", "--deadline", "120"];
    let mut kills = 0;
    for (syscall, when) in [
        ("fsync", 2),
        ("renameat2", 1),
        ("renameat2", 2),
        ("renameat2", 4),
        ("renameat2", 6),
        ("unlinkat", 1),
    ] {
        if host.killed_at((syscall, when), &args).is_some() {
            // It came to its end before that moment.
            host.tool(&["restore", "--abort"]).exits(0);
            is_new(&host);
            continue;
        }
        kills += 1;
        let swapping = host.run(&["test", "-e", "/var/lib/authentik/restore.json"]).code == 0;
        if swapping {
            // Nothing runs on half of each, not even after the power came back, and nobody changes it.
            for args in [
                &["backup"][..],
                &["install", "--yes"],
                &["restore", "commit"],
                &["restore", &backup, "--dry-run"],
            ] {
                host.tool(args).exits(3).says("restore --abort");
            }
            host.tool(&["verify", "--only", "backups"]).exits(5).says("stopped half-way");
            if kills == 3 {
                host.power_cut();
            }
            // What ran still may: nothing is exchanged before it is stopped.
            host.as_service_user("systemctl --user stop authentik-pod; systemctl --user start authentik-server authentik-worker");
            let running = host.podman("ps -q").exits(0).out;
            assert_eq!(running, "", "after {syscall} {when}");
            // Going back may be killed, too, and the next restore does it as well.
            host.killed_at(("renameat2", 1), &["restore", "--abort"]);
            match kills % 2 {
                0 => {
                    host.tool(&args).exits(0).says("stopped half-way: going back");
                    is_old(&host);
                    host.tool(&["restore", "--abort"]).exits(0);
                }
                _ => drop(host.tool(&["restore", "--abort"]).exits(0)),
            }
        } else if host.run(&["test", "-e", "/var/lib/authentik-install/restored.json"]).code == 0 {
            host.tool(&["restore", "--abort"]).exits(0);
        }
        is_new(&host);
    }
    assert!(kills >= 4, "{kills} kills");
    eprintln!("restore: {kills} kills, 0 bad ends");
    // And the next one goes through, whatever was left. Killed before it was seen to run, it is not
    // committed before it does.
    host.tool(&args).exits(0);
    is_old(&host);
    host.sh("sed -i 's/\"runs\": true/\"runs\": false/' /var/lib/authentik-install/restored.json");
    host.as_service_user("systemctl --user stop authentik-pod");
    host.sh("echo 'nonsense {' >>/etc/caddy/Caddyfile");
    assert_ne!(host.tool(&["restore", "commit"]).code, 0);
    assert_eq!(host.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%restore%'"), "1");
    host.sh("sed -i '$d' /etc/caddy/Caddyfile");
    // A commit that was begun has one end only.
    assert!(host.killed_at(("unlinkat", 2), &["restore", "commit"]).is_none());
    host.tool(&["restore", "--abort"]).exits(9).says("restore commit");
    host.tool(&["restore", "commit"]).exits(0);
    is_old(&host);
    nothing_is_left_over(&host);
    host.comes_to_rest();
}

/// Another uid, another range of subordinate ids, another user namespace mode, another name, and the next
/// Debian with another major of PostgreSQL.
#[test]
fn an_empty_host_becomes_the_one_that_was_backed_up() {
    let old = Host::installed();
    fill(&old, 2);
    marked(&old);
    old.sql("INSERT INTO authentik_brands_brand VALUES ('auth.lab.example', false)");
    // Who may read what, said by numbers: one that both hosts know, and one that may be anybody there.
    let icons = "cd /var/lib/authentik/data/media/public/icons";
    old.sh(&format!("{icons}; setfacl -m u:$(stat -c %u t1):rw,u:2:r t2; chmod g+s ."));
    old.sh("install -d -m 755 /etc/authentik/tls/live; echo pem >/etc/authentik/tls/live/cert.pem");
    create(&old, &[]).exits(0);
    old.tool(&["backup", "export", "latest", "/var/lib/lab/carried.tar"]).exits(0);
    old.tool(&["backup", "export", "latest", "/var/lib/lab/carried.tar"])
        .exits(2)
        .says("another name");
    let carried = old.folder("varlib").join("lab/carried.tar");
    let key = old.sh("cat /etc/authentik/secrets/secret_key");
    let t1 = old.sh("sha256sum </var/lib/authentik/data/media/public/icons/t1");
    let kept = std::env::temp_dir().join(format!("carried-{}", std::process::id()));
    std::fs::copy(carried, &kept).unwrap();
    let major = old.major();
    drop(old);

    let new = Host::boot("sid");
    std::fs::copy(&kept, new.folder("varlib").join("lab/carried.tar")).unwrap();
    std::fs::remove_file(&kept).unwrap();
    new.sh("for i in 1 2 3; do useradd --system other$i; done; useradd -m somebody; grep -q ^somebody /etc/subuid || usermod --add-subuids 400000-465535 --add-subgids 400000-465535 somebody");
    // On the next Debian the next PostgreSQL is usual; where all is of it, the same.
    assert!(new.major() > major || std::env::var_os("AUTHENTIK_INSTALL_SUITE").is_some());
    let is_bare = || {
        let look = new.tool(&["restore", "/var/lib/lab/carried.tar", "--dry-run"]);
        look.exits(0).says("on which nothing is installed");
    };
    is_bare();
    new.sh("test -z \"$(ls -A /var/backups/authentik)\" && ! id authentik 2>/dev/null");
    let args = [
        "restore",
        "/var/lib/lab/carried.tar",
        "--yes",
        "--user-namespace",
        "keep-id",
        "--domain",
        "login.lab.example",
        "--image-archive",
        "/var/lib/lab/image.tar",
        "--deadline",
        "180",
    ];
    // Killed, or failing at its end, it leaves nothing that runs, and nothing that passes for an installation.
    for moment in [("fsync", 25), ("renameat2", 9)] {
        assert!(new.killed_at(moment, &args).is_none(), "{moment:?}");
        new.tool(&["restore", "--abort"]);
        is_bare();
    }
    new.sh("systemd-run -q --unit taken sh -c 'until test -e /etc/authentik/secrets/secret_key; do sleep 0.05; done; exec caddy respond --listen 127.0.0.1:9000'");
    assert_ne!(new.tool(&args).says("going back").code, 0);
    new.sh("systemctl stop taken");
    assert_eq!(new.podman("ps -q").exits(0).out, "");
    assert_eq!(new.sh("systemctl list-unit-files --no-legend 'authentik*timer' || true"), "");
    is_bare();
    let restored = new.tool(&args);
    let restored = restored.exits(0).says("passkeys").says(&format!("The name was {DOMAIN}"));
    assert!(restored.out.contains("https://login.lab.example/"), "{}", restored.out);
    assert!(
        restored.err.contains("host:2 of its access list means nothing here"),
        "{}",
        restored.err
    );
    let access = new.sh(&format!("{icons}; getfacl -cp t2 | grep ^user:[^:]; stat -c %a ."));
    assert_eq!(access, "user:authentik:rw-\n2755\n");
    new.comes_to_rest();
    assert_eq!((mark(&new), settings(&new)), ("old".into(), "old\n# old\n".into()));
    assert_eq!(new.sh("cat /etc/authentik/secrets/secret_key"), key);
    assert_eq!(new.sh("sha256sum </var/lib/authentik/data/media/public/icons/t1"), t1);
    assert_eq!(
        new.sh("cd /etc/authentik/tls; cat live/cert.pem; stat -c '%a %U' . live"),
        "pem\n755 root\n755 root\n"
    );
    // In this mode the image's user is the service user itself.
    assert_eq!(
        new.sh("stat -c %U /var/lib/authentik/data/media/public/icons/t1").trim(),
        "authentik"
    );
    let wrote = new.podman("exec authentik-server sh -c 'echo x >/data/media/written && cat /data/media/public/icons/t1 | wc -c'");
    assert_eq!(wrote.exits(0).out.trim(), "500000");
    let brands = "SELECT string_agg(domain, ' ' ORDER BY domain) FROM authentik_brands_brand";
    assert_eq!(new.sql(brands), "authentik-default login.lab.example");
    new.tool(&["verify"]).exits(0);
    new.tool(&["restore", "commit"]).exits(0);
    nothing_is_left_over(&new);
    new.tool(&["plan", "--exit-code"]).exits(0);
}
