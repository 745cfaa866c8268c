//! What the blueprint makes of known settings and facts, as a text to read in review. That the real
//! programs understand it is proven on booted hosts, where each file is tried before it is written.
#![allow(missing_docs, clippy::unwrap_used)]

use authentik_install::blueprint::{Phase, phase};
use authentik_install::facts::cache::{Cache, Guard};
use authentik_install::facts::proxy::Proxy;
use authentik_install::facts::{Fact, Facts, Ids};
use authentik_install::host::accounts::Account;
use authentik_install::host::caddy::Caddy;
use authentik_install::host::files::Perms;
use authentik_install::host::podman::Image;
use authentik_install::host::postgres::Server;
use authentik_install::host::valkey::Valkey;
use authentik_install::settings::resolve::OneTime;
use authentik_install::settings::{Input, Settings};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn account(name: &str, id: u32, home: &str) -> Account {
    let (home, shell) = (home.into(), "/usr/sbin/nologin".into());
    Account { name: name.into(), uid: id, gid: id, home, shell }
}

fn facts() -> Facts {
    Facts {
        account: Some(account("authentik", 999, "/var/lib/authentik/home")),
        container: Some(Ids { uid: 100_999, gid: 100_999 }),
        postgres: Fact::Known(Server {
            owner: account("postgres", 101, "/var/lib/postgresql"),
            socket_dir: "/run/postgresql".into(),
            port: 5432,
            version: 170_012,
            data_dir: "/var/lib/postgresql/17/main".into(),
            hba_file: "/etc/postgresql/17/main/pg_hba.conf".into(),
            unit: Some("postgresql@17-main.service".into()),
            standby: false,
        }),
        container_before: None,
        program: "/usr/local/bin/authentik-install".into(),
        selinux: false,
        installed: Fact::Absent,
        cache: Fact::Absent,
        image: Some(Image {
            digest: format!("sha256:{}", "0".repeat(64)),
            architecture: "amd64".into(),
        }),
        proxy: Fact::Known(Proxy {
            caddy: Caddy {
                user: account("caddy", 996, "/var/lib/caddy"),
                caddyfile: "/etc/caddy/Caddyfile".into(),
            },
            site: "/etc/caddy/authentik.d/authentik.caddyfile".into(),
            import: Some("import /etc/caddy/authentik.d/*.caddyfile".into()),
        }),
    }
}

fn settings(text: &str) -> Settings {
    let once = OneTime {
        settings_path: "/etc/authentik/install.toml".into(),
        image_archive: None,
        admin_password: None,
        deadline: Duration::from_secs(900),
    };
    let input = Input::from_toml(text, Path::new("install.toml")).unwrap();
    Settings::resolve(Input::default(), (input, text), once).unwrap()
}

// Every rendered text of a phase, by the resource that writes it.
fn texts(of: Phase, settings: &Settings) -> String {
    texts_of(of, settings, &facts())
}

fn texts_of(of: Phase, settings: &Settings, facts: &Facts) -> String {
    let mut out = String::new();
    for step in phase(of, settings, facts).unwrap() {
        let shown = format!("{step:?}");
        for key in [" text: \"", " dropin: \""] {
            if let Some((_, rest)) = shown.split_once(key) {
                let text = rest.split("\", wanted").next().unwrap();
                let text = text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\"");
                out.push_str(&format!("== {}\n{text}\n", step.id()));
            }
        }
    }
    out
}

#[test]
fn units_of_2026_8() {
    let settings = settings("domain = \"auth.example.com\"");
    insta::assert_snapshot!(texts(Phase::Containers, &settings));
}

#[test]
fn units_without_a_password() {
    let settings = settings(
        "domain = \"auth.example.com:8443\"\nuser_namespace = \"keep-id\"\nhttps_port = 9443\n\
         media_dir = \"/srv/media\"\n[service]\nenabled = false\n[database]\nauth = \"peer\"\n\
         [email]\nhost = \"mail.example.com\"\n[env]\nAUTHENTIK_LOG_LEVEL = \"debug\"",
    );
    insta::assert_snapshot!(texts(Phase::Containers, &settings));
}

#[test]
fn no_label_where_selinux_enforces() {
    let settings = settings("domain = \"auth.example.com\"");
    let says = |selinux| {
        let units = texts_of(Phase::Containers, &settings, &Facts { selinux, ..facts() });
        units.matches("SecurityLabelDisable=true").count()
    };
    assert_eq!((says(true), says(false)), (2, 0));
}

#[test]
fn units_of_2025_10() {
    let settings = settings(
        "domain = \"auth.example.com\"\nversion = \"2025.10.4\"\nallow_unsupported_line = true",
    );
    insta::assert_snapshot!(texts(Phase::Containers, &settings));
}

fn valkey() -> Cache {
    let socket = PathBuf::from("/run/valkey/valkey.sock");
    Cache {
        valkey: Valkey {
            unit: "valkey-server.service".into(),
            user: account("valkey", 105, "/var/lib/valkey"),
            group: "valkey".into(),
            command:
                "/usr/bin/valkey-server /etc/valkey/valkey.conf --supervised systemd --daemonize no"
                    .into(),
            runtime_dir: "/run/valkey".into(),
            sockets: vec![socket.clone()],
            ports: vec![6379],
        },
        socket: Some((socket, Perms { uid: 105, gid: 105, mode: 0o770 })),
        dir: "/run/valkey".into(),
        answer: None,
        guard: Guard::Ours,
        socket_is_ours: true,
        database: Some(1),
    }
}

#[test]
fn the_way_to_valkey() {
    let settings = settings(
        "domain = \"auth.example.com\"\nversion = \"2025.6.4\"\nallow_unsupported_line = true",
    );
    let facts = Facts { cache: Fact::Known(valkey()), ..facts() };
    let units = texts_of(Phase::Containers, &settings, &facts);
    let of_valkey =
        |line: &&str| line.contains("REDIS") || line.contains("URL") || line.contains("valkey");
    let lines: Vec<&str> = units.lines().filter(of_valkey).collect();
    let cache: Vec<String> = phase(Phase::Cache, &settings, &facts)
        .unwrap()
        .iter()
        .map(|step| format!("{step:#?}"))
        .collect();
    insta::assert_snapshot!(format!("{}\n{}", lines.join("\n"), cache.join("\n")));
}

#[test]
fn sites() {
    let acme = settings("domain = \"auth.example.com\"\n[proxy]\nacme_email = \"a@example.com\"");
    let internal = settings("domain = \"auth.lan.internal\"\n[proxy]\ntls = \"internal\"");
    let files = settings(
        "domain = \"auth.example.com:8443\"\n[proxy]\ntls = \"files\"\n\
         certificate = \"/etc/ssl/a.pem\"\nkey = \"/etc/ssl/a.key\"",
    );
    let all = [&acme, &internal, &files].map(|settings| texts(Phase::Proxy, settings));
    insta::assert_snapshot!(all.concat());
}
