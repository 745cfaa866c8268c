//! Files of other people, in the shapes that they have: all other bytes stay, and come back. With
//! `tests/run --full`.

use crate::lab::Host;
use crate::sweeps::wanted;

const HBA: &str = "/etc/postgresql/$PG/main/pg_hba.conf";

/// Writes a file in place: owner and mode stay.
fn write(host: &Host, path: &str, bytes: &str) {
    std::fs::write(host.folder("varlib").join("lab/shape"), bytes).expect("a file for the host");
    host.sh(&format!("cat /var/lib/lab/shape >{path}"));
}

fn bytes(host: &Host, path: &str) -> String {
    host.sh(&format!("stat -c '%a %U:%G' {path}; base64 {path}"))
}

#[test]
fn pg_hba_in_every_shape() {
    if !wanted("shapes of pg_hba.conf") {
        return;
    }
    let host = Host::boot("full");
    let shipped = host.sh(&format!("cat {HBA}"));
    let admin = "local all postgres peer\n";
    let shapes = [
        ("shipped", shipped.clone()),
        ("CRLF", shipped.replace('\n', "\r\n")),
        ("no newline at the end", format!("{admin}local all all peer")),
        (
            "tabs, comments and quotes",
            format!(
                "# head\n\n\tlocal\t\"all\"\t\"postgres\"\tpeer\t# admin\n{admin}local \"all\" all peer #x\n"
            ),
        ),
        (
            "a first match above",
            format!("{admin}local all all reject\nlocal authentik authentik md5\n"),
        ),
        (
            "several that match",
            format!(
                "{admin}local authentik all peer\nlocal all authentik md5\nlocal sameuser all trust\n"
            ),
        ),
        ("includes", format!("include_if_exists more.conf\n{admin}include_dir hba.d\n")),
        ("one line over several", format!("{admin}local all,\\\n  postgres all peer\n")),
    ];
    host.sh("cd /etc/postgresql/$PG/main; mkdir hba.d; echo 'local all all peer' >hba.d/x.conf; chown -R postgres: hba.d");
    for (what, text) in &shapes {
        write(&host, HBA, text);
        host.sh("systemctl reload postgresql@$PG-main; sleep 0.3");
        let before = bytes(&host, HBA);
        let only = ["--only", "accounts,database"];
        host.install(&only).exits(0);
        let opens = host.as_service_user("PGPASSWORD=$(cat /etc/authentik/secrets/database_password) exec psql -XAtw -h /run/postgresql -c 'SELECT 1' authentik");
        assert_eq!(opens.out, "1\n", "{what}: {}", opens.err);
        let with = host.sh(&format!("cat {HBA}"));
        assert!(text.lines().all(|line| with.lines().any(|now| now == line)), "{what}: {with}");
        host.install(&only).exits(0).says("nothing had to be changed");
        host.tool(&["uninstall", "--yes"]).exits(0);
        assert_eq!(before, bytes(&host, HBA), "{what}");
    }
    // Where root does not write it says so, before anything is done.
    for (with, says, after) in [
        ("mv $F /srv/hba; ln -s /srv/hba $F", "symbolic link", "rm $F; mv /srv/hba $F"),
        ("printf '# \\344\\n' >>$F", "is not UTF-8", "sed -i '$d' $F"),
        ("echo 'local all' >>$F", "has an error in line", "sed -i '$d' $F"),
        ("chattr +i $F", "immutable", "chattr -i $F"),
    ] {
        host.sh(&format!("F={HBA}; {with}"));
        let refused = host.install(&["--only", "accounts,database"]);
        host.sh(&format!("F={HBA}; {after}"));
        assert!(
            refused.code == 3 && refused.err.contains(says),
            "{with}: {} {}",
            refused.code,
            refused.err
        );
    }
    eprintln!("pg_hba.conf: {} shapes, 4 refused", shapes.len());
}

