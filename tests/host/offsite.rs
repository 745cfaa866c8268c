//! Copies on another machine: by restic, and by a program.

use crate::backup::{create, fill, id};
use crate::lab::Host;

const DIR: &str = "/var/backups/authentik";

fn install(host: &Host, pairs: &[&str]) {
    let mut args = vec!["install", "--yes"];
    for pair in pairs {
        args.extend(["--set", pair]);
    }
    host.tool(&args).exits(0);
}

#[test]
fn a_copy_elsewhere_is_enough_to_come_back() {
    let host = Host::installed();
    fill(&host, 1);
    crate::scheduled::teller(&host);
    host.sh("mkdir -p /mnt/nas; (umask 077; echo Planted-Restic >/root/restic; echo RESTIC_COMPRESSION=max >/root/more)");
    host.tool(&["backup", "send", "latest"]).exits(2).says("[backup.offsite]");
    let restic = [
        "backup.offsite.repository=/mnt/nas/authentik",
        "backup.offsite.password_file=/root/restic",
        "backup.offsite.environment_file=/root/more",
        "notify.command=/usr/local/bin/tell",
    ];
    install(&host, &restic);

    // There is no repository yet: the backup is made all the same, and somebody is told.
    host.sh("systemctl start authentik-backup");
    let first = host.sh(&format!("ls {DIR}")).trim().to_owned();
    assert_eq!(host.sh("systemctl show -p ExecMainStatus --value authentik-backup").trim(), "7");
    let told = host.sh("cat /run/told");
    assert!(told.contains("not copied to another machine") && told.contains("restic -r"), "{told}");
    assert!(!told.contains("Planted"), "{told}");
    let rows =
        || crate::verify::levels(&host, &["--only", "backups"]).remove("backup-offsite").unwrap();
    assert_eq!(rows().0, "warn");
    host.sh("restic -q init -r /mnt/nas/authentik --password-file /root/restic");
    host.tool(&["backup", "send", &first]).exits(0);
    assert_eq!(rows().0, "ok");

    // By the timer, in its sandbox; a copy is found by its name, and by being the newest.
    host.sh("systemctl start authentik-backup");
    assert_eq!(host.sh("systemctl show -p ExecMainStatus --value authentik-backup").trim(), "0");
    assert_eq!(rows().0, "ok");
    let second = host.sh(&format!("ls {DIR} | tail -n 1")).trim().to_owned();
    assert_ne!(first, second);
    let sums = host.sh(&format!("cat {DIR}/{first}/SHA256SUMS"));
    // Somebody else's in the same repository is not taken for the newest of this host.
    host.sh(&format!("restic -q -r /mnt/nas/authentik --password-file /root/restic backup --host other --tag authentik-install,20990101T000000Z-00ab1f {DIR}/{second}"));
    host.tool(&["backup", "fetch", "20990101T000000Z-00ab1f"]).exits(8).says(&second);
    assert!(host.sh(&format!("ls -A {DIR}")).lines().all(|name| !name.contains("2099")));
    host.tool(&["backup", "fetch", "latest"]).exits(0).says(&second);
    host.sh(&format!("rm -r {DIR}/20*"));
    host.tool(&["backup", "fetch", "20200101T000000Z-000000"]).exits(9);
    host.tool(&["backup", "fetch", &first]).exits(0).says("restore");
    assert_eq!(host.sh(&format!("cat {DIR}/{first}/SHA256SUMS")), sums);
    host.tool(&["backup", "verify", &first]).exits(0);
    host.tool(&["backup", "fetch", &first]).exits(0);
    host.sh(&format!("echo x >>{DIR}/{first}/data.tar.zst"));
    host.tool(&["backup", "fetch", &first]).exits(8).says("it is here");
    host.sh(&format!("truncate -s -2 {DIR}/{first}/data.tar.zst"));

    // One that is only there is fetched by `restore` itself, and goes again if it is only looked at.
    let look = host.tool(&["restore", &second, "--dry-run"]).exits(0).out;
    assert!(look.contains(&second), "{look}");
    assert_eq!(host.sh(&format!("ls {DIR}")).trim(), first);
    host.tool(&["restore", &second, "--yes", "--no-safety-backup"]).exits(0);
    host.tool(&["restore", "commit"]).exits(0);

    // A host that knows nothing yet gets it by flags alone.
    host.sh("mv /etc/authentik/install.toml /run/i");
    let from_nothing = host.tool(&[
        "backup",
        "fetch",
        "latest",
        "--dir",
        "/var/lib/fetched",
        "--repository",
        "/mnt/nas/authentik",
        "--password-file",
        "/root/restic",
    ]);
    from_nothing.exits(0).says(&second);
    host.sh("mv /run/i /etc/authentik/install.toml");

    // A wrong password, and a repository that lost something.
    host.sh("chmod 644 /root/restic");
    create(&host, &[]).exits(7).says("chmod 0600 /root/restic");
    host.sh("(umask 077; rm /root/restic; echo wrong >/root/restic)");
    let made = create(&host, &[]).exits(7).says("wrong password");
    host.tool(&["backup", "verify", &id(&made)]).exits(0);
    assert_eq!(rows().0, "warn");

    // A program of somebody's own, which brings back something else.
    host.sh(
        "sed -i '/^repository\\|^password_file\\|^environment_file/d' /etc/authentik/install.toml",
    );
    install(&host, &["backup.offsite.command=/usr/local/bin/copy"]);
    host.sh(r#"cat >/usr/local/bin/copy <<'X'
#!/bin/sh -e
case $AUTHENTIK_BACKUP_ACTION in
  send) cp -a "$AUTHENTIK_BACKUP_DIR" /mnt/nas/ ;;
  fetch) cp -a "/mnt/nas/$AUTHENTIK_BACKUP_ID/." "$AUTHENTIK_BACKUP_DIR" ;;
  *) exit 1 ;;
