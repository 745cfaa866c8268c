//! `dist/install.sh`, in each shell that `curl | sh` meets.

use crate::lab::{Answer, Host, root};

const BIN: &str = "/usr/local/bin/authentik-install";
const SHELLS: [&str; 3] = ["dash", "busybox sh", "bash"];
/// What a release is, below the folder that is served.
const LATEST: &str = "/srv/latest/download";

struct Lab {
    host: Host,
    asset: String,
}

impl Lab {
    fn new() -> Self {
        let host = Host::boot("full");
        let asset = format!("authentik-install-{}-unknown-linux-musl", std::env::consts::ARCH);
        std::fs::copy(root().join("dist/install.sh"), host.folder("varlib").join("lab/install.sh"))
            .unwrap();
        host.sh(&format!(
            "mkdir -p {LATEST} /srv/download; cp /var/lib/lab/authentik-install {LATEST}/{asset}
             cd {LATEST}; sha256sum {asset} >SHA256SUMS
             cp -r . /srv/download/v$(./{asset} --version | cut -d' ' -f2)
             minisign -G -W -f -p /root/pub -s /root/sec >/dev/null; minisign -G -W -f -p /root/other.pub -s /root/other >/dev/null
             cat >/root/Caddyfile <<'CADDY'
{{
	admin off
	auto_https disable_redirects
	skip_install_trust
}}
:8099 {{
	root * /srv
	file_server
	log {{
		output file /root/requests
	}}
}}
https://localhost:8443 {{
	tls internal
	redir /plain/* http://127.0.0.1:8099/latest/download/{{file}}
	redir /onward/* https://localhost:8443/latest/download/{{file}}
	root * /srv
	file_server
}}
CADDY
             systemd-run -q --setenv=HOME=/root --unit web caddy run --adapter caddyfile --config /root/Caddyfile
             systemd-run -q --unit hangs perl -MIO::Socket::INET -e '$$s = IO::Socket::INET->new(LocalAddr => \"127.0.0.1:8098\", Listen => 9, ReuseAddr => 1) or die; while ($$c = $$s->accept) {{ push @c, $$c }}'
             for i in $(seq 100); do curl -so /dev/null http://127.0.0.1:8099/ && test -e /root/.local/share/caddy/pki/authorities/local/root.crt && exit 0; sleep 0.1; done; exit 1"
        ));
        Lab { host, asset }
    }

    /// The script through a pipe, as people run it.
    fn piped(&self, shell: &str, environment: &str, args: &str) -> Answer {
        self.script(&format!("cat /var/lib/lab/install.sh | env AUTHENTIK_INSTALL_BASE_URL=http://127.0.0.1:8099 {environment} {shell} -s -- {args}"))
    }

    fn script(&self, line: &str) -> Answer {
        self.host.run(&["sh", "-c", &format!("cd /; {line}")])
    }

    fn fresh(&self) {
        self.host.sh(&format!("rm -f {BIN} {BIN}.previous"));
    }

    /// Nothing was installed, and nothing lies around.
    fn untouched(&self, what: &str) {
        let left = self.host.sh("ls -d /usr/local/bin/* /usr/local/bin/.a* /tmp/auth* /var/tmp/auth* /run/authentik-install.* /root/auth* 2>/dev/null || true");
        assert_eq!(left, "", "{what}");
    }

    fn is_installed(&self) {
        assert_eq!(self.host.sh(&format!("stat -c '%a %U:%G' {BIN}")).trim(), "755 root:root");
        self.host.sh(&format!("cmp {BIN} /var/lib/lab/authentik-install"));
        let left = self.host.sh("ls -d /usr/local/bin/.a* /tmp/auth* /var/tmp/auth* /run/authentik-install.* 2>/dev/null || true");
        assert_eq!(left, "");
    }

    /// With the release changed by a command while it runs.
    fn refuses(&self, shell: &str, change: &str, says: &str) {
        self.fresh();
        self.host.sh(&format!("cp -a /srv /srv.kept; cd {LATEST}; A={}; {change}", self.asset));
        let refused = self.piped(shell, "", "");
        self.host.sh("rm -r /srv && mv /srv.kept /srv");
        assert_eq!(refused.code, 1, "{shell} {change}: {} {}", refused.out, refused.err);
        assert!(refused.err.contains(says), "{shell} {change}: {}", refused.err);
        self.untouched(change);
    }
}

#[test]
fn it_installs_in_every_shell_and_hands_over() {
    let lab = Lab::new();
    for shell in SHELLS {
        lab.fresh();
        // What it hands over to says how it ended: this host is fit, and has nothing installed.
        lab.piped(shell, "", "").exits(0).says("authentik-install 0.").says("PostgreSQL");
        lab.is_installed();
        lab.piped(shell, "", "-- verify").exits(3).says("nothing is installed here");
        lab.piped(shell, "", "-- backup list --nonsense").exits(2);
        // Twice, with every variable that a shell may have or lack.
        lab.script(&format!("unset HOME; cat /var/lib/lab/install.sh | AUTHENTIK_INSTALL_BASE_URL=http://127.0.0.1:8099 LC_ALL=de_DE.UTF-8 LANGUAGE=de TMPDIR=/var/tmp {shell} -s -- -- --version")).exits(0);
        lab.script(&format!("umask 077; cat /var/lib/lab/install.sh | AUTHENTIK_INSTALL_BASE_URL=http://127.0.0.1:8099/ {shell} -s -- -- --version")).exits(0);
        lab.is_installed();
        lab.host.sh(&format!("test ! -e {BIN}.previous"));
        lab.fresh();
        lab.piped(shell, "AUTHENTIK_INSTALL_VERSION=0.1.0", "-- --version").exits(0);
        lab.piped(shell, "", "--version v0.1.0 -- --version").exits(0);
        // Another one that is there is kept beside it; a newer one stays.
        let newer =
            r#"printf '#!/bin/sh\n[ "$1" = --version ] && echo authentik-install 9.10.0\n'"#;
        lab.host.sh(&format!("{newer} >{BIN}; chmod 755 {BIN}"));
        lab.piped(shell, "", "-- --version")
            .exits(1)
            .says("newer than 0.1.0")
            .says("--allow-downgrade");
        lab.piped(shell, "", "--allow-downgrade -- --version").exits(0).says("0.1.0");
        lab.is_installed();
        assert!(lab.host.sh(&format!("{BIN}.previous --version")).contains("9.10.0"));
        lab.piped(shell, "", "--nonsense").exits(2).says("--help");
        lab.piped(shell, "", "--version ../x").exits(2);
    }
    // By somebody who is not root, with sudo, with doas, with neither.
    lab.host.sh("useradd -m person; echo 'person ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/person; echo 'permit nopass person' >/etc/doas.conf; chmod 400 /etc/doas.conf; chmod 644 /var/lib/lab/install.sh; chmod 755 /var/lib/lab");
    let person = "runuser -u person -- env -i PATH=/usr/bin:/bin AUTHENTIK_INSTALL_BASE_URL=http://127.0.0.1:8099 AUTHENTIK_INSTALL_CONFIG=/etc/authentik/none.toml sh /var/lib/lab/install.sh -- verify";
    for elevate in ["sudo", "doas"] {
        lab.fresh();
        lab.script(person).exits(3).says("/etc/authentik/none.toml");
        lab.is_installed();
        lab.host.sh(&format!("mv /usr/bin/{elevate} /run/{elevate}.hidden"));
    }
    lab.fresh();
    lab.script(person).exits(1).says("neither sudo nor doas");
    lab.untouched("neither sudo nor doas");
}

#[test]
fn it_executes_nothing_that_is_not_what_was_released() {
    let lab = Lab::new();
    let size = std::fs::metadata(root().join("dist/install.sh")).unwrap().len();
    let end = size - 25;
    let mut refused = 0;
    let asked = lab.host.sh("wc -l </root/requests");
    for shell in SHELLS {
        for cut in (0..size).step_by(512).chain(end..size - 1) {
            let line = format!(
                "head -c {cut} /var/lib/lab/install.sh | AUTHENTIK_INSTALL_BASE_URL=http://127.0.0.1:8099 {shell} -s 2>&1"
            );
            lab.script(&line);
            refused += 1;
        }
        lab.untouched("a cut script");
        assert_eq!(lab.host.sh("wc -l </root/requests"), asked);
    }
    for shell in SHELLS {
        for (change, says) in [
            ("truncate -s -1 $A", "is not what was released"),
            ("echo x >>$A", "is not what was released"),
            ("sed -i 's/^0/1/; t; s/^./0/' SHA256SUMS", "is not what was released"),
            ("sed -i s/$A/other/ SHA256SUMS", "does not name"),
            ("cat SHA256SUMS >s; cat s >>SHA256SUMS", "does not name"),
            ("rm SHA256SUMS", "404"),
            ("rm $A", "404"),
            ("printf '#!/bin/sh\\nexit 1\\n' >$A; sha256sum $A >SHA256SUMS", "does not run here"),
        ] {
            lab.refuses(shell, change, says);
            refused += 1;
        }
        lab.piped(shell, "AUTHENTIK_INSTALL_VERSION=7.7.7", "").exits(1).says("download/v7.7.7");
        // Not this kind of machine, not by plain http, no room, nothing to download with.
        lab.piped(&format!("setarch i686 {shell}"), "", "").exits(1).says("i686");
        lab.piped(shell, "AUTHENTIK_INSTALL_BASE_URL=http://192.0.2.1", "")
            .exits(1)
            .says("it is not https");
        lab.host.sh("mount -t tmpfs -o size=1m small /usr/local/bin");
        lab.piped(shell, "", "").exits(1).says("could not be written").says("df -h");
        lab.untouched("a full disk");
        lab.host.sh("umount /usr/local/bin; mount -t tmpfs -o size=1m small /mnt");
        lab.piped(shell, "TMPDIR=/mnt", "").exits(1).says("downloading");
        lab.host.sh("test -z \"$(ls -A /mnt)\"; umount /mnt; mount -t tmpfs -o noexec none /mnt");
        lab.untouched("a full place to work in");
        lab.piped(shell, "TMPDIR=/mnt", "-- --version").exits(0);
        lab.host.sh("test -z \"$(ls -A /mnt)\"; umount /mnt");
        lab.fresh();
        lab.host.sh("mv /usr/bin/curl /run/curl");
        lab.piped(shell, "", "-- --version").exits(0);
        lab.is_installed();
        lab.fresh();
        lab.piped(shell, "AUTHENTIK_INSTALL_VERSION=7.7.7", "").exits(1).says("404");
        lab.host.sh("mv /usr/bin/wget /run/wget");
        lab.piped(shell, "", "")
            .exits(1)
            .says("neither curl nor GNU wget")
            .says("apt-get install curl");
        lab.host.sh("mv /run/curl /run/wget /usr/bin/");
        lab.untouched("nothing to download with");
        refused += 8;
    }
    lab.piped("sh", "AUTHENTIK_INSTALL_BASE_URL=http://127.0.0.1:8098", "")
        .exits(1)
        .says("Operation too slow");
    lab.untouched("a server that hangs");
    eprintln!("install.sh: {} refusals, 0 executed, 0 left", refused + 1);
}

#[test]
fn it_follows_no_redirect_to_plain_http_and_asks_for_the_signature() {
    let lab = Lab::new();
    let trust = "CURL_CA_BUNDLE=/root/ca SSL_CERT_FILE=/root/ca AUTHENTIK_INSTALL_BASE_URL=https://localhost:8443";
    lab.host.sh("cp /root/.local/share/caddy/pki/authorities/local/root.crt /root/ca; echo ca_certificate=/root/ca >/root/.wgetrc");
    for (hidden, said) in [("wget", "curl"), ("curl", "wget")] {
        lab.host.sh(&format!("mv /usr/bin/{hidden} /run/{hidden}"));
        lab.fresh();
        lab.piped("sh", trust, "-- --version").exits(0);
        lab.is_installed();
        lab.piped("sh", &format!("{trust}/onward"), "-- --version").exits(0);
        lab.fresh();
        lab.piped("sh", &format!("{trust}/plain"), "").exits(1).says("downloading");
        lab.piped("sh", "AUTHENTIK_INSTALL_BASE_URL=https://localhost:8443 CURL_CA_BUNDLE=/dev/null SSL_CERT_FILE=/dev/null HOME=/none", "").exits(1);
        lab.untouched(said);
        lab.host.sh(&format!("mv /run/{hidden} /usr/bin/{hidden}"));
    }

    // Where minisign is, the sums have to be signed by the key that the script was released with.
    lab.host.sh("sed -i \"s|^KEY=.*|KEY=$(tail -n 1 /root/pub)|\" /var/lib/lab/install.sh");
    lab.piped("sh", "", "").exits(1).says("SHA256SUMS.minisig");
    lab.host.sh(&format!("cd {LATEST}; minisign -S -s /root/other -m SHA256SUMS >/dev/null"));
    lab.piped("sh", "", "").exits(1).says("not signed by the key");
    lab.untouched("another key");
    lab.host.sh(&format!("cd {LATEST}; minisign -S -s /root/sec -m SHA256SUMS >/dev/null"));
    lab.piped("sh", "", "-- --version").exits(0);
    lab.fresh();
    lab.host.sh(&format!("cd {LATEST}; echo >>SHA256SUMS"));
    lab.piped("sh", "", "").exits(1).says("not signed by the key");
    lab.untouched("changed sums");
}

/// The program replaces itself by what was signed, and by nothing else.
#[test]
fn it_updates_itself_to_what_was_signed() {
    let lab = Lab::new();
    let key = lab.host.sh("tail -n 1 /root/pub").trim().to_owned();
    let update = |more: &str| {
        lab.script(&format!(
            "{BIN} self update --base-url http://127.0.0.1:8099 --public-key {key} {more}"
        ))
    };
    lab.piped("sh", "", "-- --version").exits(0).says("-unknown-linux-musl)");
    let signed = |version: &str, key: &str| {
        lab.host.sh(&format!("cd {LATEST}; sha256sum {} >SHA256SUMS; minisign -S -s {key} -m SHA256SUMS -t 'authentik-install {version}' >/dev/null", lab.asset));
    };
    let is_as_before = || {
        lab.is_installed();
        lab.host.sh(&format!("test ! -e {BIN}.previous"));
    };
    // No key, no signature, another one's, an old one, one that does not say of what.
    lab.script(&format!("{BIN} self update --base-url http://127.0.0.1:8099"))
        .exits(9)
        .says("--public-key");
    update("").exits(1).says("SHA256SUMS.minisig");
    signed("9.9.9", "/root/other");
    update("").exits(8);
    signed("0.0.1", "/root/sec");
    update("").exits(0).says("0.1.0 is the newest");
    signed("", "/root/sec");
    update("").exits(8).says("names no version");
    is_as_before();
    // A newer one that is not what it says, or not what the sums say.
    signed("9.9.9", "/root/sec");
    update("--check").exits(4).says("9.9.9 is released");
    update("").exits(8).says("0.1.0");
    lab.host.sh(&format!("echo x >>{LATEST}/{}", lab.asset));
    update("").exits(8).says("its SHA-256 is");
    lab.script(&format!("{BIN} self update --base-url http://192.0.2.1 --public-key {key}"))
        .exits(2)
        .says("https");
    is_as_before();
    // By somebody who may not.
    lab.host.sh("useradd -m person");
    assert_ne!(lab.script(&format!("runuser -u person -- {BIN} self update --base-url http://127.0.0.1:8099 --public-key {key}")).code, 0);
    is_as_before();
    // And one that is.
    lab.host.sh(&format!(
        "printf '#!/bin/sh\\necho authentik-install 9.9.9\\n' >{LATEST}/{}",
        lab.asset
    ));
    signed("9.9.9", "/root/sec");
    update("").exits(0).says("is 9.9.9 now").says(".previous");
    assert_eq!(
        lab.host.sh(&format!("{BIN}; stat -c %a%U {BIN}")),
        "authentik-install 9.9.9\n755root\n"
    );
    lab.host.sh(&format!("cmp {BIN}.previous /var/lib/lab/authentik-install; test -z \"$(ls -d /usr/local/bin/.a* 2>/dev/null)\""));

    // It needs nothing but the kernel.
    lab.host.sh("mkdir /run/empty; cp /var/lib/lab/authentik-install /run/empty/");
    lab.script("chroot /run/empty /authentik-install --version").exits(0);
    lab.script("chroot /run/empty /authentik-install verify").exits(3).says("nothing is installed");
    lab.script("/var/lib/lab/authentik-install completions bash | bash -n").exits(0);
    lab.script("mkdir /run/man && /var/lib/lab/authentik-install man --output /run/man && test -s /run/man/authentik-install-backup-verify.1").exits(0);
}
