//! A bare host gets what it lacks from its own archive.

use crate::lab::{Host, INSTALL};

#[test]
fn a_bare_host_becomes_an_authentik_server() {
    let host = Host::bare_with_internet();
    // Somebody's configuration is there before the package is.
    host.sh("mkdir -p /etc/caddy; printf ':8080 {\\n\\trespond hello\\n}\\n' >/etc/caddy/Caddyfile; apt-get update -q");
    let listed = host.tool(&["check"]).exits(3).out;
    let line = listed.lines().find_map(|line| line.strip_prefix("All that is missing: ")).unwrap();
    for name in [
        "podman",
        "crun",
        "passt",
        "uidmap",
        "catatonit",
        "dbus-user-session",
        "postgresql",
        "caddy",
    ] {
        assert!(line.split(' ').any(|word| word == name), "{name} in {line}");
    }
    let installed = || host.sh("dpkg-query -W | sort");
    let before = installed();
    host.install(&[]).exits(3).says("Podman is not installed");
    let dry = host.install(&["--install-packages", "--dry-run"]).exits(0);
    assert!(dry.out.contains(line), "{}", dry.out);
    assert_eq!(installed(), before);

    // Another package manager is at work, and is waited for: it looks at the archives, and then it installs.
    host.sh("systemd-run -q --unit=lists perl -MFcntl -e 'open(F, q(>>/var/lib/apt/lists/lock)); $l = pack(q(s s x4 q q l x4), F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; sleep 600'; sleep 1; systemctl is-active lists");
    host.sh("systemd-run -q --unit=other --service-type=exec apt-get -o DPkg::Pre-Invoke::='touch /run/locked; sleep 15' install -y -q hello; \
             for i in $(seq 600); do [ -e /run/locked ] && exit 0; sleep 0.2; done; exit 1");
    // Killed while packages are unpacked, we leave them to come to their end.
    host.sh(&format!(
        "systemd-run -q --unit=ours --service-type=exec /var/lib/lab/authentik-install {} --install-packages; \
         for i in $(seq 600); do journalctl -u ours -o cat | grep -q apt/lists/lock && break; sleep 0.1; done; systemctl stop lists; \
         for i in $(seq 600); do pgrep -x dpkg >/dev/null && [ -e /var/lib/dpkg/info/podman.list ] && break; sleep 0.1; done; \
         systemctl kill -s KILL ours; sleep 1; pgrep -x apt-get",
        INSTALL.join(" ")
    ));
    host.journal("-u ours", |log| log.contains("/var/lib/apt/lists/lock"));
    host.install(&["--install-packages"]).exits(0);
    host.sh("dpkg-query -W hello >/dev/null; [ -z \"$(dpkg --audit)\" ]");
    assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200");
    // The file was kept, and our import added.
    assert_eq!(host.sh("curl -s http://127.0.0.1:8080/"), "hello");
    let after = installed();
    host.install(&["--install-packages"]).exits(0).says("nothing had to be changed");
    assert_eq!(installed(), after);

    // What the archive has not is told, with what the package manager said.
    host.sh("caddy=$(command -v caddy); mv $caddy $caddy.x; dpkg -r --force-depends caddy 2>/dev/null || true; rm -f /var/lib/apt/lists/*Packages*; \
             rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*");
    let failed = host.install(&["--install-packages"]);
    assert_ne!(failed.code, 0);
    failed.says("apt-get install").says("caddy");
}

#[test]
fn a_distribution_without_the_packages_is_refused() {
    let host = Host::boot("bare");
    let release =
        |text: &str| host.sh(&format!("rm -f /etc/os-release; printf '{text}' >/etc/os-release"));
    for (text, says, next) in [
        ("ID=debian\\nVERSION_ID=12\\n", "Podman 4.3", "Debian 13"),
        ("ID=ubuntu\\nID_LIKE=debian\\nVERSION_ID=24.04\\n", "Podman 4.9", "do-release-upgrade"),
        ("ID=ubuntu\\nID_LIKE=debian\\nVERSION_ID=22.04\\n", "Podman 4.9", "do-release-upgrade"),
        ("ID=rocky\\nVERSION_ID=9.6\\n", "PostgreSQL 13", "postgresql:16/server"),
    ] {
        release(text);
        host.install(&["--install-packages"])
            .exits(3)
            .says(says)
            .says(next)
            .says("Nothing was touched");
    }
    release("ID=plan9\\n");
    host.install(&["--install-packages"]).exits(3).says("package manager");
    // Named as its family names it, to its start.
    release("ID=fedora\\nVERSION_ID=44\\n");
    host.tool(&["check"])
        .exits(3)
        .says("postgresql-setup --initdb && systemctl enable --now postgresql.service");
}
