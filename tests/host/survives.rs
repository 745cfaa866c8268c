//! authentik comes back by itself.

use crate::lab::Host;

#[test]
fn power_cut_reboot_and_restarts() {
    let host = Host::installed();
    host.power_cut();
    host.comes_to_rest();
    assert_eq!(host.public("/outpost.goauthentik.io/ping"), "204");
    // The user manager, and with it the containers, waits for PostgreSQL and the network.
    let uid = host.sh("id -u authentik").trim().to_owned();
    let after = host.sh(&format!("systemctl show -p After --value user@{uid}.service"));
    assert!(
        after.contains(&format!("postgresql@{}-main.service", host.major()))
            && after.contains("network-online.target"),
        "{after}"
    );

    host.sh("systemctl restart postgresql@$PG-main.service");
    host.wait_ready();
    // Both containers killed at once: the pod stays, systemd brings them back.
    host.podman("kill authentik-server authentik-worker").exits(0);
    host.sh("sleep 2");
    host.wait_ready();
    host.tool(&["install", "--yes"]).exits(0);
}

#[test]
fn what_somebody_stopped_or_broke_is_brought_back() {
    let host = Host::installed();
    let uid = host.sh("id -u authentik").trim().to_owned();
    host.sh(&format!("loginctl disable-linger authentik; systemctl stop user@{uid}.service"));
    host.tool(&["plan", "--exit-code"]).exits(4);
    host.tool(&["install", "--yes"]).exits(0).says("let authentik linger");

    host.sh(&format!("chmod 666 /etc/containers/systemd/users/{uid}/authentik.pod"));
    host.tool(&["install", "--yes"]).exits(0).says("set /etc/containers/systemd");

    host.sh("gpasswd -d authentik postgres");
    host.tool(&["install", "--yes"]).exits(0).says("add authentik to the group postgres");
    host.sh("runuser -u postgres -- psql -qc \"ALTER ROLE authentik NOLOGIN PASSWORD 'other'\"");
    host.tool(&["install", "--yes"])
        .exits(0)
        .says("let the role authentik log in")
        .says("set the password");
    host.wait_ready();
    host.tool(&["plan", "--exit-code"]).exits(0);

    // A start that comes to nothing, as with a pod whose own has failed, is forgotten by the manager, and not by
    // us: the condition of all units does not hold for some seconds.
    host.as_service_user("systemctl --user stop authentik-pod").exits(0);
    host.sh("systemd-run -q sh -c 'until test -s /run/authentik-install/lock; do sleep 0.05; done; sleep 0.2; \
        touch /var/lib/authentik/restore.json; sleep 6; rm /var/lib/authentik/restore.json; touch /run/held'");
    host.tool(&["install", "--yes"]).exits(0).says("start authentik-pod.service");
    host.sh("test -e /run/held");
    host.comes_to_rest();

    // A worker that takes longer to stop than Podman waits by itself is not killed.
    host.tool(&["install", "--yes", "--set", "env.AUTHENTIK_LAB__STOP_SECONDS=\"11\""]).exits(0);
    host.as_service_user("systemctl --user restart authentik-worker").exits(0);
    let log = host.tool(&["logs", "worker", "-n", "200"]).exits(0).out;
    assert!(log.contains("worker stopped"), "{log}");
}
