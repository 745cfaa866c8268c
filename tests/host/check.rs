//! Each check sees the one thing that it is for, and no other check is alarmed.

use crate::lab::Host;
use std::collections::BTreeMap;

type Rows = BTreeMap<String, (String, String)>;

fn rows(host: &Host, more: &[&str]) -> Rows {
    let answer = host.tool(&[&["check", "--json"][..], more].concat());
    let report: serde_json::Value = serde_json::from_str(&answer.out).expect("JSON");
    let text =
        |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows: Rows = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                text(row, "id"),
                (text(row, "level"), format!("{} {}", text(row, "found"), text(row, "cure"))),
            )
        })
        .collect();
    let blocks = |row: &serde_json::Value| row["blocks"] == true;
    let fit = !report["checks"].as_array().unwrap().iter().any(blocks);
    assert_eq!((report["fit"].as_bool(), answer.code), (Some(fit), if fit { 0 } else { 3 }));
    rows
}

struct Case {
    /// Breaks it.
    with: &'static str,
    /// Mends it.
    after: &'static str,
    id: &'static str,
    level: &'static str,
    says: &'static str,
}

const fn case(
    id: &'static str,
    level: &'static str,
    says: &'static str,
    with: &'static str,
    after: &'static str,
) -> Case {
    Case { with, after, id, level, says }
}