#[test]
fn a_caddyfile_in_every_shape() {
    if !wanted("shapes of a Caddyfile") {
        return;
    }
    let host = Host::installed();
    let file = "/etc/caddy/Caddyfile";
    let site = |on: &str| host.tool(&["install", "--yes", "--set", &format!("proxy.enabled={on}")]);
    site("false").exits(0);
    host.sh("mkdir -p /etc/caddy/conf.d /etc/caddy/more /etc/systemd/system/caddy.service.d; printf '[Service]\\nEnvironment=THEIRS=env.example\\nEnvironmentFile=/etc/caddy/env\\n' >/etc/systemd/system/caddy.service.d/x.conf; systemctl daemon-reload
        echo MORE=more.example >/etc/caddy/env; printf '{$MORE} {\\n\\ttls internal\\n}\\n' >/etc/caddy/more/x.caddy; systemctl restart caddy");
    let theirs = "theirs.example {\n\ttls internal\n\trespond hi\n}\n";
    let global = "{\n\temail theirs@example.com\n\tskip_install_trust\n}\n";
    let mut shapes = vec![
        ("comments alone", "# sites\n# follow".to_owned()),
        (
            "global options and snippets",
            format!(
                "{global}(common) {{\n\theader X-Theirs yes\n}}\ntheirs.example {{\n\timport common\n\ttls internal\n}}\n"
            ),
        ),
        ("CRLF", format!("{global}{theirs}").replace('\n', "\r\n")),
        ("no newline, tabs", format!("{global}\n\n\t{}", theirs.trim_end())),
        ("a wildcard", format!("{global}*.lab.example {{\n\ttls internal\n\trespond wild\n}}\n")),
        ("variables", "{$THEIRS} {\n\ttls internal\n\trespond {$MORE:default}\n}\n".to_owned()),
        ("imports at the top", format!("{global}import conf.d/*\n{theirs}")),
        ("variables of a file in an imported file", "import more/*.caddy\n".to_owned()),
        (
            "an import inside a site",
            "theirs.example {\n\ttls internal\n\timport conf.d/none*\n}\n".to_owned(),
        ),
    ];
    // Caddy has them since 2.7.
    if !host.sh("caddy version").trim_start_matches('v').starts_with("2.6.") {
        let text = "theirs.example {\n\ttls internal\n\trespond <<TEXT\n\t\t}\n\t\timport conf.d/*\n\t\t{\n\t\tTEXT 200\n}\n";
        shapes.push(("a heredoc with braces and an import", text.to_owned()));
    }
    for (what, text) in &shapes {
        write(&host, file, text);
        host.sh("systemctl reload caddy");
        let before = bytes(&host, file);
        site("true").exits(0);
        assert_eq!(host.public("/if/flow/default-authentication-flow/"), "200", "{what}");
        if text.contains("theirs.example") {
            assert_eq!(host.sh("curl -sk -o /dev/null -w '%{http_code}' --resolve theirs.example:443:127.0.0.1 https://theirs.example/"), "200", "{what}");
        }
        host.tool(&["install", "--yes"]).exits(0).says("nothing had to be changed");
        site("false").exits(0);
        assert_eq!(before, bytes(&host, file), "{what}");
        host.sh("test \"$(ls -A /etc/caddy/conf.d /etc/caddy/more | tr '\\n' ' ')\" = '/etc/caddy/conf.d:  /etc/caddy/more: x.caddy '; ! test -e /etc/caddy/authentik.d");
    }
    write(&host, file, &format!("{global}import conf.d/*\n"));
    host.sh("systemctl reload caddy");
    for (with, says, after) in [
        (
            "printf 'auth.lab.example {\\n\\ttls internal\\n}\\n' >/etc/caddy/conf.d/x; systemctl reload caddy",
            "is served already",
            "rm /etc/caddy/conf.d/x; systemctl reload caddy",
        ),
        ("mv $F /srv/C; ln -s /srv/C $F", "symbolic link", "rm $F; mv /srv/C $F"),
        ("mv $F /srv/C; mkdir $F", "is not a regular file", "rmdir $F; mv /srv/C $F"),
        (
            "printf '# theirs\\n' >$F; systemctl reload caddy; chattr +i $F",
            "immutable",
            "chattr -i $F",
        ),
    ] {
        host.sh(&format!("F={file}; {with}"));
        let refused = site("true");
        host.sh(&format!("F={file}; {after}"));
        assert!(
            refused.code == 3 && refused.err.contains(says),
            "{with}: {} {}",
            refused.code,
            refused.err
        );
    }
    eprintln!("Caddyfile: {} shapes, 4 refused", shapes.len());
}
