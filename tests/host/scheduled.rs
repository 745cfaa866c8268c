//! What runs by itself: the timer of `verify`, and who is told when the state changes.

use crate::lab::Host;

const ENV: &str = "/etc/authentik/authentik.env";
/// A web server that keeps what is posted to it, and says yes.
const RECEIVER: &str = r#"systemd-run -q --unit receiver perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8123", Listen => 5, ReuseAddr => 1) or die;
    while ($c = $s->accept) {
        $n = 0; while (($l = <$c>) !~ /^\r?$/) { $n = $1 if $l =~ /^content-length: (\d+)/i; $p = $l if $l =~ /^POST/ }
        read($c, $b, $n); open(F, ">>/run/posted"); print F $p, $b, "\n"; close F;
        print $c "HTTP/1.1 204 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"; close $c
    }'"#;

/// A program that keeps what it is told in /run/told, a line each.
pub fn teller(host: &Host) {
    host.sh("printf '#!/bin/sh\ncat >>/run/told; echo >>/run/told\n' >/usr/local/bin/tell; chmod 755 /usr/local/bin/tell");
}

fn told(host: &Host) -> Vec<serde_json::Value> {
    let text = host.sh("cat /run/told 2>/dev/null || true");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn runs(host: &Host) -> i32 {
    // systemd counts starts; a timer of ten minutes never comes near its limit.
    let start = "systemctl reset-failed authentik-verify; systemctl start authentik-verify";
    host.run(&["sh", "-c", start]).code
}

#[test]
fn the_timer_tells_a_change_and_nothing_else() {
    let host = Host::installed();
    host.sh(RECEIVER);
    teller(&host);
    host.sh("(umask 077; echo http://127.0.0.1:8123/hook/Planted-Webhook-Key >/etc/authentik/webhook); mkdir -p /var/lib/metrics");
    let set = [
        "install",
        "--yes",
        "--set",
        "notify.command=/usr/local/bin/tell",
        "--set",
        "notify.webhook_file=/etc/authentik/webhook",
        "--set",
        "verify.prometheus_file=/var/lib/metrics/authentik.prom",
        "--set",
        "verify.schedule=daily",
    ];
    host.tool(&set).exits(0);
    assert_eq!(host.sh("systemctl is-enabled authentik-verify.timer").trim(), "enabled");
    host.sh("systemctl list-timers | grep -q authentik-verify");
    // From now on nobody looks but who is told to.
    host.sh("systemctl stop authentik-verify; sleep 1; date +@%s.%N >/run/begun");

    // Well: it is in the journal and in the file, and nobody is told.
    assert_eq!(runs(&host), 0);
    let journal = |more: &str, lines: usize| {
        let matches =
            format!("--since $(cat /run/begun) MESSAGE_ID=fd99aa465bc949adb4433dc2ee0398b7 {more}");
        host.journal(&matches, |log| log.lines().count() == lines);
    };
    journal("AUTHENTIK_HEALTHY=true", 1);
    host.sh("grep -qx 'authentik_install_healthy 1' /var/lib/metrics/authentik.prom");
    assert!(told(&host).is_empty());

    // Ill: both are told once, however often it is looked.
    host.sh(&format!("chmod 600 {ENV}"));
    assert_ne!(runs(&host), 0);
    assert_ne!(runs(&host), 0);
    let field = format!("AUTHENTIK_HEALTHY=false AUTHENTIK_FAILED=file:{ENV}");
    journal(&field, 2);
    let list = told(&host);
    assert_eq!(list.len(), 1);
    let one = |list: &[serde_json::Value], key: &str| list.last().unwrap()[key].clone();
    assert_eq!(one(&list, "healthy"), false);
    assert_eq!(list[0]["failed"][0]["id"], format!("file:{ENV}"));
    assert_eq!(
        list[0]["failed"][0]["next"].as_str().map(|next| next.contains("install")),
        Some(true)
    );
    host.sh("grep -qx 'authentik_install_healthy 0' /var/lib/metrics/authentik.prom");
    host.tool(&["status"]).exits(0).says("NOT HEALTHY, for less than a minute now");

    // A web hook that is gone is a warning: the other one is told, and the state is what counts.
    host.sh(&format!("systemctl stop receiver; chmod 640 {ENV}"));
    assert_eq!(runs(&host), 0);
    host.journal("-u authentik-verify -n 20", |log| {
        log.contains("warning: posting to the URL in /etc/authentik/webhook")
    });
    let list = told(&host);
    assert_eq!((list.len(), one(&list, "healthy")), (2, true.into()));
    let posted = host.sh("cat /run/posted");
    assert_eq!(posted.matches("POST /hook/Planted-Webhook-Key ").count(), 1, "{posted}");
    assert!(posted.contains("\"event\":\"verify\""), "{posted}");
    assert!(!host.sh("journalctl --no-pager").contains("Planted-Webhook-Key"));

    // Root starts nothing that others can change, and reads no URL that others can read.
    host.sh(&format!(
        "chmod 777 /usr/local/bin/tell; chmod 644 /etc/authentik/webhook; chmod 600 {ENV}"
    ));
    assert_ne!(runs(&host), 0);
    assert_eq!(told(&host).len(), 2);
    host.journal("-u authentik-verify -n 60", |log| {
        log.contains("root alone can change") && log.contains("others than root can read")
    });

    // While somebody changes the installation it is not judged.
    host.sh(
        "exec 9>/run/authentik-install/lock; flock 9; systemctl reset-failed authentik-verify; systemctl start authentik-verify",
    );
    host.journal("-u authentik-verify -n 5", |log| log.contains("another run is changing"));
    host.sh(&format!("chmod 640 {ENV}"));
    assert_eq!(runs(&host), 0);
}

#[test]
fn the_timer_is_as_the_settings_say() {
    let host = Host::installed();
    let install = |pair: &str| host.tool(&["install", "--yes", "--set", pair]);
    install("verify.schedule=every now and then").exits(2).says("systemd.time(7)");
    install("verify.schedule=Mon *-*-* 04:00").exits(0);
    host.sh("systemctl cat authentik-verify.timer | grep -qx 'OnCalendar=Mon \\*-\\*-\\* 04:00'");
    assert!(host.sh("systemctl list-timers authentik-verify.timer").contains("Mon "));
    host.tool(&["plan", "--exit-code"]).exits(0);

    // Stopped or disabled by hand, it comes back; masked, that is somebody's will.
    host.sh("systemctl disable --now authentik-verify.timer");
    host.tool(&["verify", "--only", "files"]).exits(5).says("timer:authentik-verify");
    host.tool(&["install", "--yes"]).exits(0).says("start authentik-verify.timer");
    host.sh("rm /etc/systemd/system/authentik-verify.timer; systemctl mask authentik-verify.timer");
    host.tool(&["install", "--yes"]).exits(3).says("authentik-verify.timer: it is a symbolic link");
    host.sh("systemctl unmask authentik-verify.timer");
    host.tool(&["install", "--yes"]).exits(0);

    install("verify.enabled=false").exits(0);
    host.sh("! systemctl cat authentik-verify.timer authentik-verify.service 2>/dev/null");
    host.sh("test -z \"$(ls -A /etc/systemd/system/timers.target.wants | grep authentik-verify)\"");
    host.tool(&["plan", "--exit-code"]).exits(0);
    install("verify.enabled=true").exits(0);
    host.sh("systemctl is-active authentik-verify.timer");
    // The program that it starts is there, and one that is there already is left alone.
    host.sh("cmp /var/lib/lab/authentik-install /usr/local/bin/authentik-install");
    host.sh("printf '#!/bin/sh\n' >/usr/local/bin/authentik-install");
    host.tool(&["install", "--yes"]).exits(0);
    assert_eq!(host.sh("cat /usr/local/bin/authentik-install"), "#!/bin/sh\n");
}
