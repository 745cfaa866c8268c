//! A compromised container, which is the user authentik, plants what it can wherever root comes by. With
//! `tests/run --full`.

use crate::lab::{Host, assert_same};
use crate::sweeps::wanted;

/// Root's own things, which nothing that is planted may lead to: names, owners, modes, contents, times.
fn canaries(host: &Host) -> String {
    host.sh(
        "find /root/canary /srv/victim /var/lib/victim /etc/passwd /etc/shadow /etc/sudoers.d -printf '%p %y %m %U %G %s %T@\\n'; \
         find /root/canary /srv/victim /var/lib/victim /etc/shadow -type f -exec sha256sum {} +",
    )
}

/// None of these hangs, whatever it finds; what it says of it is its own affair.
fn nobody_is_led_astray(host: &Host, planted: &str, verbs: &[&str]) {
    let before = canaries(host);
    for verb in verbs {
        let line = format!(
            "timeout -s KILL 150 /var/lib/lab/authentik-install {verb} >/run/out 2>&1; echo $?"
        );
        let code = host.sh(&line);
        assert_ne!(code.trim(), "137", "{verb} hangs with {planted}");
        assert!(!host.sh("cat /run/out").contains("panicked"), "{verb} with {planted}");
        let told = host.sh("cat /run/out");
        assert!(
            !told.contains("canary-4711"),
            "{verb} with {planted} tells what is root's: {told}"
        );
        assert_same(&before, &canaries(host));
    }
}

/// As the user, within the namespace in which the container's own files are its.
fn plants(host: &Host, line: &str) {
    host.as_service_user(&format!("exec podman unshare sh -c '{line}'")).exits(0);
}

const DATA: &str = "/var/lib/authentik/data";
const HOME: &str = "/var/lib/authentik/home";

#[test]
fn what_is_planted_leads_nowhere() {
    if !wanted("what is planted") {
        return;
    }
    let host = Host::installed();
    host.sh("mkdir -p /srv/victim; for f in /root/canary /srv/victim/file; do echo canary-4711 >$f; chmod 600 $f; done; sleep 1");
    let all = [
        "check",
        "plan",
        "install --yes --deadline 30",
        "verify --deadline 30",
        "backup create",
        "status",
        "doctor --output /run/doctor.tar.zst",
    ];

    plants(
        &host,
        &format!(
            "mkfifo {DATA}/fifo {DATA}/media/fifo; ln -s /root/canary {DATA}/media/link; ln -s /srv/victim {DATA}/folder"
        ),
    );
    // A second name of a file that is root's, on the same file system, which that one could write to.
    host.sh("mkdir -m 755 /var/lib/victim; echo canary-4711 >/var/lib/victim/file; chmod 666 /var/lib/victim/file");
    host.as_service_user(&format!(
        "mkdir -p {HOME}/links && ln /var/lib/victim/file {HOME}/links/hard"
    ))
    .exits(0);
    plants(
        &host,
        &format!("ln /var/lib/victim/file {DATA}/hard; ln /var/lib/victim/file {DATA}/media/hard"),
    );
    host.sh(&format!("test $(stat -c %h /var/lib/victim/file) = 4; chmod 600 /var/lib/victim/file; ls {DATA}/hard"));
    host.as_service_user(&format!("mkfifo {HOME}/fifo; mkdir -p {HOME}/.config/systemd; ln -s /srv/victim {HOME}/.config/systemd/user; ln -sfn /root/canary {HOME}/.bashrc")).exits(0);
    nobody_is_led_astray(&host, "links and fifos", &all);
    let archived = host.sh("cd /var/backups/authentik; zstd -dc */data.tar.zst | tar t | sort -u; zstd -dc */data.tar.zst | grep -ac canary-4711 || true");
    assert!(!archived.contains("victim/file") && archived.ends_with("\n0\n"), "{archived}");

    // Where uploads are, and a folder of Podman's, lead elsewhere.
    plants(&host, &format!("mv {DATA}/media {DATA}/away; ln -s /srv/victim {DATA}/media"));
    nobody_is_led_astray(&host, "a swapped folder", &all);
    plants(&host, &format!("rm {DATA}/media; mkfifo {DATA}/media"));
    nobody_is_led_astray(
        &host,
        "a fifo for a folder",
        &["check", "plan", "install --yes --deadline 30", "backup create"],
    );
    plants(&host, &format!("rm {DATA}/media; mv {DATA}/away {DATA}/media"));
    let pause = "/run/user/$(id -u)/libpod/tmp/pause.pid";
    host.as_service_user(&format!(
        "cp {pause} /run/user/$(id -u)/kept; rm {pause}; mkfifo {pause}"
    ))
    .exits(0);
    nobody_is_led_astray(
        &host,
        "a fifo for a process id",
        &["check", "verify --deadline 30", "plan"],
    );
    host.as_service_user(&format!("rm {pause}; ln -s /root/canary {pause}")).exits(0);
    nobody_is_led_astray(
        &host,
        "a link for a process id",
        &["check", "verify --deadline 30", "plan"],
    );
    host.as_service_user(&format!("rm {pause}; mv /run/user/$(id -u)/kept {pause}")).exits(0);

    // While root is at work, names become other things again and again.
    plants(
        &host,
        &format!(
            "nohup setsid sh -c \"while test -e {DATA}; do mv {DATA}/media {DATA}/m; ln -s /srv/victim {DATA}/media; rm {DATA}/media; mkfifo {DATA}/media; rm {DATA}/media; mv {DATA}/m {DATA}/media; done\" >/dev/null 2>&1 &"
        ),
    );
    host.as_service_user(&format!("nohup setsid sh -c 'mkdir -p {HOME}/a/b/c; while test -e {HOME}; do mv {HOME}/a {HOME}/z; ln -s /srv/victim {HOME}/a; rm {HOME}/a; mv {HOME}/z {HOME}/a; mkdir -p {HOME}/a/b/c; touch {HOME}/a/b/c/file; done' >/dev/null 2>&1 &")).exits(0);
    nobody_is_led_astray(
        &host,
        "names that change",
        &["check", "install --yes --deadline 30", "backup create", "plan"],
    );
    nobody_is_led_astray(
        &host,
        "names that change",
        &["uninstall --yes --delete-data=auth.lab.example"],
    );
    host.sh(
        "pkill -KILL -u authentik || true; pkill -KILL -f '[m]kfifo /var/lib/authentik' || true",
    );
    host.tool(&["uninstall", "--yes", "--delete-data=auth.lab.example"]).exits(0);
    host.sh("! test -e /var/lib/authentik; ! getent passwd authentik");
}
