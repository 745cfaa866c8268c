//! A certificate of an authority that this host knows, and nobody else has to.

use crate::lab::{DOMAIN, Host};
use crate::sweeps::wanted;

#[test]
fn a_private_authority_is_as_good_as_a_public_one() {
    if !wanted("a private authority") {
        return;
    }
    let host = Host::boot("full");
    // Caddy is one itself, by ACME; other names than ours get their certificates from it, too.
    host.sh(&format!(
        "printf '127.0.0.1 ca.lab.example {DOMAIN}\\n' >>/etc/hosts
         cat >/etc/caddy/Caddyfile <<'CADDY'
{{
	acme_ca https://ca.lab.example:8444/acme/local/directory
}}
ca.lab.example:8444 {{
	tls internal
	acme_server
}}
CADDY
         systemctl restart caddy; R=/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt
         for i in $(seq 100); do test -s $R && break; sleep 0.1; done
         cp $R /usr/local/share/ca-certificates/lab.crt; update-ca-certificates >/dev/null 2>&1; systemctl restart caddy"
    ));
    let image = "/var/lib/lab/image.tar";
    let args =
        ["install", "--yes", "--domain", DOMAIN, "--image-archive", image, "--deadline", "180"];
    host.tool(&args).exits(0);
    host.sh(&format!(
        "curl -sS -o /dev/null https://{DOMAIN}/if/flow/default-authentication-flow/"
    ));
    host.comes_to_rest();
    let found = crate::verify::levels(&host, &[]);
    for id in ["https", "certificate"] {
        assert_eq!(found[id].0, "ok", "{id}: {}", found[id].1);
    }
}
