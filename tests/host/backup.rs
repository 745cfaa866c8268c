//! `backup`: whole, proven, and honest about what it could not read; whatever fails meanwhile.

use crate::lab::{Answer, Host, outside};
use crate::scheduled::teller;
use serde_json::Value;
use std::path::PathBuf;

pub const DIR: &str = "/var/backups/authentik";
/// One that can be reached from outside while the host runs.
pub const SHARED: &str = "/var/lib/lab/backups";

pub fn create(host: &Host, more: &[&str]) -> Answer {
    host.tool(&[&["backup", "create", "--json"][..], more].concat())
}

pub fn id(answer: &Answer) -> String {
    let made: Value = serde_json::from_str(&answer.out).expect("JSON");
    made["id"].as_str().unwrap().to_owned()
}

fn names(host: &Host, dir: &str) -> Vec<String> {
    host.sh(&format!("ls -A {dir}")).lines().map(str::to_owned).collect()
}

fn shell(line: &str) -> Answer {
    outside(&["sh".into(), "-c".into(), line.into()])
}

/// Files as authentik keeps them: half text, half random.
pub fn fill(host: &Host, megabytes: u32) {
    host.sh(&format!(
        "M=/var/lib/authentik/data/media; U=$(stat -c %u $M); mkdir -p $M/public/icons
         for i in $(seq {megabytes}); do head -c 500000 /dev/urandom >$M/public/icons/r$i; seq $i 199999 | head -c 500000 >$M/public/icons/t$i; done
         ln -s r1 $M/public/icons/link; chown -hR $U:$U $M/public"
    ));
}

