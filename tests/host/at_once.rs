//! Two runs at once, and ends that somebody else decides on.

use crate::lab::{Host, INSTALL};

/// One lock, whose holder is named; a signal ends a run as such, and the next goes on.
#[test]
fn runs_wait_for_nobody_and_end_when_told() {
    let host = Host::boot("full");
    let start = |verb: &str, unit: &str| {
        host.sh(&format!("systemd-run -q --unit {unit} -p StandardOutput=file:/run/{unit} -p StandardError=inherit /var/lib/lab/authentik-install {verb}; systemctl show -p MainPID --value {unit}"))
            .trim()
            .to_owned()
    };
    let ended = |unit: &str| {
        host.sh(&format!(
            "for i in $(seq 600); do systemctl is-active -q {unit} || break; sleep 0.2; done; \
             cat /run/{unit}; echo; systemctl show -p ExecMainStatus --value {unit}"
        ))
    };
    let install = INSTALL.join(" ");

    let holder = start(&install, "first");
    host.sh("for i in $(seq 600); do test -s /run/authentik-install/lock && test -e /etc/authentik/install.toml && exit 0; sleep 0.1; done; exit 1");
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
    assert!(told.contains("stopping on SIGINT") && told.ends_with("\n130\n"), "{told}");

    // Twice, with a closed terminal, and as a service manager does it.
    for (signals, unit, says, code) in [
        ("-INT -INT", "twice", "", 130),
        ("-HUP", "closed", "stopping on SIGHUP", 129),
        ("-TERM", "term", "stopping on SIGTERM", 143),
    ] {
        start(&install, unit);
        for signal in signals.split(' ') {
            host.sh(&format!("sleep 1; pkill {signal} -x authentik-insta || true"));
        }
        let told = ended(unit);
        let so = told.contains(says) && told.ends_with(&format!("\n{code}\n"));
        assert!(so, "{signals}: {told}");
        host.sh("! pgrep -x authentik-insta");
    }
    // A reader that reads nothing: once is a wish, and twice is an end.
    let full = "mkfifo /run/pipe; exec 8<>/run/pipe; dd if=/dev/zero of=/run/pipe bs=4k oflag=nonblock 2>/dev/null";
    host.sh(&format!(
        "systemd-run -q --unit full sh -c '{full}; exec /var/lib/lab/authentik-install {install} --json >&8'; \
         for i in $(seq 300); do pgrep -x authentik-insta >/dev/null && break; sleep 0.1; done; sleep 2; pgrep -x authentik-insta; \
         pkill -INT -x authentik-insta; sleep 1; pkill -INT -x authentik-insta; sleep 1; ! pgrep -x authentik-insta"
    ));
    assert_eq!(host.sh("systemctl show -p ExecMainStatus --value full").trim(), "130");
    // What a timer runs waits for its turn.
    host.sh("systemd-run -q --unit turn flock /run/authentik-install/lock sleep 5; sleep 1");
    host.tool(&["backup", "create", "--scheduled"]);
    host.sh("! systemctl is-active -q turn");
    // Nobody reads what is told.
    let piped = format!("/var/lib/lab/authentik-install {install} --json | head -n 1 >/dev/null");
    host.run(&["bash", "-c", &format!("set -o pipefail; {piped}")]);
    host.install(&[]).exits(0);
    host.install(&[]).exits(0).says("nothing had to be changed");
}
