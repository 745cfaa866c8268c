//! The image: from a registry, pinned by digest, and from archives of every kind.

use crate::lab::{DOMAIN, Host, image};
use crate::sweeps::is_full;

const REPOSITORY: &str = "localhost:5000/goauthentik/server";
/// Of `lab-password`, as htpasswd writes it.
const HTPASSWD: &str = "lab:$2a$04$9JlCpRUPM59AbRLBALKAFuOUm8MM.VrNJ6gSs714StEEZ3vrKyq9W";

/// What comes from the registry comes slowly, so that there is progress to be told.
const SLOWLY: &str = r#"systemd-run -q perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:5002", Listen => 9, ReuseAddr => 1) or die; $SIG{CHLD} = "IGNORE";
    while ($c = $s->accept) {
        if (fork) { close $c; next }
        $u = IO::Socket::INET->new("127.0.0.1:5001") or exit;
        if (!fork) { while (sysread($c, $b, 65536)) { syswrite($u, $b) } shutdown($u, 1); exit }
        while ($n = sysread($u, $b, 65536)) { syswrite($c, $b); select(undef, undef, undef, 0.02) if ($sum += $n) > 300000 && !($sum = 0) }
        exit
    }'"#;

/// A registry on this host, asked through a proxy that can be made to fail; it asks for a login.
fn registry(host: &Host) {
    host.sh(SLOWLY);
    host.sh(&format!(
        "printf '%s\\n' '{HTPASSWD}' >/etc/docker/registry/htpasswd
         sed -i 's/addr: :5000/addr: 127.0.0.1:5001/' /etc/docker/registry/config.yml
         systemctl start docker-registry
         mkdir -p /etc/containers/registries.conf.d /run/lab
         printf '[[registry]]\\nlocation = \"localhost:5000\"\\ninsecure = true\\n' \
           >/etc/containers/registries.conf.d/lab.conf
         cat >/run/lab/Caddyfile <<'CADDY'
{{
	admin off
}}
:5000 {{
	@down file {{
		root /run/lab
		try_files down
	}}
	respond @down 503
	@busy file {{
		root /run/lab
		try_files busy
	}}
	respond @busy 429
	reverse_proxy 127.0.0.1:5002
	log {{
		output file /run/lab/access.log
	}}
}}
CADDY
         systemd-run --quiet caddy run --adapter caddyfile --config /run/lab/Caddyfile
         for i in $(seq 300); do curl -sI localhost:5000/v2/ | grep -q ' 401' && break; sleep 0.1; done
         podman login -u lab -p lab-password localhost:5000"
    ));
}

fn push(host: &Host, version: &str) {
    std::fs::copy(image(version), host.folder("varlib").join("lab/push.tar")).unwrap();
    host.sh(&format!(
        "podman load -q -i /var/lib/lab/push.tar >/dev/null && rm /var/lib/lab/push.tar
         podman tag ghcr.io/goauthentik/server:{version} {REPOSITORY}:{version}
         podman push -q {REPOSITORY}:{version} && podman rmi -af >/dev/null"
    ));
}

/// A version that the registry has for another architecture alone.
fn push_arm64(host: &Host) {
    host.sh(&format!(
        "mkdir -p /run/lab/none; tar -C /run/lab/none -cf /run/lab/none.tar .
         podman import -q --arch arm64 --os linux /run/lab/none.tar arm64 >/dev/null
         podman manifest create list containers-storage:localhost/arm64 >/dev/null
         podman manifest push -q --all list docker://{REPOSITORY}:2026.8.6 >/dev/null
         podman manifest rm list >/dev/null; podman rmi -af >/dev/null"
    ));
}

/// Podman's own settings of the host count: a mirror of the usual registry, a proxy on the way.
fn mirror_and_proxy(host: &Host, from: &dyn Fn(&[&str]) -> crate::lab::Answer) {
    let proxy = "/etc/containers/containers.conf.d/proxy.conf";
    host.sh(&format!("printf '[engine]\\nenv = [\"HTTPS_PROXY=http://127.0.0.1:9\"]\\n' >{proxy}"));
    let usual = ["--image", "ghcr.io/goauthentik/server"];
    from(&usual).exits(1).says("127.0.0.1:9");
    host.sh(&format!(
        "rm {proxy}; cat >/etc/containers/registries.conf.d/mirror.conf <<'END'
[[registry]]
location = \"ghcr.io/goauthentik/server\"
[[registry.mirror]]
location = \"{REPOSITORY}\"
insecure = true
END"
    ));
    from(&usual).exits(0).says("pull ghcr.io/goauthentik/server:2026.8.3");
    from(&[]).exits(0);
}

