//! One command turns a host into a working authentik behind HTTPS.

use crate::lab::{DOMAIN, Host, INSTALL, assert_same};

/// The whole way with a random password, on a host with a public address.
#[test]
fn a_fresh_host_becomes_an_authentik_server() {
    let host = Host::with_network();
    let answer = host.install(&[]).exits(0).says(&format!("https://{DOMAIN}/recovery/use-token/"));
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");

    // The link is good, once.
    let link =
        answer.out.lines().find(|line| line.contains("/recovery/")).unwrap().trim().to_owned();
    let path = link.strip_prefix(&format!("https://{DOMAIN}")).unwrap();
    assert_eq!(host.public(path), "302");
    assert_eq!(host.public(path), "404");
    host.tool(&["admin", "link"]).exits(0).says("/recovery/use-token/");

    proxy_is_seen_and_trusted(&host);
    nothing_listens_but_caddy(&host);
    containers_are_as_designed(&host);
    first_start_is_withdrawn(&host);
    files_are_as_designed(&host);
}

fn seen(host: &Host, curl: &str) -> serde_json::Value {
    serde_json::from_str(&host.sh(&format!("curl -sS {curl}")))
        .expect("the stand-in tells what it saw")
}

fn proxy_is_seen_and_trusted(host: &Host) {
    let ca = "--cacert /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt";
    let through =
        seen(host, &format!("{ca} --resolve {DOMAIN}:443:198.51.100.5 https://{DOMAIN}/"));
    assert_eq!(through["peer"], "10.0.2.0", "{through}");
    assert_eq!(through["scheme"], "https");
    assert_eq!(through["host"], DOMAIN);
    assert_eq!(through["client"], "198.51.100.5");
    // A client cannot speak for another one.
    let forged = seen(
        host,
        &format!(
            "{ca} -H 'X-Forwarded-For: 203.0.113.9' --resolve {DOMAIN}:443:198.51.100.5 https://{DOMAIN}/"
        ),
    );
    assert_eq!(forged["client"], "198.51.100.5");

    let headers = host
        .sh(&format!("curl -sSI {ca} --resolve {DOMAIN}:443:127.0.0.1 https://{DOMAIN}/"))
        .to_lowercase();
    for wanted in [
        "strict-transport-security: max-age=63072000",
        "x-content-type-options: nosniff",
        "referrer-policy: same-origin",
    ] {
        assert_eq!(headers.matches(wanted).count(), 1, "{wanted} in\n{headers}");
    }
    // authentik's own, once; none of ours, which would break its embedded flows.
    assert_eq!(headers.matches("x-frame-options").count(), 1, "{headers}");
    assert!(!headers.contains("content-security-policy"), "{headers}");
    let redirect = host.sh(&format!("curl -sSI --resolve {DOMAIN}:80:127.0.0.1 http://{DOMAIN}/"));
    assert!(redirect.contains(&format!("https://{DOMAIN}/")), "{redirect}");

    // The container reaches its own public URL (with pasta's defaults it would not).
    let script = format!(
        "import socket,ssl; c=ssl._create_unverified_context(); \
         s=c.wrap_socket(socket.create_connection((\"198.51.100.5\",443),10),server_hostname=\"{DOMAIN}\"); \
         s.send(b\"GET /outpost.goauthentik.io/ping HTTP/1.1\\r\\nHost: {DOMAIN}\\r\\nConnection: close\\r\\n\\r\\n\"); \
         print(s.recv(60).decode().split()[1])"
    );
    let answer = host.podman(&format!("exec authentik-worker python3 -c '{script}'")).exits(0);
    assert_eq!(answer.out.trim(), "204", "{}", answer.err);
}

fn nothing_listens_but_caddy(host: &Host) {
    for line in host.sh("ss -Hltnp").lines() {
        let local = line.split_whitespace().nth(3).unwrap();
        let inside = local.starts_with("127.") || local.starts_with("[::1]");
        assert!(inside || line.contains("\"caddy\""), "{line}");
    }
    let own = host.sh("ss -Hltnp 'sport = :9000'");
    assert!(own.contains("127.0.0.1:9000") && own.lines().count() == 1, "{own}");
    assert_eq!(host.sh("ss -Hltn 'sport = :9001 or sport = :9443 or sport = :9300'"), "");
}

