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

    // A pod whose first start fails takes the starts of its containers with it; they are not forgotten.
    host.as_service_user("systemctl --user stop authentik-pod").exits(0);
    host.sh(&format!(
        "mkdir -p /etc/systemd/user/authentik-pod.service.d; printf '[Service]\\nRestart=no\\nExecStartPre=mkdir /run/user/{uid}/first\\nExecStartPre=rmdir /run/user/{uid}/second\\n' \
           >/etc/systemd/user/authentik-pod.service.d/lab.conf
         systemd-run -q sh -c 'until test -d /run/user/{uid}/first; do sleep 0.1; done; sleep 3; rmdir /run/user/{uid}/first; runuser -u authentik -- mkdir /run/user/{uid}/second'"
    ));
    host.as_service_user("systemctl --user daemon-reload").exits(0);
    host.tool(&["install", "--yes"]).exits(0).says("start authentik-pod.service");
    host.sh(&format!("test -d /run/user/{uid}/first && ! test -d /run/user/{uid}/second; rm -r /etc/systemd/user/authentik-pod.service.d"));
    host.as_service_user("systemctl --user daemon-reload").exits(0);
    host.comes_to_rest();

    // A worker that takes longer to stop than Podman waits by itself is not killed.
    host.tool(&["install", "--yes", "--set", "env.AUTHENTIK_LAB__STOP_SECONDS=\"11\""]).exits(0);
    host.as_service_user("systemctl --user restart authentik-worker").exits(0);
    let log = host.tool(&["logs", "worker", "-n", "200"]).exits(0).out;
    assert!(log.contains("worker stopped"), "{log}");
}