esac
X
chmod 755 /usr/local/bin/copy"#);
    let third = id(&create(&host, &[]).exits(0));
    assert_eq!(rows().0, "ok");
    host.sh(&format!("rm -r {DIR}/{third}"));
    // What it brings along is not believed.
    host.sh(&format!("cd /mnt/nas/{third}; echo '{{\"format\":1,\"time\":\"2026-01-01T00:00:00Z\",\"program\":\"x\",\"proven\":true,\"findings\":[]}}' >proof.json; mkdir more; ln -s /etc/shadow more/link; chmod 666 manifest.json"));
    host.tool(&["backup", "fetch", &third]).exits(0);
    assert_eq!(
        host.sh(&format!("cd {DIR}/{third}; ls | tr '\n' ' '; stat -c %a%U manifest.json")),
        "RESTORE.txt SHA256SUMS config.tar.zst data.tar.zst db.dump.zst manifest.json offsite.json 600root\n"
    );
    host.tool(&["backup", "fetch", "latest"]).exits(9).says("by its name");
    host.sh(&format!("cp -a /mnt/nas/{third} /mnt/nas/20990101T000000Z-00ab1f"));
    host.tool(&["backup", "fetch", "20990101T000000Z-00ab1f"]).exits(8).says(&third);
    host.sh(&format!("rm -r {DIR}/{third}; echo x >>/mnt/nas/{third}/data.tar.zst"));
    host.tool(&["backup", "fetch", &third]).exits(8).says("data.tar.zst");
    host.sh(&format!("test ! -e {DIR}/{third} && ! ls -A {DIR} | grep -q partial"));

    // Who stops the run stops the program as well.
    host.sh("printf '#!/bin/sh\ntouch /run/copies; exec sleep 600\n' >/usr/local/bin/copy");
    host.sh("systemd-run -q sh -c 'while ! test -e /run/copies; do sleep 0.1; done; sleep 0.5; pkill -INT -x authentik-insta'");
    create(&host, &[]).exits(130).says("is made, and not copied");
    host.sh("! pgrep -f '[s]leep 600' && ! systemctl list-units --no-legend 'authentik-outside*' | grep .");

    host.sh("chmod 777 /usr/local/bin/copy");
    create(&host, &[]).exits(7).says("root alone can change");
}