fn containers_are_as_designed(host: &Host) {
    let subid: u32 = host.sh("grep ^authentik: /etc/subuid | cut -d: -f2").trim().parse().unwrap();
    let postgres = host.sh("getent group postgres | cut -d: -f3").trim().to_owned();
    for name in ["authentik-server", "authentik-worker"] {
        let pid =
            host.podman(&format!("inspect --format '{{{{.State.Pid}}}}' {name}")).exits(0).out;
        let status = host.sh(&format!("cat /proc/{}/status", pid.trim()));
        let field = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:")[0], (subid + 999).to_string(), "{name}");
        assert!(field("Groups:").contains(&postgres), "{name}: {:?}", field("Groups:"));
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), ["0000000000000000"], "{name} {set}");
        }
        assert_eq!(field("NoNewPrivs:"), ["1"]);
        host.podman(&format!("exec {name} touch /usr/x")).exits(1).says("Read-only file system");
        host.podman(&format!("exec {name} touch /data/media/x /tmp/x")).exits(0);
        host.podman(&format!("exec {name} touch /run/authentik/x /run/postgresql/x")).exits(1);
        let env = host.sh(&format!("tr '\\0' '\\n' </proc/{}/environ", pid.trim()));
        assert!(env.contains("AUTHENTIK_SECRET_KEY=file:///run/authentik/secret_key"), "{env}");
        assert!(env.contains("TMPDIR=/tmp") && !env.contains("BOOTSTRAP"), "{env}");
        let inspect = host.podman(&format!("inspect {name}")).exits(0).out;
        assert!(inspect.contains("@sha256:"), "pinned by digest");
        assert!(!inspect.contains("/podman.sock") && !inspect.contains("docker.sock"));
    }
    let pod = host.podman("pod inspect authentik").exits(0).out;
    assert!(
        pod.contains("\"ExitPolicy\": \"continue\"") && !pod.contains("\"HostNetwork\": true"),
        "{pod}"
    );
}

fn first_start_is_withdrawn(host: &Host) {
    let uid = host.sh("id -u authentik").trim().to_owned();
    host.sh(&format!("! test -e /etc/authentik/bootstrap.env && ! test -e /etc/containers/systemd/users/{uid}/authentik-worker.container.d"));
    assert_eq!(
        host.sql(
            "SELECT password LIKE 'pbkdf2%' FROM authentik_core_user WHERE username = 'akadmin'"
        ),
        "t"
    );
}

fn files_are_as_designed(host: &Host) {
    let modes = host.sh("stat -c '%n %U:%G %a' /etc/authentik /etc/authentik/secrets /etc/authentik/secrets/* \
        /etc/authentik/install.toml /var/lib/authentik /var/lib/authentik/home /var/lib/authentik-install/ledger.json");
    for wanted in [
        "/etc/authentik root:root 755",
        "/etc/authentik/secrets root:authentik 750",
        "/etc/authentik/secrets/secret_key root:authentik 640",
        "/etc/authentik/secrets/database_password root:authentik 640",
        "/etc/authentik/install.toml root:root 644",
        "/var/lib/authentik root:root 755",
        "/var/lib/authentik-install/ledger.json root:root 600",
    ] {
        assert!(modes.lines().any(|line| line == wanted), "{wanted} in\n{modes}");
    }
    let toml = host.sh("cat /etc/authentik/install.toml");
    assert!(
        toml.contains(&format!("domain = \"{DOMAIN}\"")) && toml.contains("tls = \"internal\""),
        "{toml}"
    );
    let hba = host.sh("grep -v '^#' /etc/postgresql/$PG/main/pg_hba.conf | grep -m1 .");
    assert_eq!(hba.trim(), "local authentik authentik scram-sha-256");
    assert_eq!(
        host.sh("find / /var/lib -xdev -name '*.authentik-install-*' -not -path '/proc/*'"),
        ""
    );
    // Real programs read what we wrote: systemd's own verifier, as the user.
    host.as_service_user(
        "systemd-analyze --user verify $XDG_RUNTIME_DIR/systemd/generator/authentik-*.service",
    )
    .exits(0);
}

