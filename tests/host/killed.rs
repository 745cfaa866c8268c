//! Killed at any moment, the next run finishes.

use crate::lab::{Host, INSTALL};

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
    assert_eq!(host.sh("find / -xdev -name '*.authentik-install-*' -not -path '/proc/*'"), "");
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
