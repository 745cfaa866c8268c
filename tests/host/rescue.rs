//! Ways in for the administrator, which work when the web is down, and what is told of it.

use crate::lab::Host;

#[test]
fn the_administrator_gets_in_without_the_web() {
    let host = Host::installed();
    host.sh("systemctl stop caddy");
    host.as_service_user("systemctl --user stop authentik-server").exits(0);
    let tool = "/var/lib/lab/authentik-install";

    let link = host.tool(&["admin", "link", "--minutes", "5"]).exits(0).out;
    assert!(link.starts_with("https://auth.lab.example/recovery/use-token/"), "{link}");
    let minutes = "SELECT round(extract(epoch FROM expires - now()) / 60) FROM authentik_core_token ORDER BY expires LIMIT 1";
    assert_eq!(host.sql(minutes), "5");

    // A password that shells would read in their own way, told to nobody.
    let secret = r#"Wörter & $(id) 'x' "y" \z"#;
    std::fs::write(host.folder("varlib").join("lab/password"), format!("{secret}\n")).unwrap();
    host.sh("install -m 600 /var/lib/lab/password /root/password; rm /var/lib/lab/password");
    let password = ["admin", "password", "--password-file", "/root/password"];
    host.tool(&password).exits(0).says("akadmin has the password now");
    let stored = host.sql("SELECT password FROM authentik_core_user WHERE username = 'akadmin'");
    let known = host.folder("varlib").join("lab/known");
    let check = format!(
        "python3 -c \"import base64,hashlib,sys; _, rounds, salt, digest = sys.argv[1].split(chr(36)); \
         print(base64.b64encode(hashlib.pbkdf2_hmac('sha256', open('{}').read().rstrip(chr(10)).encode(), salt.encode(), int(rounds))).decode() == digest)\" '{stored}'",
        known.display()
    );
    std::fs::write(&known, format!("{secret}\n")).unwrap();
    let checked = crate::lab::outside(&["sh".into(), "-c".into(), check]);
    assert_eq!(checked.exits(0).out.trim(), "True");
    host.tool(&["admin", "password", "--user", "nobody-here", "--password-file", "/root/password"])
        .exits(1)
        .says("setting the password of nobody-here")
        .says("does not exist");

    host.sql("UPDATE authentik_core_user SET is_superuser = false");
    host.tool(&["admin", "reset-group"]).exits(0).says("akadmin is an administrator");
    assert_eq!(
        host.sql("SELECT is_superuser FROM authentik_core_user WHERE username = 'akadmin'"),
        "t"
    );

    // Any command of authentik's, with its own arguments, settings and exit code.
    let ak = host.tool(&["ak", "--", "dump_config", "--flag", "a b"]).exits(0).out;
    let said: serde_json::Value = serde_json::from_str(&ak).unwrap();
    assert_eq!(
        (said["host"].as_str(), said["args"][1].as_str()),
        (Some("/run/postgresql"), Some("a b"))
    );
    host.tool(&["ak", "no_such_command"]).exits(1).says("unknown command");

    // Each of them leaves a line in the journal, and none leaves the password.
    let log = host.tool(&["logs", "install"]).exits(0).out;
    for line in [
        "made a recovery link",
        "set a password",
        "made the group of administrators again",
        "running ak",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    assert!(!host.sh("journalctl --no-pager").contains("Wörter"));

    // The logs, by part.
    let server = host.tool(&["logs", "server", "-n", "200"]).exits(0).out;
    assert!(
        server.contains("\"event\": \"ready\"")
            && server.contains("Stopping authentik-server.service"),
        "{server}"
    );
    let worker = host.tool(&["logs", "worker", "--since", "-1h"]).exits(0).out;
    assert!(
        worker.contains("authentik-worker") && !worker.contains("\"event\": \"ready\""),
        "{worker}"
    );
    assert_eq!(host.tool(&["logs", "-n", "3"]).exits(0).out.lines().count(), 3);
    let followed = host.sh(&format!("timeout 3 {tool} logs worker --follow -n 1 || [ $? = 124 ]"));
    assert!(!followed.is_empty());
}
