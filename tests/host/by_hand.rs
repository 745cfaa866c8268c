//! What stands in RESTORE.txt, line by line, where this program is not.

use crate::backup::{SHARED, create, fill, id};
use crate::lab::{Host, outside};

/// The lines that are to be typed, without the one for those who have the program.
fn typed(guide: &str) -> String {
    let lines = guide.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| !line.contains("authentik-install"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn an_empty_host_becomes_the_one_that_was_backed_up_by_hand() {
    let old = Host::installed();
    fill(&old, 2);
    old.sql(
        "CREATE TABLE lab_mark AS SELECT 'old' AS mark; ALTER TABLE lab_mark OWNER TO authentik",
    );
    old.sh(&format!(
        "install -d -m 700 {SHARED}; cd /var/lib/authentik/data/media/public/icons; setfacl -m u:bin:r t2; cd /var/lib/authentik/certs; echo pem >own.pem; chgrp authentik own.pem; chmod 640 own.pem"
    ));
    let backup = id(&create(&old, &["--dir", SHARED]).exits(0));
    let key = old.sh("cat /etc/authentik/secrets/secret_key");
    let t1 = old.sh("sha256sum </var/lib/authentik/data/media/public/icons/t1");

    let new = Host::boot("full");
    let line = format!(
        "cp -a {} {}",
        old.folder("varlib").join("lab/backups").join(&backup).display(),
        new.folder("varlib").join("lab/carried").display()
    );
    outside(&["sh".into(), "-c".into(), line]).exits(0);
    drop(old);
    let guide = new.sh("cat /var/lib/lab/carried/RESTORE.txt");
    // No registry is within reach here: the image comes from a file.
    let pull = "podman pull ghcr.io/goauthentik/server:2026.8.3";
    assert!(guide.contains(pull), "{guide}");
    let lines = typed(&guide).replace(pull, "podman load -q -i /var/lib/lab/image.tar");
    let script = format!("set -euxo pipefail\ncd /var/lib/lab/carried\n{lines}");
    std::fs::write(new.folder("varlib").join("lab/by-hand"), script).unwrap();
    new.run(&["bash", "/var/lib/lab/by-hand"]).exits(0);

    new.wait_ready();
    assert_eq!(new.public("/if/flow/default-authentication-flow/"), "200");
    assert_eq!(new.sql("SELECT mark FROM lab_mark"), "old");
    assert_eq!(new.sh("cat /etc/authentik/secrets/secret_key"), key);
    assert_eq!(new.sh("sha256sum </var/lib/authentik/data/media/public/icons/t1"), t1);
    assert!(
        new.sh("getfacl -ncp /var/lib/authentik/data/media/public/icons/t2").contains("user:2:r")
    );
    let wrote = new.podman(
        "exec authentik-server sh -c 'echo x >/data/media/written && cat /data/media/written'",
    );
    assert_eq!(wrote.exits(0).out.trim(), "x");
    assert_eq!(new.podman("exec authentik-worker cat /certs/own.pem").exits(0).out, "pem\n");
    // Who can read the secrets is who could before.
    assert_eq!(
        new.sh("stat -c '%U:%G %a' /etc/authentik/secrets/secret_key"),
        "root:authentik 640\n"
    );
}
