//! Every setting does what it says, and what cannot be right is refused before anything is touched.

use crate::lab::{DOMAIN, Host, assert_same};
use crate::sweeps::wanted;

/// Printable characters that shells, units, URLs and SQL each read in their own way.
const ODD: &str = r#"a'b"c%d$e#f\g@h:i/j k&l+m{n}o;p|q*r?s~t`u<v>w(x)=y,z!^%41"#;

const ALL: &str = r#"
domain = "auth.lab.example:8443"
user = "sso"
http_port = 9100
https_port = 9543
data_dir = "/srv/sso/data"
media_dir = "/mnt/media"
templates_dir = "/srv/sso/templates"
certs_dir = "/srv/certs"
secret_key_file = "/root/given/key"

[database]
name = "sso_data"
user = "sso_login"
password_file = "/root/given/db"

[proxy]
tls = "files"
certificate = "/etc/ssl/lab.pem"
key = "/etc/ssl/lab.key"

[email]
host = "mail.lab.example"
port = 2525
username = "so'me \"one\" %h $x"
password_file = "/root/given/mail"
encryption = "tls"
from = "Sign in <auth@lab.example>"
timeout = 7

[web]
workers = 3
threads = 5

[env]
AUTHENTIK_LOG_LEVEL = "debug"
AUTHENTIK_LDAP__TLS__CIPHERS = '[{"a # b": "?a=%41&b=${HOME}"}] \n '
"#;