/// With a password of the administrator's own: it opens, and it is nowhere to be read.
#[test]
fn a_given_password_signs_in_and_stands_nowhere() {
    let host = Host::boot("full");
    let password = "Correct-Horse-4711-Battery";
    host.sh(&format!("umask 077; printf '%s\\n' '{password}' >/root/pw"));
    // Every command line of every process, while it runs.
    let watch = "nohup sh -c 'while sleep 0.02; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr \"\\0\" \" \"; done' >/var/lib/lab/argv 2>/dev/null & echo $!";
    let watcher = host.sh(watch).trim().to_owned();
    let json = host
        .install(&[
            "--admin-password-file",
            "/root/pw",
            "--admin-email",
            "root@lab.example",
            "--json",
        ])
        .exits(0);
    host.sh(&format!("kill {watcher}; rm /root/pw"));
    assert_eq!(
        host.sql("SELECT email FROM authentik_core_user WHERE username = 'akadmin'"),
        "root@lab.example"
    );

    // The journal tells of each change.
    let matches = "-t authentik-install PHASE=accounts RESOURCE=user:authentik";
    host.journal(matches, |log| log.contains("changing"));

    let first: serde_json::Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["format"], 1);
    let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["url"]),
        (&"installed".into(), &format!("https://{DOMAIN}/").into())
    );
    assert!(!json.out.contains("/recovery/"));

    let secrets: Vec<String> = ["secret_key", "database_password"]
        .iter()
        .map(|name| host.sh(&format!("cat /etc/authentik/secrets/{name}")))
        .chain([password.to_owned()])
        .collect();
    let dry = host.install(&["--dry-run", "--diff"]).exits(0);
    for secret in &secrets {
        assert!(
            !json.out.contains(secret) && !json.err.contains(secret) && !dry.out.contains(secret)
        );
        let found = host.sh(&format!(
            "journalctl --no-pager -o verbose | grep -cF '{secret}'; grep -caF '{secret}' /var/lib/lab/argv; \
             grep -rlF '{secret}' /etc /run /var/lib/authentik-install /root 2>/dev/null | grep -v ^/etc/authentik/secrets/; true"
        ));
        assert_eq!(found, "0\n0\n", "{found}");
    }
    assert_eq!(
        host.podman("inspect authentik-worker").out.matches("BOOTSTRAP_PASSWORD").count(),
        0
    );
}

/// In two parts, and the image of another name refused.
#[test]
fn phases_can_be_left_out_and_caught_up() {
    let host = Host::boot("full");
    host.install(&["--only", "containers"]).exits(3).says("Nothing was touched");
    host.install(&["--version", "2026.8.4"])
        .exits(1)
        .says("it holds ghcr.io/goauthentik/server:2026.8.3");
    host.install(&["--version", "2026.8.3", "--skip", "proxy"]).exits(0);
    assert_eq!(host.sh("curl -sk -o /dev/null -w '%{http_code}' --resolve auth.lab.example:443:127.0.0.1 https://auth.lab.example/ || true"), "000");
    // What would be followed once and then forgotten is not followed.
    let before = host.trace();
    for verb in [
        &["--only", "proxy", "--set", "http_port=9100"][..],
        &["--skip", "accounts", "--set", "web.workers=3"],
    ] {
        host.install(verb).exits(2).says("would not be written into it");
    }
    assert_same(&before, &host.trace());
    host.install(&["--only", "proxy"]).exits(0);
    assert_eq!(host.public("/outpost.goauthentik.io/ping"), "204");
}

/// A wait that ends shows why, and the same command goes on.
#[test]
fn a_deadline_shows_the_log_and_the_next_run_finishes() {
    let host = Host::boot("full");
    // Ctrl-C: what was begun is finished, and the exit code says why it ended.
    let timeout = ["timeout", "--foreground", "--preserve-status", "-s", "INT", "3"];
    let tool = ["/var/lib/lab/authentik-install"];
    let stopped = host.run(&[&timeout[..], &tool[..], &INSTALL[..]].concat());
    stopped.exits(130).says("run the same command again");
    // authentik waits for a lock that somebody else holds.
    host.install(&["--skip", "containers,proxy"]).exits(0);
    host.sh("systemd-run --quiet --uid=postgres --unit=holder psql -d authentik -c 'SELECT pg_advisory_lock(1000), pg_sleep(600)'");
    host.install(&["--deadline", "8"])
        .exits(1)
        .says("journalctl _UID=")
        .says("waiting to acquire database lock")
        .says("run the same command again");
    host.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    host.install(&[]).exits(0);
}
