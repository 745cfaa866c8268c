//! Killed at every n-th call. It takes long: only with `tests/run --full`.

use crate::backup::{create, fill, id};
use crate::lab::Host;
use crate::restore::{change, is_new, marked, nothing_is_left_over};

pub fn is_full() -> bool {
    std::env::var_os("AUTHENTIK_INSTALL_FULL").is_some()
}

pub fn wanted(what: &str) -> bool {
    if !is_full() {
        eprintln!("{what}: only with --full");
    }
    is_full()
}

// Each of the first ones, then ever wider steps.
fn moments() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(1), |when| Some(when + 1 + when / 10))
}

#[test]
fn a_backup_killed_anywhere_is_none_and_harms_none() {
    if !wanted("backups killed") {
        return;
    }
    let host = Host::installed();
    fill(&host, 6);
    let good = id(&create(&host, &[]).exits(0));
    let mut kills = 0;
    for syscall in ["write", "fsync", "renameat2", "openat2", "clone3"] {
        for when in moments() {
            if host.killed_at((syscall, when), &["backup", "create"]).is_some() {
                break;
            }
            kills += 1;
            // Whatever is called a backup is one.
            host.tool(&["backup", "verify", "--json"]).exits(0).says(&good);
            let list = host.tool(&["backup", "list"]).exits(0).out;
            if list.lines().count() > 4 {
                host.sh(&format!("cd /var/backups/authentik; ls | grep -v {good} | xargs rm -r"));
            }
        }
    }
    create(&host, &[]).exits(0);
    let left = host.sh("ls -A /var/backups/authentik");
    assert!(left.lines().all(|name| !name.starts_with('.')), "{left}");
    host.tool(&["backup", "verify", &good, "--deep"]).exits(0);
    eprintln!("backup: {kills} kills, 0 bad ends");
}

#[test]
fn a_restore_killed_anywhere_leads_to_a_whole_state() {
    if !wanted("restores killed") {
        return;
    }
    let host = Host::installed();
    fill(&host, 1);
    marked(&host);
    let backup = id(&create(&host, &[]).exits(0));
    change(&host);
    let args = ["restore", &backup, "--yes", "--no-safety-backup", "--deadline", "120"];
    let mut kills = 0;
    for syscall in ["renameat2", "unlinkat", "fsync", "openat2"] {
        for when in moments() {
            let ended = host.killed_at((syscall, when), &args).is_some();
            if host.run(&["test", "-e", "/var/lib/authentik/restore.json"]).code == 0 {
                // What ran still may: nothing is exchanged before it is stopped.
                host.as_service_user("systemctl --user stop authentik-pod; systemctl --user start authentik-server authentik-worker");
                let running = host.podman("ps -q --filter name=authentik-server").exits(0).out;
                assert_eq!(running, "", "half of each runs after {syscall} {when}");
            }
            let abort = host.tool(&["restore", "--abort"]);
            assert!(matches!(abort.code, 0 | 9), "{syscall} {when}: {}", abort.err);
            is_new(&host);
            nothing_is_left_over(&host);
            if ended {
                break;
            }
            kills += 1;
        }
    }
    host.comes_to_rest();
    host.tool(&["plan", "--exit-code"]).exits(0);
    eprintln!("restore: {kills} kills, 0 bad ends");
}