fn given(host: &Host) {
    std::fs::write(host.folder("varlib").join("lab/odd"), format!("{ODD}\n")).unwrap();
    std::fs::write(host.folder("varlib").join("lab/install.toml"), ALL).unwrap();
    host.sh("umask 077; mkdir /root/given; cd /root/given; cp /var/lib/lab/odd db; cp db key; cp db mail
        install -D -m 644 /var/lib/lab/install.toml /etc/authentik/install.toml
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=auth.lab.example -addext subjectAltName=DNS:auth.lab.example \
          -keyout /etc/ssl/lab.key -out /etc/ssl/lab.pem 2>/dev/null
        chmod 644 /etc/ssl/lab.pem; chgrp caddy /etc/ssl/lab.key; chmod 640 /etc/ssl/lab.key
        mkdir -p /mnt/media /srv/certs /srv/sso/data; mount -t tmpfs tmpfs /mnt/media -o mode=755; mount --bind /srv/certs /srv/certs
        mount -t tmpfs tmpfs /srv/sso/data -o mode=755; mkdir /srv/sso/data/lost+found
        chmod 755 /srv /srv/sso /srv/certs /mnt /mnt/media; echo pem >/srv/certs/a.pem; chmod 644 /srv/certs/a.pem");
}

#[test]
fn every_setting_is_honoured() {
    let host = Host::boot("full");
    given(&host);
    host.tool(&["settings", "check"]).exits(0).says("auth.lab.example:8443");
    let archive =
        ["install", "--yes", "--image-archive", "/var/lib/lab/image.tar", "--deadline", "180"];
    host.tool(&archive).exits(0).says("https://auth.lab.example:8443/");

    // Secrets byte for byte: in the container's view and in PostgreSQL.
    let podman = |line: &str| host.as_user("sso", &format!("exec podman {line}"));
    for name in ["secret_key", "database_password", "smtp_password"] {
        assert_eq!(
            podman(&format!("exec authentik-worker cat /run/authentik/{name}")).exits(0).out,
            ODD,
            "{name}"
        );
    }
    host.sh("PGPASSWORD=$(cat /var/lib/lab/odd) psql -X -h /run/postgresql -U sso_login -d sso_data -c 'SELECT 1'");
    let environment = || {
        let pid = podman("inspect --format '{{.State.Pid}}' authentik-server").exits(0).out;
        host.sh(&format!("tr '\\0' '\\n' </proc/{}/environ", pid.trim()))
    };
    let env = environment();
    for line in [
        "AUTHENTIK_EMAIL__HOST=mail.lab.example",
        "AUTHENTIK_EMAIL__PORT=2525",
        "AUTHENTIK_EMAIL__USERNAME=so'me \"one\" %h $x",
        "AUTHENTIK_EMAIL__PASSWORD=file:///run/authentik/smtp_password",
        "AUTHENTIK_EMAIL__USE_SSL=true",
        "AUTHENTIK_EMAIL__USE_TLS=false",
        "AUTHENTIK_EMAIL__FROM=Sign in <auth@lab.example>",
        "AUTHENTIK_EMAIL__TIMEOUT=7",
        "AUTHENTIK_WEB__WORKERS=3",
        "AUTHENTIK_WEB__THREADS=5",
        "AUTHENTIK_WEB__BASE_URL=https://auth.lab.example:8443",
        "AUTHENTIK_LOG_LEVEL=debug",
        r#"AUTHENTIK_LDAP__TLS__CIPHERS=[{"a # b": "?a=%41&b=${HOME}"}] \n "#,
        "AUTHENTIK_POSTGRESQL__NAME=sso_data",
        "AUTHENTIK_POSTGRESQL__USER=sso_login",
    ] {
        assert!(env.lines().any(|found| found == line), "{line} in\n{env}");
    }

    // Folders where they were asked for, on their own file systems.
    podman("exec authentik-server sh -c 'echo up >/data/media/public; echo d >/data/d; cat /certs/a.pem'").exits(0).says("pem");
    assert_eq!(host.sh("cat /mnt/media/public /srv/sso/data/d"), "up\nd\n");
    assert_eq!(host.sh("stat -c %U:%G:%a /srv/certs /srv/sso"), "root:root:755\nroot:root:755\n");

    // Ports, name and certificate.
    assert_eq!(
        host.sh("curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1:9543/-/health/ready/"),
        "200"
    );
    assert_eq!(host.sh("ss -Hltn 'sport = :9543' | grep -vc 127.0.0.1 || true").trim(), "0");
    let page = "curl -sS -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab.pem --resolve auth.lab.example:8443:127.0.0.1 \
        https://auth.lab.example:8443/if/flow/default-authentication-flow/";
    assert_eq!(host.sh(page), "200");
    host.tool(&["plan", "--exit-code"]).exits(0);

    for (way, tls, ssl) in [("starttls", "true", "false"), ("none", "false", "false")] {
        host.tool(&["install", "--yes", "--set", &format!("email.encryption={way}")]).exits(0);
        let env = environment();
        for line in [format!("USE_TLS={tls}"), format!("USE_SSL={ssl}")] {
            assert!(env.contains(&format!("AUTHENTIK_EMAIL__{line}\n")), "{way}: {line} in\n{env}");
        }
    }

    // Handed in once: the files are not needed any more. Another one is taken over.
    host.sh("rm -r /root/given");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    host.sh("mkdir -m 700 /root/given; printf 'other-Password\\n' >/root/given/db");
    host.tool(&["install", "--yes"])
        .exits(0)
        .says("replace the secret in /etc/authentik/secrets/database_password");
    assert_eq!(host.sh(page), "200");

    let shown = host.tool(&["settings", "show", "--json"]).exits(0).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let row = |key: &str| {
        shown["settings"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone()
    };
    assert_eq!(
        (&row("web.workers")["value"], &row("web.workers")["origin"]),
        (&3.into(), &"file".into())
    );
    assert_eq!(row("service.enabled")["origin"], "default");
    assert!(!shown.to_string().contains("other-Password"));

    // Folders that were there before us stay, with what lies in them; root goes into none of others.
    host.tool(&["uninstall", "--yes"]).exits(0);
    host.tool(&["uninstall", "--yes", "--delete-data=auth.lab.example:8443"])
        .exits(0)
        .says("/srv/sso/data");
    host.sh("! getent passwd sso; cat /mnt/media/public /srv/sso/data/d");
}

/// A name beyond ASCII in its own form, and a host without a name by its address.
#[test]
fn names_of_every_kind_are_served() {
    let host = Host::with_network();
    let page = |name: &str| {
        host.sh(&format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' --cacert /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt \
             --connect-to ::198.51.100.5: https://{name}/if/flow/default-authentication-flow/"
        ))
    };
    host.install(&["--domain", "Auth.Bücher.Example."])
        .exits(0)
        .says("https://auth.xn--bcher-kva.example/");
    assert_eq!(page("auth.xn--bcher-kva.example"), "200");
    host.install(&["--domain", "198.51.100.5"]).exits(0);
    assert_eq!(page("198.51.100.5"), "200");
    host.install(&["--domain", "198.51.100.5", "--tls", "acme"])
        .exits(2)
        .says("no public authority certifies");
    host.install(&["--domain", "auth.lab.example:8443"])
        .exits(0)
        .says("https://auth.lab.example:8443/");
    assert_eq!(page("auth.lab.example:8443"), "200");
    host.tool(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn service_and_proxy_can_be_left_to_others() {
    let host = Host::boot("full");
    host.install(&["--set", "service.started=false"]).exits(0);
    assert_eq!(host.sh("ss -Hltn 'sport = :9000'"), "");
    // Nobody is to find a server that has no administrator yet.
    assert_eq!(host.sh("ss -Hltn 'sport = :443'"), "");
}

/// What was put into a Caddy that somebody else looks after from now on is taken out of it again.
#[test]
fn a_site_is_withdrawn_and_comes_back() {
    if !wanted("a site that is withdrawn") {
        return;
    }
    let host = Host::boot("full");
    let caddyfile = || host.sh("cat /etc/caddy/Caddyfile; ls /etc/caddy");
    let before = caddyfile();
    let with = |pair: &str| {
        host.install(&["--set", pair]).exits(0);
        host.tool(&["plan", "--exit-code"]).exits(0);
    };
    let page = "curl -sk -o /dev/null -w '%{http_code}' --resolve auth.lab.example:443:127.0.0.1 \
        https://auth.lab.example/if/flow/default-authentication-flow/ || true";
    with("proxy.enabled=true");
    assert_eq!(host.sh(page), "200");
    with("proxy.enabled=false");
    host.tool(&["verify"]).exits(0).says("is healthy");
    assert_eq!((caddyfile(), host.sh(page)), (before.clone(), "000".into()));
    assert_eq!(host.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/"), "200");
    // What appears there now is not ours, also where it was made from ours.
    host.sh(
        "mkdir /etc/caddy/authentik.d; echo '# Written by authentik-install, once' >/etc/caddy/authentik.d/authentik.caddyfile",
    );
    host.install(&["--set", "proxy.enabled=false"]).exits(0).says("nothing had to be changed");
    host.sh("rm -r /etc/caddy/authentik.d");
    with("proxy.enabled=true");
    assert_eq!(host.sh(page), "200");
}

/// Another value would begin an empty authentik beside the old one.
#[test]
fn what_is_settled_is_not_left_behind() {
    let host = Host::installed();
    host.podman("exec authentik-server sh -c 'echo kept >/data/media/f'").exits(0);
    let with = |pair: &str| host.tool(&["install", "--yes", "--set", pair]);
    with("database.name=other").exits(3).says("authentik's database is authentik, not other");
    with("user=other").exits(3).says("installed here for another user");
    with("data_dir=/srv/authentik/data")
        .exits(3)
        .says("cp -a /var/lib/authentik/data/. /srv/authentik/data/");
    host.sh("mkdir -p /srv/authentik/data; cp -a /var/lib/authentik/data/. /srv/authentik/data/; \
        chown --reference=/var/lib/authentik/data /srv/authentik/data; chmod 750 /srv/authentik/data");
    with("data_dir=/srv/authentik/data").exits(0);
    assert_eq!(host.podman("exec authentik-server cat /data/media/f").out, "kept\n");
    assert_eq!(host.sql("SELECT count(*) FROM authentik_core_user"), "1");
    host.tool(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn a_stopped_service_stays_stopped_and_starts_again() {
    if !wanted("a stopped service") {
        return;
    }
    let host = Host::installed();
    host.tool(&[
        "install",
        "--yes",
        "--set",
        "service.started=false",
        "--set",
        "service.enabled=false",
    ])
    .exits(0)
    .says("stop the pod");
    assert_eq!(host.sh("ss -Hltn 'sport = :9000'"), "");
    host.tool(&["plan", "--exit-code"]).exits(0);
    // What is not to run is not ill.
    host.tool(&["verify"]).exits(0).says("is healthy");
    let boots_without_it = || {
        host.power_cut();
        host.sh("sleep 3; systemctl is-active user@$(id -u authentik)");
        assert_eq!(host.sh("ss -Hltn 'sport = :9000'"), "");
    };
    boots_without_it();
    // Started now, and not at boot.
    let started = ["install", "--yes", "--set", "service.started=true"];
    host.tool(&started).exits(0);
    host.wait_ready();
    boots_without_it();
    host.tool(&[
        "install",
        "--yes",
        "--set",
        "service.started=true",
        "--set",
        "proxy.enabled=false",
    ])
    .exits(0);
    host.wait_ready();
    host.tool(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn wrong_settings_are_refused_with_their_line() {
    let host = Host::boot("full");
    host.tool(&["settings", "init", "--domain", DOMAIN]).exits(0).says("install.toml is written");
    host.tool(&["settings", "init"]).exits(2).says("it is there already");
    host.tool(&["settings", "check"]).exits(0);
    let before = host.trace();
    let toml = "/etc/authentik/install.toml";
    let try_with = |text: &str, said: &[&str]| {
        host.sh(&format!("cp -p {toml} {toml}.orig; cat >>{toml} <<'END'\n{text}\nEND"));
        let answer = host.tool(&["install", "--yes"]).exits(2);
        let check = host.tool(&["settings", "check"]).exits(2);
        for word in said {
            assert!(
                answer.err.contains(word) && check.err.contains(word),
                "{word} in {}",
                answer.err
            );
        }
        host.sh(&format!("mv {toml}.orig {toml}"));
    };
    try_with(
        "AUTHENTIK_WORKER__CONCURRENCY = \"2\"",
        &["install.toml:", "AUTHENTIK_WORKER__THREADS"],
    );
    try_with("AUTHENTIK_LISTEN__HTTP = \"0.0.0.0:80\"", &["install.toml:", "http_port"]);
    try_with("[nonsense]\nkey = 1", &["line ", "nonsense"]);
    host.sh(&format!(
        "cp -p {toml} {toml}.orig; sed -i 's/^tls = \"acme\"/tls = \"acmee\"/' {toml}"
    ));
    host.tool(&["settings", "check"]).exits(2).says("acmee").says("line ");
    host.sh(&format!("mv {toml}.orig {toml}"));

    // Secrets that some part of authentik would read as something else.
    for bad in ["12345678", "file:///etc/shadow", "true", " blank", "//[x"] {
        std::fs::write(host.folder("varlib").join("lab/bad"), format!("{bad}\n")).unwrap();
        host.tool(&["install", "--yes", "--set", "secret_key_file=/var/lib/lab/bad"])
            .exits(2)
            .says("/var/lib/lab/bad");
    }
    // As a systemd credential.
    host.sh("printf 'a:@ /b' >/var/lib/lab/database_password");
    let credentials = "systemd-run --quiet --wait --pipe -p LoadCredential=database_password:/var/lib/lab/database_password \
        /var/lib/lab/authentik-install plan";
    let planned = host.sh(credentials);
    assert!(
        planned.contains("write the given secret into /etc/authentik/secrets/database_password"),
        "{planned}"
    );
    host.sh("printf '4711' >/var/lib/lab/database_password");
    host.run(&["sh", "-c", credentials]).exits(2).says("reads as a number");
    assert_same(&before, &host.trace());
}
