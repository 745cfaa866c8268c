//! Killed at any moment, the next run finishes.

use crate::lab::{Host, INSTALL, assert_same};
use crate::sweeps::wanted;
use std::time::Duration;

/// SIGKILL at the n-th write into place or program start, ten times on one host, each run going on
/// where the one before was killed; then the host is as a clean one.
#[test]
fn ten_kills_and_one_more_run() {
    let host = Host::boot("full");
    let mut killed = 0;
    // strace counts each thread's own calls; all of these are made by the main one.
    let moments = [
        ("renameat2", 1),
        ("clone", 30),
        ("renameat2", 5),
        ("fsync", 8),
        ("clone", 45),
        ("renameat2", 5),
        ("renameat2", 4),
        ("fsync", 8),
        ("renameat2", 5),
        ("clone", 60),
        ("renameat2", 4),
        ("renameat2", 3),
        ("fsync", 7),
        ("renameat2", 4),
        ("renameat2", 3),
    ];
    for (syscall, when) in moments {
        if killed == 10 {
            break;
        }
        killed += u32::from(host.killed_at((syscall, when), &INSTALL).is_none());
    }
    assert_eq!(killed, 10, "runs that were killed");
    host.install(&[]).exits(0);
    host.install(&[]).exits(0).says("nothing had to be changed");
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");
    assert_eq!(
        host.sh("find / /var/lib -xdev -name '*.authentik-install-*' -not -path '/proc/*'"),
        ""
    );
    let ledger: serde_json::Value =
        serde_json::from_str(&host.sh("cat /var/lib/authentik-install/ledger.json")).unwrap();
    for id in [
        "user:authentik",
        "role:authentik",
        "database:authentik",
        "linger:authentik",
        "secret:/etc/authentik/secrets/secret_key",
        "file:/etc/caddy/authentik.d/authentik.caddyfile",
    ] {
        assert!(ledger["claims"][id].is_object(), "{id} is not claimed: {ledger}");
    }
    assert_eq!(host.sh("grep -c ^authentik: /etc/subuid").trim(), "1");
}

const DELETE: [&str; 3] = ["uninstall", "--yes", "--delete-data=auth.lab.example"];

/// All that an installation consists of: names, modes, owners, contents, claims, accounts, database,
/// containers. Secrets differ from one installation to the next by their contents alone.
fn whole(host: &Host) -> String {
    host.sh(
        "cd /; find etc/authentik etc/containers/systemd etc/systemd/system etc/caddy etc/postgresql etc/valkey usr/local/bin \
             var/lib/authentik var/lib/authentik-install -path var/lib/authentik/home/.local -prune -o -printf '%p %y %m %U %G\\n' | sort
         find etc/authentik etc/containers/systemd etc/systemd/system etc/caddy etc/postgresql etc/valkey -type f \
             -not -path '*/secrets/*' -not -name valkey.conf -exec sha256sum {} + | sort
         sed 's/^requirepass .*/requirepass/' etc/authentik/valkey.conf etc/valkey/valkey.conf 2>/dev/null
         grep -o '^    \"[a-z-]*:[^\"]*\": {' var/lib/authentik-install/ledger.json | sort
         getent passwd authentik; getent group authentik postgres valkey; cat /etc/subuid /etc/subgid; ls /var/lib/systemd/linger
         runuser -u postgres -- psql -XAtqc \"SELECT rolname, rolcanlogin, rolsuper, rolcreatedb FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1\"
         runuser -u postgres -- psql -XAtqc 'SELECT datname, pg_get_userbyid(datdba), encoding FROM pg_database ORDER BY 1'
         systemctl list-timers --all --no-legend | grep -o 'authentik[a-z-]*.timer' | sort -u",
    ) + &host.podman("ps --format '{{.Names}} {{.Image}}' | sort").exits(0).out
}

/// Contents of the secrets that are there, by name.
fn secrets(host: &Host) -> Vec<String> {
    let all = "cd /etc/authentik/secrets 2>/dev/null && find . -type f -not -name '.*' -exec sha256sum {} + | sort -k 2 || true";
    host.sh(all).lines().map(str::to_owned).collect()
}

/// From here one more run leads to the state of a clean one.
fn is_ended_by_the_next(host: &Host, args: &[&str], clean: &str) {
    let before = secrets(host);
    host.tool(args).exits(0);
    host.comes_to_rest();
    let after = secrets(host);
    assert!(before.iter().all(|secret| after.contains(secret)), "{before:?} became {after:?}");
    assert_same(clean, &whole(host));
    assert_eq!(
        host.sh("find / /var/lib -xdev -name '*.authentik-install-*' -not -path '/proc/*'"),
        ""
    );
}

/// Killed at every few calls of each kind, each run going on where the one before was killed, until one
/// gets through; then the host is as after a clean run. Both families of release lines.
#[test]
fn an_install_killed_anywhere_is_ended_by_the_next() {
    if !wanted("installs killed") {
        return;
    }
    let mut kills = 0;
    for version in ["2026.8.3", "2025.8.6"] {
        let host = Host::boot("full");
        let chosen = host.chosen(version);
        let args: Vec<&str> =
            INSTALL.into_iter().chain(chosen.iter().map(String::as_str)).collect();
        host.tool(&args).exits(0);
        host.comes_to_rest();
        let clean = whole(&host);
        host.tool(&DELETE).exits(0);
        for (syscall, first, step) in [
            ("renameat2", 4, 2),
            ("fsync", 5, 2),
            ("openat2", 1, 9),
            ("clone", 1, 5),
            ("execve", 2, 5),
        ] {
            let mut when = first;
            let mut known = secrets(&host);
            while host.killed_at((syscall, when), &args).is_none() {
                kills += 1;
                when += step;
                assert!(kills < 2000, "it does not get further");
                let now = secrets(&host);
                assert!(
                    known.iter().all(|secret| now.contains(secret)),
                    "{known:?} became {now:?}"
                );
                known = now;
            }
            is_ended_by_the_next(&host, &args, &clean);
            host.tool(&DELETE).exits(0);
            eprintln!("install of {version}: {kills} kills so far, the last at {syscall} {when}");
        }
    }
    eprintln!("install: {kills} kills, 0 bad ends");
}

/// The power goes at twenty moments of an install from nothing.
#[test]
fn power_cuts_while_it_installs() {
    if !wanted("power cuts") {
        return;
    }
    let host = Host::boot("full");
    host.install(&[]).exits(0);
    host.comes_to_rest();
    let clean = whole(&host);
    host.tool(&DELETE).exits(0);
    let line = format!(
        "nohup setsid /var/lib/lab/authentik-install {} >/dev/null 2>&1 &",
        INSTALL.join(" ")
    );
    for cut in 0..20_u64 {
        host.sh(&line);
        // Moments that have nothing in common with each other, up to about the time that it takes.
        std::thread::sleep(Duration::from_millis(300 + (cut * 7919) % 14_000));
        host.power_cut();
        // Each second one from nothing again, the others on what was left.
        if cut % 2 == 1 {
            is_ended_by_the_next(&host, &INSTALL, &clean);
            host.tool(&DELETE).exits(0);
        }
    }
    eprintln!("install: 20 power cuts, 0 bad ends");
}