#[test]
fn a_backup_is_whole_and_says_what_it_holds() {
    let host = Host::installed();
    fill(&host, 3);
    host.sh(&format!("install -d -m 700 {SHARED}"));
    let dir = ["--dir", SHARED];
    let backup = |args: &[&str]| host.tool(&[&["backup"][..], args, &dir].concat());
    let made = create(&host, &["--tag", "first", "--dir", SHARED]).exits(0);
    let first = id(&made);
    let at = format!("{SHARED}/{first}");
    host.sh(&format!("cd {at} && sha256sum -c SHA256SUMS >/dev/null"));
    assert_eq!(
        host.sh(&format!("stat -c %a%U {SHARED} {at} {at}/config.tar.zst")),
        "700root\n700root\n600root\n"
    );
    backup(&["list"]).exits(0).says(&format!("{first}  whole")).says("first");
    let manifest: Value =
        serde_json::from_str(&backup(&["show", "latest", "--json"]).exits(0).out).unwrap();
    let fact = |pointer: &str| manifest.pointer(pointer).unwrap().to_string().replace('"', "");
    let digest =
        host.sh("grep -ho 'sha256:.*' /etc/containers/systemd/users/*/authentik-server.container");
    for (pointer, wanted) in [
        ("/host", host.sh("uname -n")),
        ("/domain", crate::lab::DOMAIN.to_owned()),
        ("/authentik/version", "2026.8.3".to_owned()),
        ("/authentik/migrated_by", "2026.8.3".to_owned()),
        ("/authentik/digest", digest),
        ("/postgresql/version", host.sql("SHOW server_version_num")),
        ("/postgresql/role", "authentik".to_owned()),
        ("/postgresql/encoding", "UTF8".to_owned()),
        ("/postgresql/schemas", "[public,template]".to_owned()),
        ("/user_namespace", "host".to_owned()),
    ] {
        assert_eq!(fact(pointer), wanted.trim(), "{pointer}");
    }
    let trees: Vec<&str> = manifest["trees"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tree| tree["name"].as_str())
        .collect();
    let all =
        ["data", "templates", "certs", "blueprints", "etc", "units", "boot", "site", "ledger"];
    assert_eq!(trees, all);
    let rows = &manifest["postgresql"]["rows"];
    assert_eq!(rows["public.authentik_core_user"], 1, "{rows}");
    let file = manifest["files"].as_array().unwrap().iter();
    let file = file.clone().find(|row| row["path"] == "data/media/public/icons/t1").unwrap();
    assert_eq!(
        (file["owner"].as_str(), file["bytes"].as_u64()),
        (Some("container:1000"), Some(500_000))
    );
    let sum = host.sh("sha256sum </var/lib/authentik/data/media/public/icons/t1");
    assert!(sum.starts_with(file["sha256"].as_str().unwrap()));

    backup(&["verify"]).exits(0).says("whole");
    backup(&["verify", &first, "--deep"]).exits(0).says("proven");
    backup(&["list"]).exits(0).says("proven");
    // Nothing of the proof is left.
    assert_eq!(host.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%proof%'"), "0");
    assert_eq!(names(&host, SHARED), [first.as_str()]);

    // With PostgreSQL, tar and zstd alone.
    let guide = host.sh(&format!("cat {at}/RESTORE.txt"));
    assert!(guide.contains("zstd -dc db.dump.zst | runuser -u postgres -- pg_restore"), "{guide}");
    let shared = host.folder("varlib").join("lab");
    let backups = shared.join("backups").join(&first);
    shell(&format!(
        "cd {} && zstd -qdc db.dump.zst >{1}/dump && zstd -qdc data.tar.zst >{1}/data.tar && zstd -qdc config.tar.zst >{1}/config.tar",
        backups.display(),
        shared.display()
    ))
    .exits(0);
    host.sh("cd /var/lib/lab; runuser -u postgres -- createdb -O authentik -T template0 -E UTF8 byhand
        runuser -u postgres -- pg_restore --exit-on-error --single-transaction --no-owner --no-acl --role=authentik -d byhand <dump
        mkdir /root/x && tar -C /root/x -xf data.tar && cmp /root/x/data/media/public/icons/r2 /var/lib/authentik/data/media/public/icons/r2
        tar -C /root/x -xf config.tar && cmp /root/x/etc/secrets/secret_key /etc/authentik/secrets/secret_key && test -s /root/x/units/authentik.pod");
    let users = host.sh(
        "runuser -u postgres -- psql -XAtqd byhand -c 'SELECT username FROM authentik_core_user'",
    );
    assert_eq!(users.trim(), "akadmin");

    // Each flipped bit is found: in the parts, the manifest, the sums and the guide.
    let mut found = 0;
    for n in 0..100_u64 {
        let files = [
            "db.dump.zst",
            "data.tar.zst",
            "config.tar.zst",
            "manifest.json",
            "SHA256SUMS",
            "RESTORE.txt",
        ];
        let path: PathBuf = backups.join(files[usize::try_from(n).unwrap() % files.len()]);
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        // Spread over all of it.
        let at = usize::try_from(n * 2_654_435_761).unwrap() % bytes.len();
        bytes[at] ^= 1 << (n % 8);
        std::fs::write(&path, &bytes).unwrap();
        found += u32::from(backup(&["verify", &first]).code == 8);
        std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(found, 100, "flipped bits that were found");
    for part in ["db.dump.zst", "data.tar.zst", "config.tar.zst"] {
        let path = backups.join(part);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        backup(&["verify", &first]).exits(8).says(part);
        backup(&["verify", &first, "--deep"]).exits(8);
        host.tool(&["restore", &first, "--yes", "--dir", SHARED]).exits(8).says(part);
        std::fs::write(&path, &whole).unwrap();
    }
    backup(&["verify", &first, "--deep"]).exits(0);

    // A newer one is named as such; one that is not there too.
    host.sh(&format!("cd {at}; sed -i 's/\"format\": 1/\"format\": 99/' manifest.json"));
    backup(&["show", &first]).exits(8).says("format 99");
    backup(&["show", "nothing"]).exits(9).says("backup list");
}

#[test]
fn whatever_files_do_the_backup_stays_whole() {
    let host = Host::installed();
    fill(&host, 60);
    let media = "/var/lib/authentik/data/media";
    host.sh(&format!(
        "cd {media}; mkfifo pipe; ln -s /etc/shadow stolen; printf x >$(printf 'bad\\377name'); U=$(stat -c %u .); chown -h $U:$U pipe stolen
         systemd-run -q --unit busy sh -c 'cd {media}; while :; do seq 9999 >shrinks; : >shrinks; echo x >comes; rm comes; done'
         systemd-run -q --unit rows sh -c 'cd /; runuser -u postgres -- psql -qd authentik -c \"CREATE TABLE many (i int)\"
           yes \"INSERT INTO many VALUES (1);\" | runuser -u postgres -- psql -qd authentik'
         systemd-run -q --unit busier sh -c 'cd {media}; while :; do head -c 500000 /dev/zero; sleep 0.01; done >>grows'; sleep 3"
    ));
    let made = create(&host, &[]).exits(7);
    for name in ["grows", "pipe", "name", "stolen"] {
        assert!(made.err.contains(name), "{name}: {}", made.err);
    }
    host.sh("systemctl stop busy busier rows");
    assert_ne!(host.sql("SELECT count(*) FROM many"), "0");
    // Readable to its end, of one moment, and each file is what its sum says.
    host.tool(&["backup", "verify", "latest", "--deep"]).exits(0).says("proven");
    // A link within its folder is kept, one that leads out is named and left out.
    let manifest = host.tool(&["backup", "show", "latest", "--json"]).exits(0).out;
    assert!(
        manifest.contains("\"target\": \"r1\"")
            && !manifest.contains("\"target\": \"/etc/shadow\"")
    );
    let held = host.tool(&["backup", "show", "latest"]).exits(0).out;
    assert!(held.contains("warning"), "{held}");

    // With authentik standing still meanwhile, and running again afterwards.
    host.sh(&format!("cd {media}; rm -rf pipe stolen grows bad*"));
    let stopped = "systemctl --user show -p InactiveEnterTimestampMonotonic authentik-server";
    let before = host.as_service_user(stopped).out;
    let quiet = host.tool(&["backup", "--quiesce"]).exits(0).says("stands still");
    assert_ne!(host.as_service_user(stopped).out, before, "{}", quiet.err);
    host.comes_to_rest();
    host.tool(&["backup", "show", "latest", "--json"]).exits(0).says("\"quiesced\": true");
}

#[test]
fn a_backup_that_cannot_be_made_leaves_nothing() {
    let host = Host::installed();
    fill(&host, 6);
    let good = id(&create(&host, &[]).exits(0));
    let (mut injected, mut detected) = (0, 0);
    let mut fails = |what: &str, answer: Answer, dir: &str, left: &[&str]| {
        injected += 1;
        let told = matches!(answer.code, 1 | 3 | 6) && answer.err.contains("next: ");
        assert!(told, "{what}: {} {}", answer.code, answer.err);
        assert_eq!(names(&host, dir), left, "{what}");
        detected += 1;
    };

    // The disk is full at every part, and at the last bytes.
    host.sh("mkdir -p /mnt/small");
    let parts =
        host.sh(&format!("cd {DIR}/{good}; stat -c %s db.dump.zst data.tar.zst config.tar.zst"));
    let parts: Vec<u64> = parts.lines().map(|bytes| bytes.parse().unwrap()).collect();
    let [db, data, config] = parts[..] else { panic!("{parts:?}") };
    for size in [4096, db / 2, db + data / 2, db + data + config / 2, db + data + config] {
        host.sh(&format!("mount -t tmpfs -o mode=700,size={size} small /mnt/small"));
        fails(&format!("{size} bytes"), create(&host, &["--dir", "/mnt/small"]), "/mnt/small", &[]);
        host.sh("umount /mnt/small");
    }
    host.sh("mount -t tmpfs -o mode=700,size=50m small /mnt/small; mount -o remount,ro /mnt/small");
    fails("read-only", create(&host, &["--dir", "/mnt/small"]), "/mnt/small", &[]);
    host.sh("mount -o remount,rw /mnt/small");
    create(&host, &["--dir", "/mnt/small"]).exits(0);
    host.sh("umount /mnt/small; chmod 777 /mnt/small");
    fails("others can write", create(&host, &["--dir", "/mnt/small"]), "/mnt/small", &[]);
    fails("missing", create(&host, &["--dir", "/mnt/none"]), DIR, &[&good]);

    // A lock holds the dump; meanwhile it is killed, the server is stopped, we are killed.
    let held = "systemd-run -q --unit held -p User=postgres psql -d authentik -c 'BEGIN; LOCK authentik_install_id; SELECT pg_sleep(600)'; \
        for i in $(seq 300); do runuser -u postgres -- psql -XAtqc \"SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'\" | grep -q 1 && exit 0; sleep 0.1; done; exit 1";
    let during = |act: &str| {
        host.sh(held);
        host.sh("systemd-run -q --unit made -p StandardError=truncate:/run/made /var/lib/lab/authentik-install backup create; \
            for i in $(seq 300); do pgrep -x pg_dump >/dev/null && exit 0; sleep 0.1; done; exit 1");
        host.sh(&format!("{act} || true"));
        host.sh("for i in $(seq 600); do systemctl is-active -q made || exit 0; sleep 0.2; done; exit 1");
        let err = host.sh("cat /run/made");
        let code = host.sh("systemctl show -p ExecMainStatus --value made").trim().parse().unwrap();
        // A server does not notice that a sleeping client is gone.
        host.sh("systemctl stop held 2>/dev/null; systemctl reset-failed made held 2>/dev/null; \
            runuser -u postgres -- psql -qc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()\" >/dev/null 2>&1; true");
        Answer { code, out: String::new(), err }
    };
    let killed = during("pkill -KILL -x pg_dump");
    assert!(killed.err.contains("pg_dump ended with SIGKILL"), "{}", killed.err);
    fails("pg_dump killed", killed, DIR, &[&good]);
    let stopped = during("systemctl stop postgresql@$PG-main");
    fails("PostgreSQL stopped meanwhile", stopped, DIR, &[&good]);
    fails("PostgreSQL stopped before", create(&host, &[]), DIR, &[&good]);
    host.sh("systemctl start postgresql@$PG-main");
    host.wait_ready();

    // Another run at the same time waits for nobody, and names who it is.
    let busy = during(
        "/var/lib/lab/authentik-install backup create 2>/run/second; echo $? >>/run/second; pkill -KILL -x pg_dump",
    );
    fails("two at once", busy, DIR, &[&good]);
    let second = host.sh("cat /run/second");
    assert!(
        second.contains("another run holds it: backup") && second.trim().ends_with('6'),
        "{second}"
    );

    // Killed: what is left is swept by the next one, and was never taken for a backup.
    during("pkill -KILL -x authentik-insta; pkill -x pg_dump");
    let left = names(&host, DIR);
    assert!(left.iter().any(|name| name.starts_with(".partial-")), "{left:?}");
    assert_eq!(host.tool(&["backup", "list"]).exits(0).out.lines().count(), 1);
    create(&host, &[]).exits(0);
    assert!(names(&host, DIR).iter().all(|name| !name.starts_with('.')));

    host.tool(&["backup", "verify", &good]).exits(0);
    eprintln!("faults: {} injected, {} detected, 0 lost", injected + 1, detected + 1);
    assert_eq!(host.sql("SELECT 1"), "1");
}

/// As the timer runs it, under its sandbox; and what `verify` and the metrics say.
#[test]
fn the_timer_makes_and_proves_and_throws_away() {
    let host = Host::installed();
    teller(&host);
    host.sh("mkdir -p /var/lib/metrics");
    let set = [
        "install",
        "--yes",
        "--set",
        "notify.command=/usr/local/bin/tell",
        "--set",
        "backup.prometheus_file=/var/lib/metrics/backup.prom",
        "--set",
        "backup.keep_daily=2",
        "--set",
        "backup.keep_weekly=0",
        "--set",
        "backup.keep_monthly=0",
        "--set",
        "backup.keep_last=1",
    ];
    host.tool(&set).exits(0).says("backups are not encrypted");
    host.tool(&["verify", "--only", "backups", "--all"]).exits(0).says("there is none yet");
    fill(&host, 2);
    host.sh("systemctl start authentik-backup");
    host.sh("systemctl start authentik-backup-proof");
    for unit in ["authentik-backup", "authentik-backup-proof"] {
        let line = format!("systemd-analyze security --no-pager {unit}.service | tail -n 1");
        let score = host.sh(&line);
        let number = score.split_whitespace().find_map(|word| word.parse::<f64>().ok());
        assert!(number.is_some_and(|score| score <= 2.5), "{score}");
    }
    let timers = "systemctl show -p TimersCalendar -p Persistent authentik-backup.timer authentik-backup-proof.timer";
    let timers = host.sh(timers);
    for words in ["OnCalendar=*-*-* 04:15:00 ;", "OnCalendar=Sun *-*-01..07 05:30:00 ;"] {
        assert!(timers.contains(words), "{words} in {timers}");
    }
    assert_eq!(timers.matches("Persistent=yes").count(), 2, "{timers}");
    host.tool(&["install", "--yes", "--set", "backup.schedule=*-*-* 02:30"])
        .exits(0)
        .says("comes twice or not at all");
    host.tool(&["install", "--yes", "--set", "backup.schedule=*-*-* 04:15"]).exits(0);
    let metrics = host.sh("cat /var/lib/metrics/backup.prom");
    for name in [
        "timestamp_seconds",
        "size_bytes",
        "duration_seconds",
        "proven_timestamp_seconds",
        "last_run_failed 0",
    ] {
        assert!(metrics.contains(&format!("authentik_install_backup_{name}")), "{name}: {metrics}");
    }
    host.tool(&["status"]).exits(0).says("backup      20");
    host.tool(&["backup", "schedule"]).exits(0).says("last run    success");
    host.tool(&["verify", "--only", "backups"]).exits(0);

    // Nights pass: by the calendar two are kept, and the newest that is proven.
    let newest = host.sh(&format!("ls {DIR}")).trim().to_owned();
    for (day, proven) in [(9, true), (8, false), (7, false), (6, false)] {
        let old = host
            .sh(&format!("date -u -d '{day} days ago' +%Y%m%dT041500Z-0000ab"))
            .trim()
            .to_owned();
        host.sh(&format!("cp -a {DIR}/{newest} {DIR}/{old}"));
        if !proven {
            host.sh(&format!("rm {DIR}/{old}/proof.json"));
        }
    }
    host.sh(&format!("rm {DIR}/{newest}/proof.json; cp -a {DIR}/{newest} {DIR}/20200101T000000Z-0000cd; rm {DIR}/20200101T000000Z-0000cd/manifest.json;
        cp -a {DIR}/{newest} {DIR}/20200102T000000Z-0000cd; rm {DIR}/20200102T000000Z-0000cd/db.dump.zst"));
    host.tool(&["backup", "list"]).exits(0).says("db.dump.zst is missing");
    let dry = host.tool(&["backup", "prune", "--dry-run"]).exits(0).out;
    let count = |text: &str, word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count(&dry, "keep"), count(&dry, "delete")), (5, 2), "{dry}");
    assert!(dry.contains("the newest that is proven") && dry.contains("damaged"), "{dry}");
    host.tool(&["verify", "--only", "backups"]).exits(5).says("backup-whole");
    assert_eq!(names(&host, DIR).len(), 7);
    host.tool(&["backup", "prune"]).exits(0);
    assert_eq!(names(&host, DIR).len(), 5);
    host.sh(&format!("rm -r {DIR}/2020010*"));

    // A night that fails throws nothing away, is told, and is seen.
    let before = names(&host, DIR);
    host.sh("systemctl stop postgresql@$PG-main; systemctl start authentik-backup || true");
    assert_eq!(names(&host, DIR), before);
    let told = host.sh("cat /run/told");
    assert!(told.contains("\"event\":\"backup\"") && told.contains("no backup was made"), "{told}");
    assert!(host.sh("cat /var/lib/metrics/backup.prom").contains("last_run_failed 1"));
    host.sh("systemctl start postgresql@$PG-main");
    host.tool(&["verify", "--only", "backups"])
        .exits(5)
        .says("backup-run: the last one ended with exit-code");
    host.sh("systemctl start authentik-backup");
    host.tool(&["verify", "--only", "backups"]).exits(0);

    // Metrics that nobody can write are no reason for no backup.
    host.sh("rm -r /var/lib/metrics; systemctl start authentik-backup; systemctl start authentik-backup-proof; mkdir /var/lib/metrics");

    // Too old, too little room, no folder.
    let rows = |id: &str| crate::verify::levels(&host, &["--only", "backups"]).remove(id).unwrap();
    host.sh(&format!("cd {DIR}; for i in *; do mv $i $(date -u -d '3 days ago' +%Y%m%dT%H%M%SZ)-$(echo $i | tail -c 7); done; ls | tail -n +2 | xargs rm -r"));
    assert_eq!(rows("backup-age").0, "fail");
    host.sh(&format!("mv {DIR} {DIR}.x"));
    assert_eq!(rows("backup-space").0, "fail");
    host.sh(&format!("mv {DIR}.x {DIR}; mount -t tmpfs -o mode=700,size=40k small {DIR}; cp -a {DIR}/../authentik {DIR} 2>/dev/null; umount {DIR}"));
    host.sh("systemctl start authentik-backup");
    assert_eq!(rows("backup-age").0, "ok");
}