const CASES: &[Case] = &[
    case(
        "user-namespaces",
        "fail",
        "sysctl -w user.max_user_namespaces",
        "echo 0 >/run/zero; mount --bind /run/zero /proc/sys/user/max_user_namespaces",
        "umount /proc/sys/user/max_user_namespaces",
    ),
    case(
        "crun",
        "fail",
        "not installed",
        "mv /usr/bin/crun /usr/bin/crun.x",
        "mv /usr/bin/crun.x /usr/bin/crun",
    ),
    case(
        "passt",
        "fail",
        "no network",
        "mv /usr/bin/pasta /usr/bin/pasta.x",
        "mv /usr/bin/pasta.x /usr/bin/pasta",
    ),
    case(
        "rootless-helpers",
        "fail",
        "neither setuid",
        "chmod u-s /usr/bin/newuidmap",
        "chmod u+s /usr/bin/newuidmap",
    ),
    case(
        "rootless-helpers",
        "fail",
        "newgidmap",
        "mv /usr/bin/newgidmap /usr/bin/x",
        "mv /usr/bin/x /usr/bin/newgidmap",
    ),
    case(
        "session",
        "fail",
        "masked",
        "systemctl mask --runtime systemd-logind 2>/dev/null",
        "systemctl unmask --runtime systemd-logind 2>/dev/null",
    ),
    case(
        "subordinate-ids",
        "fail",
        "a and b share ids from 150000",
        "cp -p /etc/subuid /etc/subuid.x; printf 'a:100000:65536\\nb:150000:10\\n' >>/etc/subuid",
        "mv /etc/subuid.x /etc/subuid",
    ),
    case(
        "image-policy",
        "fail",
        "rejects images of ghcr.io",
        "cp -p /etc/containers/policy.json /run/p; echo '{\"default\":[{\"type\":\"reject\"}]}' >/etc/containers/policy.json",
        "cp -p /run/p /etc/containers/policy.json",
    ),
    case(
        "image-policy",
        "fail",
        "no policy.json",
        "mv /etc/containers/policy.json /run/p",
        "mv /run/p /etc/containers/policy.json",
    ),
    case(
        "keyring",
        "fail",
        "kernel keys",
        "echo 5 >/run/five; mount --bind /run/five /proc/sys/kernel/keys/maxkeys",
        "umount /proc/sys/kernel/keys/maxkeys",
    ),
    case(
        "stray-units",
        "fail",
        "instead of our unit",
        "touch /etc/systemd/user/authentik-server.service",
        "rm /etc/systemd/user/authentik-server.service",
    ),
    case(
        "stray-units",
        "warn",
        "runs for every user",
        "mkdir -p /etc/containers/systemd/users; touch /etc/containers/systemd/users/x.container",
        "rm -r /etc/containers/systemd/users",
    ),
    case(
        "postgresql",
        "fail",
        "does not run",
        "systemctl stop postgresql@$PG-main",
        "systemctl start postgresql@$PG-main",
    ),
    case(
        "postgresql",
        "warn",
        "connections are taken",
        "runuser -u postgres -- psql -qc 'ALTER SYSTEM SET max_connections = 20'; systemctl restart postgresql@$PG-main",
        "runuser -u postgres -- psql -qc 'ALTER SYSTEM RESET max_connections'; systemctl restart postgresql@$PG-main",
    ),
    case(
        "postgresql",
        "ok",
        "not used: postgresql@$PG-other.service",
        "pg_createcluster $PG other --start >/dev/null",
        "pg_dropcluster --stop $PG other",
    ),
    case(
        "postgresql",
        "fail",
        "standby",
        "touch /var/lib/postgresql/$PG/main/standby.signal; systemctl restart postgresql@$PG-main",
        "rm /var/lib/postgresql/$PG/main/standby.signal; systemctl restart postgresql@$PG-main",
    ),
    case(
        "caddy-config",
        "fail",
        "Caddyfile:1",
        "cp -p /etc/caddy/Caddyfile /run/c; echo '}{' >/etc/caddy/Caddyfile",
        "cp -p /run/c /etc/caddy/Caddyfile",
    ),
    case(
        "caddy-config",
        "fail",
        "admin endpoint",
        "cp -p /etc/caddy/Caddyfile /run/c; printf '{\\n\\tadmin off\\n}\\n' >/etc/caddy/Caddyfile; systemctl restart caddy",
        "cp -p /run/c /etc/caddy/Caddyfile; systemctl restart caddy",
    ),
    case(
        "caddy",
        "fail",
        "--resume",
        "mkdir /etc/systemd/system/caddy.service.d; printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/caddy run --resume --environ --config /etc/caddy/Caddyfile\\n' \
        >/etc/systemd/system/caddy.service.d/x.conf; systemctl daemon-reload",
        "rm -r /etc/systemd/system/caddy.service.d; systemctl daemon-reload",
    ),
    case(
        "port-https",
        "fail",
        "port 443 is taken by systemd-socket",
        "systemd-run --quiet --unit taken systemd-socket-activate -l 443 cat; for i in $(seq 100); do ss -Hltn 'sport = :443' | grep -q . && break; sleep 0.1; done",
        "systemctl stop taken",
    ),
    case(
        "port-authentik",
        "fail",
        "port 9000 is taken by",
        "systemd-run --quiet --unit taken systemd-socket-activate -l 127.0.0.1:9000 cat; for i in $(seq 100); do ss -Hltn 'sport = :9000' | grep -q . && break; sleep 0.1; done",
        "systemctl stop taken",
    ),
    case(
        "domain",
        "warn",
        "no address of this host",
        "echo 192.0.2.7 auth.lab.example >>/etc/hosts",
        "sed -i '$d' /etc/hosts",
    ),
    case(
        "domain",
        "ok",
        "this host",
        "echo 127.0.0.1 auth.lab.example >>/etc/hosts",
        "sed -i '$d' /etc/hosts",
    ),
    case(
        "machine",
        "warn",
        "inside lxc",
        "echo lxc >/run/lxc; mount --bind /run/lxc /run/host/container-manager",
        "umount /run/host/container-manager",
    ),
    case(
        "machine",
        "warn",
        "stops with its last window",
        "echo wsl >/run/wsl; mount --bind /run/wsl /run/host/container-manager",
        "umount /run/host/container-manager",
    ),
    case(
        "memory",
        "fail",
        "1.5 GiB of memory; authentik needs 2",
        "sed 's/^MemTotal:.*/MemTotal: 1572864 kB/' /proc/meminfo >/run/m; mount --bind /run/m /proc/meminfo",
        "umount /proc/meminfo",
    ),
    case(
        "memory",
        "warn",
        "4 are better",
        "sed 's/^MemTotal:.*/MemTotal: 2097152 kB/' /proc/meminfo >/run/m; mount --bind /run/m /proc/meminfo",
        "umount /proc/meminfo",
    ),
    case(
        "disk",
        "fail",
        "at least 5 are needed",
        "mkdir /var/lib/authentik; mount -t tmpfs -o size=1g tmpfs /var/lib/authentik",
        "umount /var/lib/authentik; rmdir /var/lib/authentik",
    ),
    case(
        "disk",
        "warn",
        "10 are better",
        "mkdir /var/lib/authentik; mount -t tmpfs -o size=7g tmpfs /var/lib/authentik",
        "umount /var/lib/authentik; rmdir /var/lib/authentik",
    ),
    case(
        "cgroup",
        "warn",
        "without the pids controller",
        "echo cpu memory >/run/g; mount --bind /run/g /sys/fs/cgroup/cgroup.controllers",
        "umount /sys/fs/cgroup/cgroup.controllers",
    ),
    case(
        "user-namespaces",
        "warn",
        "AppArmor keeps programs",
        "mkdir /run/k; cp -r /proc/sys/kernel/. /run/k 2>/dev/null; echo 1 >/run/k/apparmor_restrict_unprivileged_userns; mount --bind /run/k /proc/sys/kernel;          [ ! -e /etc/apparmor.d/podman ] || mv /etc/apparmor.d/podman /run/a",
        "umount /proc/sys/kernel; rm -r /run/k; [ ! -e /run/a ] || mv /run/a /etc/apparmor.d/podman",
    ),
    case("machine", "ok", "ostree", "touch /run/ostree-booted", "rm /run/ostree-booted"),
    case(
        "security",
        "warn",
        "SELinux enforces",
        "mount -t tmpfs tmpfs /sys/fs/selinux; echo 1 >/sys/fs/selinux/enforce",
        "umount /sys/fs/selinux",
    ),
    case(
        "firewall",
        "warn",
        "port 80 and 443",
        "nft add table inet f; nft 'add chain inet f input { type filter hook input priority 0; policy drop; }'; nft add rule inet f input iif lo accept",
        "nft delete table inet f",
    ),
    case(
        "firewall",
        "warn",
        "close port 443",
        "nft add table inet f; nft 'add chain inet f input { type filter hook input priority 0; policy drop; }'; nft add rule inet f input iif lo accept; nft add rule inet f input tcp dport 80 accept",
        "nft delete table inet f",
    ),
];

