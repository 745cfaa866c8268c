//! Two runs at once, and ends that somebody else decides on.

use crate::lab::{Host, INSTALL};

/// One lock, whose holder is named; a signal ends a run as such, and the next goes on.
#[test]
fn runs_wait_for_nobody_and_end_when_told() {
    let host = Host::boot("full");
    let start = |verb: &str, log: &str| {
        // A test run under nohup(1) hands that on.
        host.sh(&format!("setsid env --default-signal=HUP /var/lib/lab/authentik-install {verb} >/run/{log} 2>&1 & echo $!"))
            .trim()
            .to_owned()
    };
    let ended = |log: &str| {
        host.sh(&format!("for i in $(seq 600); do pgrep -x authentik-insta >/dev/null || break; sleep 0.2; done; cat /run/{log}"))
    };
    let install = INSTALL.join(" ");

    let holder = start(&install, "first");
    host.sh("for i in $(seq 100); do test -s /run/authentik-install/lock && test -e /etc/authentik/install.toml && exit 0; sleep 0.1; done; exit 1");
    for other in [&INSTALL[..], &["uninstall", "--yes"], &["backup", "create"]] {
        let refused = host.tool(other).exits(6);
        assert!(
            refused.err.contains("install") && refused.err.contains(&holder),
            "{}",
            refused.err
        );
    }
    // What only looks is not kept waiting.
    host.tool(&["plan", "--domain", "auth.lab.example", "--tls", "internal"]);
    // Ctrl-C lets what is being done come to its end; the next run goes on from there.
    host.sh(&format!("kill -INT {holder}"));
    let told = ended("first");
    assert!(told.contains("interrupted") || told.contains("stopped"), "{told}");

    // Twice, with a closed terminal, and as a service manager does it.
    for (signals, log, says) in [
        ("-INT -INT", "twice", ""),
        ("-HUP", "closed", "stopping on SIGHUP"),
        ("-TERM", "term", "stopping on SIGTERM"),
    ] {
        start(&install, log);
        for signal in signals.split(' ') {
            host.sh(&format!("sleep 2; pkill {signal} -x authentik-insta || true"));
        }
        let told = ended(log);
        assert!(told.contains(says), "{signals}: {told}");
        host.sh("! pgrep -x authentik-insta");
    }
    // Nobody reads what is told.
    let piped = format!("/var/lib/lab/authentik-install {install} --json | head -n 1 >/dev/null");
    host.run(&["bash", "-c", &format!("set -o pipefail; {piped}")]);
    host.install(&[]).exits(0);
    host.install(&[]).exits(0).says("nothing had to be changed");
}
