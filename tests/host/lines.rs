//! Every release line, with Valkey where it uses one, in both user namespace modes.

use crate::lab::{Host, image};
use crate::sweeps::wanted;

impl Host {
    /// `install` of another version, from its own archive.
    pub fn install_version(&self, version: &str, more: &[&str]) -> crate::lab::Answer {
        let chosen = self.chosen(version);
        let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
        self.install(&[&chosen, more].concat())
    }

    /// The flags for another version, whose archive is put into the host.
    pub fn chosen(&self, version: &str) -> Vec<String> {
        let file = format!("{version}.tar");
        let inside = self.folder("varlib").join("lab").join(&file);
        if !inside.exists() {
            std::fs::hard_link(image(version), &inside)
                .or_else(|_| std::fs::copy(image(version), &inside).map(drop))
                .expect("the image goes in");
        }
        let archive = format!("/var/lib/lab/{file}");
        let allowed = ["--allow-unsupported-line", "--allow-unknown-line"];
        [&allowed[..], &["--version", version, "--image-archive", &archive]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    pub fn valkey(&self, args: &str) -> String {
        let password = "$(cat /etc/authentik/secrets/cache_password 2>/dev/null)";
        self.sh(&format!("REDISCLI_AUTH=\"{password}\" valkey-cli --no-auth-warning {args}"))
            .trim()
            .to_owned()
    }

    fn ready(&self) -> String {
        self.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9000/-/health/ready/")
    }
}

const SOCKET: &str = "/run/valkey/valkey.sock";

#[test]
fn valkey_by_its_socket_for_2025_8() {
    if !wanted("Valkey by its socket") {
        return;
    }
    let host = Host::boot("full");
    let shipped = host.sh("cat /etc/valkey/valkey.conf | sha256sum");
    host.install_version("2025.8.6", &[]).exits(0).says("upstream does not mend authentik 2025.8");
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");

    assert_eq!(
        host.sh(&format!("stat -c '%U:%G %a %F' {SOCKET}")).trim(),
        "valkey:valkey 770 socket"
    );
    assert_eq!(host.sh("cat /etc/valkey/valkey.conf | sha256sum"), shipped);
    for way in ["-p 6379", &format!("-s {SOCKET}")] {
        assert!(
            host.sh(&format!("valkey-cli {way} ping 2>&1 || true")).contains("NOAUTH"),
            "{way}"
        );
    }
    // The cache, the channel layer and the outpost, each by its own settings.
    let keys = || {
        host.valkey(&format!(
            "-s {SOCKET} -n 0 --scan --pattern 'authentik:lab:*' | sort | tr '\\n' ' '"
        ))
    };
    assert_eq!(keys(), "authentik:lab:0 authentik:lab:1 authentik:lab:2");
    let gid = host.sh("getent group valkey | cut -d: -f3");
    for name in ["authentik-server", "authentik-worker"] {
        let pid =
            host.podman(&format!("inspect --format '{{{{.State.Pid}}}}' {name}")).exits(0).out;
        let groups = host.sh(&format!("grep ^Groups: /proc/{}/status", pid.trim()));
        assert!(groups.split_whitespace().any(|group| group == gid.trim()), "{name}: {groups}");
    }
    host.podman("exec authentik-server touch /media/x").exits(0);
    host.sh("test -e /var/lib/authentik/media/x; ! test -e /var/lib/authentik/data");
    let password = host.sh("cat /etc/authentik/secrets/cache_password");
    let seen =
        host.sh(&format!("journalctl --no-pager -o verbose | grep -cF '{password}' || true"));
    assert_eq!(seen.trim(), "0");
    let dry = host.tool(&["plan", "--diff"]).exits(0);
    assert!(!dry.out.contains(&password));
    host.tool(&["admin", "link"]).exits(0).says("/recovery/use-token/");

    // A restart of Valkey: the same folder, the link again, and the containers go on.
    let started = host.podman("ps --format '{{.Names}} {{.StartedAt}}'").out;
    host.sh(&format!("systemctl restart valkey-server; test -S {SOCKET}; test -L {SOCKET}:6379"));
    assert_eq!(host.ready(), "200");
    assert_eq!(host.podman("ps --format '{{.Names}} {{.StartedAt}}'").out, started);
    host.tool(&["plan", "--exit-code"]).exits(0);
    host.power_cut();
    host.wait_ready();
    assert_eq!(host.ready(), "200");
    // What somebody undid is brought back.
    host.sh(&format!("rm {SOCKET}:6379"));
    host.tool(&["install", "--yes"]).exits(0).says("to the socket beside it");
    host.sh("rm /etc/authentik/valkey.conf && systemctl restart valkey-server || true");
    host.tool(&["install", "--yes"]).exits(0).says("make valkey-server.service listen on");
    assert_eq!(host.ready(), "200");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
}

#[test]
fn a_shared_valkey_keeps_its_keys_and_its_door() {
    let host = Host::boot("full");
    host.sh("valkey-cli -n 0 set theirs 0; valkey-cli -n 1 set theirs 1");
    host.install_version("2025.6.4", &["--user-namespace", "keep-id"]).exits(0);
    assert_eq!(host.sh("valkey-cli -n 0 get theirs; valkey-cli -n 1 get theirs"), "0\n1\n");
    host.sh("! test -e /etc/authentik/secrets/cache_password");
    let url = host.sh("cat /etc/authentik/secrets/broker_url");
    assert_eq!(url, format!("redis+socket://{SOCKET}?virtual_host=2"));
    assert_eq!(host.sh("cat /etc/authentik/secrets/cache_url"), format!("unix://{SOCKET}?db=2"));
    assert_eq!(host.sh("valkey-cli -n 2 --scan --pattern 'authentik:lab:*' | wc -l").trim(), "5");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    // The number stays, also when another becomes free.
    host.sh("valkey-cli -n 0 del theirs");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    // What is kept there of what was there before goes with it, and nobody else's.
    host.tool(&["backup"]).exits(0);
    host.sh("valkey-cli -n 2 set stale 1");
    host.tool(&["restore", "latest", "--yes", "--no-safety-backup"]).exits(0);
    assert_eq!(host.sh("valkey-cli -n 2 exists stale; valkey-cli -n 1 get theirs"), "0\n1\n");
}

#[test]
fn a_socket_and_a_password_that_are_there_are_used() {
    let host = Host::boot("full");
    let odd = r#"p@s:s/w%o#r"d\ 1"#;
    std::fs::write(host.folder("varlib").join("lab/pw"), format!("{odd}\n")).unwrap();
    std::fs::write(
        host.folder("varlib").join("lab/add"),
        "unixsocket /run/valkey/own.sock\nunixsocketperm 770\nuser other on >elsewhere ~other:* +@all\nrequirepass \"p@s:s/w%o#r\\\"d\\\\ 1\"\n",
    )
    .unwrap();
    host.sh("cat /var/lib/lab/add >>/etc/valkey/valkey.conf; systemctl restart valkey-server");
    let before =
        host.sh("sha256sum /etc/valkey/valkey.conf; systemctl show -p ExecMainPID valkey-server");
    host.install_version("2025.8.6", &[])
        .exits(3)
        .says("it wants a password")
        .says("cache.password_file");
    host.sh("! test -e /etc/authentik");
    host.install_version(
        "2025.8.6",
        &["--set", "cache.password_file=/var/lib/lab/pw", "--set", "cache.database=7"],
    )
    .exits(0);
    assert_eq!(host.ready(), "200");
    assert_eq!(
        host.sh("sha256sum /etc/valkey/valkey.conf; systemctl show -p ExecMainPID valkey-server"),
        before,
        "not even restarted"
    );
    host.sh(&format!("! test -e {SOCKET}; ! test -e /etc/authentik/valkey.conf"));
    assert_eq!(host.valkey("-s /run/valkey/own.sock -n 7 dbsize"), "3");
    host.sh("rm /var/lib/lab/pw");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
}

#[test]
fn a_valkey_without_a_port_is_used_by_its_socket() {
    if !wanted("a Valkey without a port") {
        return;
    }
    let host = Host::boot("full");
    let theirs = "/run/valkey/own.sock";
    host.sh(&format!("printf 'port 0\nunixsocket {theirs}\nunixsocketperm 700\n' >>/etc/valkey/valkey.conf; systemctl restart valkey-server; valkey-cli -s {theirs} set theirs 1"));
    let conf = host.sh("sha256sum /etc/valkey/valkey.conf");
    host.install_version("2025.8.6", &[]).exits(0);
    assert_eq!(host.ready(), "200");
    let state = format!("stat -c %a {theirs}; valkey-cli -s {theirs} get theirs");
    assert_eq!(host.sh(&state), "770\n1\n");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    host.tool(&["uninstall", "--yes"]).exits(0);
    assert_eq!(host.sh(&state), "700\n1\n");
    assert_eq!(host.sh("sha256sum /etc/valkey/valkey.conf"), conf);
}

#[test]
fn a_valkey_that_does_not_take_it_is_as_before() {
    if !wanted("a Valkey that does not take it") {
        return;
    }
    let host = Host::boot("full");
    // Somebody else's drop-in has the last word.
    host.sh("mkdir /etc/systemd/system/valkey-server.service.d
        printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/valkey-server /etc/valkey/valkey.conf --supervised systemd --daemonize no\\n' \
          >/etc/systemd/system/valkey-server.service.d/zz.conf; systemctl daemon-reload");
    host.install_version("2025.8.6", &[])
        .exits(1)
        .says("the old state is back")
        .says("valkey.sock");
    assert_eq!(
        host.sh("ls /etc/systemd/system/valkey-server.service.d; valkey-cli ping"),
        "zz.conf\nPONG\n"
    );
    host.sh("! test -e /etc/authentik/valkey.conf");
    host.sh("rm /etc/systemd/system/valkey-server.service.d/zz.conf; systemctl daemon-reload");
    host.install_version("2025.8.6", &[]).exits(0);
    host.sh("systemctl stop valkey-server");
    host.tool(&["install", "--yes"]).exits(0).says("restart valkey-server.service");
}

/// A line of each kind; with `tests/run --full` all of them, in both modes, and with
/// `AUTHENTIK_INSTALL_FULL=2024` those of that year.
#[test]
fn lines_install_and_come_to_rest() {
    let full = std::env::var("AUTHENTIK_INSTALL_FULL").ok();
    let swept = |version: &str| {
        full.as_ref().is_some_and(|start| start == "1" || version.starts_with(start.as_str()))
    };
    let table =
        std::fs::read_to_string(crate::lab::root().join("embedded/tables/releases.toml")).unwrap();
    let defaults = table.lines().filter_map(|line| line.strip_prefix("default = "));
    // And one that the table does not know.
    for version in defaults.map(|text| text.trim_matches('"')).chain(["2027.2.1"]) {
        for mode in ["host", "keep-id"] {
            let chosen = [("2024.2.4", "host"), ("2025.10.4", "keep-id"), ("2027.2.1", "host")];
            if !swept(version) && (full.is_some() || !chosen.contains(&(version, mode))) {
                continue;
            }
            let host = Host::boot("full");
            host.install_version(version, &["--user-namespace", mode]).exits(0);
            assert_eq!(
                host.public("/if/flow/default-authentication-flow/"),
                "200",
                "{version} {mode}"
            );
            host.tool(&["plan", "--exit-code"]).exits(0);
            eprintln!("{version} {mode}: installed, served, at rest");
        }
    }
}