#[test]
fn each_check_sees_its_own_thing() {
    let host = Host::boot("full");
    let domain = ["--domain", "auth.lab.example"];
    let before = rows(&host, &domain);
    for (id, (level, found)) in &before {
        assert!(["ok", "warn"].contains(&level.as_str()), "{id}: {level} {found}");
    }
    assert!(before["machine"].1.contains("inside systemd-nspawn"), "{:?}", before["machine"]);
    assert!(before["valkey"].1.contains("needs none"), "{:?}", before["valkey"]);
    let major = host.major();
    for Case { with, after, id, level, says } in CASES {
        let says = &says.replace("$PG", &major);
        host.sh(with);
        let mut found = rows(&host, &domain);
        host.sh(after);
        let (is, text) = found.remove(*id).unwrap();
        assert!(is == *level && text.contains(says), "{id} after {with}: {is} {text}");
        for (other, (is, text)) in found {
            assert!(is == before[&other].0, "{other} is {is} ({text}) after {with}");
        }
    }
    assert_eq!(
        rows(&host, &domain).values().map(|row| &row.0).collect::<Vec<_>>(),
        before.values().map(|row| &row.0).collect::<Vec<_>>()
    );

    let old = ["--domain", "auth.lab.example", "--version", "2025.8.6", "--allow-unsupported-line"];
    assert_eq!(rows(&host, &old)["valkey"].0, "ok");
    host.sh("valkey-cli config set maxmemory-policy allkeys-lru");
    assert!(rows(&host, &old)["valkey"].1.contains("drops keys"));
    host.sh("systemctl stop valkey-server");
    assert!(rows(&host, &old)["valkey"].1.contains("systemctl enable --now valkey-server.service"));
    assert_eq!(rows(&host, &domain)["valkey"].0, "ok");

    let own = [
        "--tls",
        "files",
        "--set",
        "proxy.certificate=/etc/ssl/x.pem",
        "--set",
        "proxy.key=/etc/ssl/x.key",
    ];
    let own = || rows(&host, &[&domain[..], &own].concat()).remove("certificate-files").unwrap();
    assert!(own().0 == "fail" && own().1.contains("/etc/ssl/x.pem: there is no such file"));
    host.sh("touch /etc/ssl/real; ln -s real /etc/ssl/x.pem");
    assert!(own().1.contains("/etc/ssl/x.key: there is no such file"));
    host.sh("ln -s real /etc/ssl/x.key");
    assert_eq!(own().0, "ok");

    // A name server that does not answer: not known, and no obstacle.
    host.sh("echo nameserver 127.0.0.9 >/etc/resolv.conf; nft add table inet f; nft 'add chain inet f input { type filter hook input priority 0; }'; nft add rule inet f input udp dport 53 drop");
    assert_eq!(rows(&host, &["--domain", "unknown.lab.example"])["domain"].0, "unknown");
    assert_eq!(host.tool(&["check", "--domain", "unknown.lab.example"]).code, 0);
}

/// On an installed host everything is as it should be, and looking leaves nothing behind.
#[test]
fn an_installed_host_is_fit() {
    let host = Host::installed();
    let before = host.trace();
    let rows = rows(&host, &[]);
    assert!(rows.values().all(|(level, _)| level == "ok" || level == "warn"), "{rows:#?}");
    assert!(
        rows["keyring"].1.contains("kernel keys are taken") && !rows["keyring"].1.starts_with("0 "),
        "{rows:#?}"
    );
    crate::lab::assert_same(&before, &host.trace());
}
