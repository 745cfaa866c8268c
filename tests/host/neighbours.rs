//! What stands beside an installation and is none of ours: it is left alone, and does no harm. With
//! `tests/run --full`.

use crate::lab::{Host, assert_same};
use crate::sweeps::wanted;

#[test]
fn neighbours_are_left_alone_and_do_no_harm() {
    if !wanted("neighbours") {
        return;
    }
    let host = Host::installed();
    let install = |more: &[&str]| host.tool(&[&["install", "--yes"], more].concat());
    let nothing = "nothing had to be changed";

    // Another cluster is no home for a database whose own server does not run.
    host.sh("pg_createcluster $PG other --start >/dev/null; systemctl stop postgresql@$PG-main");
    install(&[]).exits(3).says("port 5432, which does not run");
    host.tool(&["uninstall", "--yes"]).exits(3).says("it does not run");
    host.sh("systemctl start postgresql@$PG-main; pg_dropcluster --stop $PG other");
    host.comes_to_rest();

    // A folder that Caddy imports since then is no new home for the site.
    host.sh("mkdir /etc/caddy/sites; sed -i '1i import sites/*' /etc/caddy/Caddyfile; systemctl reload caddy");
    install(&[]).exits(0).says(nothing);
    // A name that somebody else has is not taken from him.
    host.sh("printf 'sso.example.com {\\n\\ttls internal\\n}\\n' >/etc/caddy/sites/x; systemctl reload caddy");
    let before = host.trace();
    install(&["--domain", "sso.example.com"]).exits(3).says("is served already");
    assert_same(&before, &host.trace());

    // A timer of our name by another hand runs on, and also when we go.
    install(&["--set", "backup.enabled=false"]).exits(0);
    host.sh("cd /etc/systemd/system; printf '[Timer]\\nOnCalendar=daily\\n[Install]\\nWantedBy=timers.target\\n' >authentik-backup.timer
        printf '[Service]\\nExecStart=/bin/true\\n' >authentik-backup.service; systemctl daemon-reload; systemctl enable -q --now authentik-backup.timer");
    install(&[]).exits(0).says(nothing);
    // A Caddy that is not for us need not be asked.
    install(&["--set", "proxy.enabled=false"]).exits(0);
    host.sh("printf '{\\n\\tadmin off\\n}\\n' >/etc/caddy/Caddyfile; systemctl restart caddy");
    install(&[]).exits(0).says(nothing);
    host.tool(&["uninstall", "--yes"]).exits(0);
    host.sh("systemctl is-active authentik-backup.timer; systemctl disable -q --now authentik-backup.timer; rm /etc/systemd/system/authentik-backup.*; systemctl daemon-reload");

    // A folder for backups is made with the way to it.
    let (dir, image) = ("backup.dir=/srv/deep/authentik", "/var/lib/lab/image.tar");
    let more = ["--set", "backup.enabled=true", "--set", dir, "--image-archive", image];
    install(&more).exits(0);
    assert_eq!(host.sh("stat -c %a /srv/deep /srv/deep/authentik"), "755\n700\n");

    // The client alone is no server that could be started.
    host.sh("dpkg --force-depends --remove postgresql postgresql-$PG >/dev/null 2>&1");
    host.tool(&["check"]).exits(3).says("PostgreSQL is not installed");
    host.tool(&["uninstall", "--yes"]).exits(0);
}
