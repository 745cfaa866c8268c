//! `verify` on a host with a certificate of its own, and with an older line of authentik.

use crate::lab::Host;
use crate::verify::levels;

/// A certificate of one's own, near its end, and a Valkey of an older line.
#[test]
fn certificates_near_their_end_and_an_older_line() {
    let host = Host::boot("full");
    host.sh("cd /etc/ssl; openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 900 -subj /CN=lab-ca 2>/dev/null
        openssl req -newkey rsa:2048 -nodes -keyout lab.key -out lab.csr -subj /CN=auth.lab.example 2>/dev/null
        chgrp caddy lab.key; chmod 640 lab.key; printf 'subjectAltName=DNS:auth.lab.example' >ext");
    let sign = |name: &str, days: u32| {
        host.sh(&format!(
            "cd /etc/ssl; printf 'subjectAltName=DNS:{name}' >ext; openssl x509 -req -in lab.csr -CA ca.pem -CAkey ca.key -out lab.pem -not_before 20260901000000Z -not_after $(date -u -d '{days} days 1 hour' +%Y%m%d%H%M%SZ) -extfile ext 2>/dev/null; \
             chmod 644 lab.pem; ! systemctl is-active -q caddy || systemctl reload caddy"
        ));
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    sign("auth.lab.example", 90);
    host.install_version(
        "2025.8.6",
        &[
            "--tls",
            "files",
            "--set",
            "proxy.certificate=/etc/ssl/lab.pem",
            "--set",
            "proxy.key=/etc/ssl/lab.key",
        ],
    )
    .exits(0);
    host.comes_to_rest();
    let of = |id: &str| levels(&host, &[]).remove(id).unwrap();
    let is = |id: &str, level: &str, says: &str| {
        let (found, text) = of(id);
        assert!(found == level && text.contains(says), "{id} is {found}: {text}");
    };
    // The authority is a private one, until this host knows it.
    is("certificate", "warn", "does not know the authority");
    host.sh("cp /etc/ssl/ca.pem /usr/local/share/ca-certificates/lab.crt; update-ca-certificates >/dev/null 2>&1");
    is("certificate", "ok", "good for");
    is("certificate-time", "ok", "90 days");
    sign("auth.lab.example", 10);
    is("certificate-time", "warn", "10 days");
    sign("auth.lab.example", 3);
    is("certificate-time", "fail", "3 days");
    sign("other.lab.example", 90);
    is("certificate", "fail", "");
    sign("auth.lab.example", 90);

    is("release", "warn", "does not mend authentik 2025.8");
    is("cache", "ok", "noeviction");
    is("cache-socket", "ok", "/run/");
    let before = levels(&host, &[]);
    host.valkey("config set maxmemory-policy allkeys-lru");
    is("cache", "warn", "drops keys");
    host.valkey("config set maxmemory-policy noeviction");
    host.sh("s=$(ls /run/valkey*/*.sock | head -n 1); mv $s $s.x");
    assert_ne!(of("cache-socket").0, "ok");
    host.sh("s=$(ls /run/valkey*/*.sock.x | head -n 1); mv $s ${s%.x}");
    host.sh("pkill -STOP -f '[v]alkey-server'");
    let begun = std::time::Instant::now();
    let answer = host.tool(&["verify", "--all", "--deadline", "4"]).exits(5);
    assert!(begun.elapsed().as_secs_f64() < 6.0, "a hung Valkey: {:?}", begun.elapsed());
    let line = answer.out.lines().find(|line| line.split_whitespace().nth(1) == Some("cache:"));
    assert!(line.is_some_and(|line| !line.trim_start().starts_with("ok")), "{}", answer.out);
    host.sh("pkill -CONT -f '[v]alkey-server'");
    host.sh("systemctl stop valkey-server");
    assert_eq!(of("cache").0, "fail");
    host.sh("systemctl start valkey-server; sleep 2");
    host.comes_to_rest();
    for (id, (level, text)) in levels(&host, &[]) {
        assert!(level == before[&id].0, "{id} is {level} ({text})");
    }
}