#[test]
fn an_image_is_pulled_pinned_and_replaced_by_the_next_patch() {
    let host = Host::boot("full");
    registry(&host);
    push(&host, "2026.8.3");
    push_arm64(&host);
    let from = |more: &[&str]| {
        let args =
            ["install", "--yes", "--domain", DOMAIN, "--tls", "internal", "--deadline", "180"];
        host.tool(&[&args[..], &["--image", REPOSITORY], more].concat())
    };
    // A registry that wants to know who asks, and one that says so in passing.
    from(&[]).exits(1).says("pulling localhost:5000").says("podman login");
    assert_eq!(host.podman("login -u lab -p lab-password localhost:5000").code, 0);
    host.sh(
        "touch /run/lab/down
         systemd-run --quiet sh -c 'until grep -q status.:503 /run/lab/access.log; do sleep 0.1; done
           rm /run/lab/down'",
    );
    let pulled = from(&["--json"])
        .exits(0)
        .says("503 Service Unavailable; asking again in 2 s")
        .says("pull localhost:5000/goauthentik/server:2026.8.3");
    let progress = format!(r#""event":"waiting","id":"{REPOSITORY}:2026.8.3","missing":"Copying"#);
    assert!(pulled.out.contains(&progress), "no progress of the pull in {}", pulled.out);
    let head = "curl -sI -u lab:lab-password -H 'Accept: application/vnd.oci.image.manifest.v1+json' -H 'Accept: application/vnd.docker.distribution.manifest.v2+json'";
    let digest = host.sh(&format!(
        "{head} http://localhost:5000/v2/goauthentik/server/manifests/2026.8.3 | grep -i ^docker-content | grep -io 'sha256:[0-9a-f]*'"
    ));
    let pinned = host.sh("grep -h ^Image= /etc/containers/systemd/users/*/*.container | sort -u");
    assert_eq!(pinned.trim(), format!("Image={REPOSITORY}:2026.8.3@{}", digest.trim()));

    if is_full() {
        mirror_and_proxy(&host, &from);
    }

    // What cannot be had is found before anything is stopped.
    let running = || host.podman("ps --no-trunc --format '{{.ID}} {{.StartedAt}}'").exits(0).out;
    let before = running();
    from(&["--version", "2026.8.9"]).exits(1).says("manifest unknown").says("--version");
    from(&["--version", "2026.8.6"])
        .exits(1)
        .says("choose a --version and --image that the registry has for amd64");
    host.sh("touch /run/lab/busy");
    from(&["--version", "2026.8.4"]).exits(1).says("the registry allows no more for now");
    host.sh("rm /run/lab/busy; systemctl stop docker-registry");
    from(&["--version", "2026.8.4"]).exits(1).says("--image-archive FILE");
    assert_eq!(before, running());

    // Another patch of the line: pulled first, then switched.
    host.sh("systemctl start docker-registry; for i in $(seq 300); do curl -s -o /dev/null localhost:5001/v2/ && break; sleep 0.1; done");
    push(&host, "2026.8.4");
    from(&["--version", "2026.8.4"]).exits(0);
    let newest = "SELECT version FROM authentik_version_history ORDER BY timestamp DESC LIMIT 1";
    assert_eq!(host.sql(newest), "2026.8.4");
    host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
    from(&["--version", "2026.8.3"]).exits(3).says("older patch").says("Nothing was touched");
    from(&["--version", "2026.5.7"]).exits(3).says("another line").says("--version 2026.8.4");
}

#[test]
fn archives_are_told_apart() {
    let host = Host::boot("full");
    host.sh(
        "cd /var/lib/lab
         head -c 30000000 image.tar >cut.tar
         podman load -q -i image.tar >/dev/null
         podman save -q --format oci-archive -o oci.tar ghcr.io/goauthentik/server:2026.8.3
         gzip -1 oci.tar; podman rmi -af >/dev/null
         mkdir empty; tar -C empty -cf empty.tar .
         podman import -q --arch arm64 --os linux empty.tar ghcr.io/goauthentik/server:2026.8.3 >/dev/null
         podman save -q -o arm64.tar ghcr.io/goauthentik/server:2026.8.3",
    );
    let with = |file: &str| {
        let file = format!("/var/lib/lab/{file}");
        host.install(&["--image-archive", &file])
    };
    with("none.tar").exits(2).says("none.tar");
    with("cut.tar").exits(1).says("loading /var/lib/lab/cut.tar").says("podman save");
    with("arm64.tar").exits(1).says("it is for arm64, this machine is amd64");
    with("oci.tar.gz").exits(0).says("load ghcr.io/goauthentik/server:2026.8.3");
}
