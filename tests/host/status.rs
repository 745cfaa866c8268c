//! `status` and `doctor`.

use crate::lab::Host;

/// A registry's answers, as the OCI Distribution API has them: only the bearer of a token is told, and
/// everybody gets one.
const REGISTRY: &str = r#"mkdir -p /run/lab; cat >/run/lab/registry <<'CADDY'
{
	admin off
}
:5000 {
	log {
		output file /run/lab/asked
	}
	@token path /token
	respond @token `{"token": "lab-token"}` 200
	@known {
		header Authorization "Bearer lab-token"
		path /v2/goauthentik/server/manifests/2026.8.4 /v2/goauthentik/server/manifests/2026.8.6
	}
	respond @known 200
	@bearer header Authorization "Bearer lab-token"
	respond @bearer 404
	header WWW-Authenticate `Bearer realm="http://localhost:5000/token",service="lab",scope="repository:goauthentik/server:pull"`
	respond 401
}
CADDY
systemd-run -q --unit registry caddy run --adapter caddyfile --config /run/lab/registry
for i in $(seq 50); do curl -s -o /dev/null localhost:5000/v2/ && break; sleep 0.1; done"#;

#[test]
fn status_tells_what_matters_on_one_screen() {
    let host = Host::boot("full");
    host.tool(&["status"]).exits(3).says("nothing is installed here");
    drop(host);

    let host = Host::installed();
    host.sh(REGISTRY);
    // Only the name is needed to ask; the containers go on with the image that they have.
    host.sh(
        "sed -i '1i image = \"localhost:5000/goauthentik/server\"' /etc/authentik/install.toml",
    );
    let status = || -> serde_json::Value {
        serde_json::from_str(&host.tool(&["status", "--json"]).exits(0).out).unwrap()
    };
    let first = status();
    assert_eq!((first["format"].clone(), first["newest"].clone()), (1.into(), "2026.8.6".into()));
    assert_eq!(first["url"], "https://auth.lab.example/");
    let named = |list: &str, key: &str, name: &str| {
        let rows = first[list].as_array().unwrap();
        rows.iter().find(|row| row[key] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert!(named("sizes", "of", "database")["bytes"].as_u64().unwrap() > 1 << 20);
    assert!(named("sizes", "of", "container storage")["bytes"].as_u64().unwrap() > 1 << 20);
    assert!(named("containers", "name", "authentik-server")["since"].as_str().is_some());
    assert!(named("timers", "timer", "authentik-verify.timer")["at"].as_str().is_some());
    assert_eq!(named("groups", "group", "database")["level"], "ok");

    // Asked once a day.
    let asked = || host.sh("grep -c '\"method\":\"HEAD\"' /run/lab/asked").trim().to_owned();
    let before = asked();
    host.tool(&["status"]).exits(0).says("2026.8.6 is out").says("install --version 2026.8.6");
    assert_eq!(asked(), before);
    // A registry that does not answer is no failure, and is not asked again at once.
    host.sh("rm /var/lib/authentik-install/newer.json; systemctl stop registry");
    let unknown = status();
    assert!(unknown["newest"].is_null() && unknown["newest_unknown"].is_string(), "{unknown}");
    host.sh(REGISTRY);
    assert!(status()["newest"].is_null());
    // Nobody is asked where that is not wanted.
    host.sh("rm /var/lib/authentik-install/newer.json; sed -i '1i update_check = false' /etc/authentik/install.toml");
    let before = asked();
    let silent = status();
    assert!(silent["newest"].is_null() && silent["newest_unknown"].is_null(), "{silent}");
    assert_eq!(asked(), before);

    host.sh("systemctl stop caddy");
    host.tool(&["status"]).exits(0).says("NOT HEALTHY").says("caddy.service is inactive");
}

/// Secrets are planted wherever the bundle looks.
#[test]
fn the_bundle_of_doctor_holds_no_secret() {
    let host = Host::installed();
    // Where one stands, and not where anybody could put something in its way.
    host.sh("cd /root && /var/lib/lab/authentik-install doctor --output here.tar.zst >/dev/null && test -s /root/here.tar.zst && rm here.tar.zst");
    let refused = host.tool(&["doctor", "--output", "/tmp/x.tar.zst"]).exits(3);
    assert!(
        refused.err.contains("choose a folder") && !refused.err.contains("chown"),
        "{}",
        refused.err
    );
    host.sh(
        "(umask 077; echo https://hooks.example.com/T0/Planted-In-Webhook >/etc/authentik/webhook)
        install -m 600 /dev/stdin /root/smtp <<'X'
Planted in/smtp \"x\"
X",
    );
    let set = |pair: &str| ["--set".to_owned(), pair.to_owned()];
    let mut args = vec!["install".to_owned(), "--yes".to_owned()];
    for pair in [
        "notify.webhook_file=/etc/authentik/webhook",
        "email.host=mail.example.com",
        "email.username=lab",
        "email.password_file=/root/smtp",
        "env.AUTHENTIK_LDAP__BIND_PASSWORD=Planted-In-Env",
        "env.AUTHENTIK_STORAGE__S3__ODD=Planted-Odd-Value",
    ] {
        args.extend(set(pair));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    host.tool(&args).exits(0);
    host.comes_to_rest();
    // In the logs of each part, as programs write them.
    for (line, of) in [
        (r#"{"event": "x", "password": "Planted-In-Log"}"#, "authentik-server"),
        ("connecting to redis://:Planted-In-Url@cache:6379", "authentik-worker"),
        ("Authorization: Bearer Planted-In-Header", "authentik-server"),
        ("https://auth.lab.example/recovery/use-token/Planted-In-Link/", "authentik-worker"),
    ] {
        let line = line.replace('"', "\\\"");
        let exec = format!("exec {of} sh -c 'echo \"{line}\" >/proc/1/fd/1'");
        host.podman(&exec).exits(0);
    }
    host.sh("echo 'token=Planted-In-Own-Log' | systemd-cat -t authentik-install");
    let drop_in = "/run/systemd/system/authentik-backup.service.d";
    host.sh(&format!(
        "mkdir -p {drop_in}; printf '[Service]\nExecStart=\nExecStart=/bin/echo AGE-SECRET-KEY-1PLANTEDKEY\n' >{drop_in}/a.conf
        systemctl daemon-reload; systemctl start authentik-backup; rm -r {drop_in}; systemctl daemon-reload"
    ));
    // In a unit, a site and the settings, by hand.
    host.sh("echo '# api_key = Planted-In-Unit' >>/etc/systemd/system/authentik-verify.service
        echo '# basic Planted-In-Site' >>/etc/caddy/authentik.d/authentik.caddyfile
        echo '# my_password = \"Planted-In-Settings\"' >>/etc/authentik/install.toml");
    host.sh("printf 'PLANTED' >/dev/null; cp -r /etc/authentik/secrets /var/lib/lab/known");

    let bundle = "/var/lib/lab/bundle.tar.zst";
    let doctor = host.tool(&["doctor", "--output", bundle]).exits(5);
    assert!(
        doctor.out.contains("file:/etc/caddy/authentik.d/authentik.caddyfile"),
        "{}",
        doctor.out
    );
    assert_eq!(host.sh(&format!("stat -c %a:%U {bundle}")).trim(), "600:root");
    let shared = host.folder("varlib").join("lab");
    let out = std::process::Command::new("sh")
        .args(["-c", "cd \"$1\" && mkdir b && zstd -dc bundle.tar.zst | tar -C b -x && find b -type f | sort", "sh"])
        .arg(&shared)
        .output()
        .unwrap();
    let names = String::from_utf8(out.stdout).unwrap();
    for name in [
        "verify.json",
        "plan.json",
        "host.txt",
        "server.log",
        "install.toml",
        "authentik.pod",
        "backup.log",
    ] {
        assert!(names.contains(name), "{name} in {names}");
    }
    let all: String = names
        .lines()
        .map(|name| std::fs::read_to_string(shared.join(name)).unwrap() + "\n")
        .collect();
    assert!(
        all.contains("[redacted]") && all.contains("authentik_lab") | all.contains("postgresql")
    );
    let mut secrets = vec!["Planted".to_owned(), "PLANTEDKEY".to_owned()];
    for entry in std::fs::read_dir(shared.join("known")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        secrets.push(text.trim_end().to_owned());
    }
    assert!(secrets.len() >= 5, "{} secrets", secrets.len());
    for secret in &secrets {
        let lines: Vec<&str> = all.lines().filter(|line| line.contains(secret.as_str())).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    // Each place was really looked at.
    for place in ["use-token/[redacted]", "redis://:[redacted]", "[redacted]"] {
        assert!(all.contains(place), "{place}");
    }
}
