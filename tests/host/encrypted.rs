//! Backups that only the holder of a key can read.

use crate::backup::{DIR, create, id};
use crate::lab::{Host, assert_same};

#[test]
fn an_encrypted_backup_is_for_its_key_alone() {
    let host = Host::installed();
    let pair = host.tool(&["backup", "key", "new"]).exits(0).out;
    let word = |start: &str| {
        pair.split(['"', '\n']).find(|word| word.starts_with(start)).unwrap().to_owned()
    };
    let (public, private) = (word("age1"), word("AGE-SECRET-KEY-"));
    // Kept nowhere on the host.
    assert_eq!(
        host.sh(&format!(
            "grep -rls {private} /etc /var/lib/authentik-install /root /run 2>/dev/null || true"
        )),
        ""
    );
    let recipients = format!("backup.recipients=[\"{public}\"]");
    host.tool(&["install", "--yes", "--set", &recipients]).exits(0);
    let made = create(&host, &[]).exits(0);
    let first = id(&made);
    let at = format!("{DIR}/{first}");
    assert_eq!(host.sh(&format!("ls {at} | grep -c age$")).trim(), "3");
    host.tool(&["backup", "verify"]).exits(0);
    host.tool(&["backup", "verify", "latest", "--deep"]).exits(10).says("--identity");
    let other = host.tool(&["backup", "key", "new"]).exits(0).out;
    let keys = host.folder("varlib").join("lab");
    std::fs::write(keys.join("other"), other).unwrap();
    std::fs::write(keys.join("key"), format!("{private}\n")).unwrap();
    let deep = |key: &str| host.tool(&["backup", "verify", "latest", "--deep", "--identity", key]);
    deep("/var/lib/lab/none").exits(10);
    deep("/var/lib/lab/other").exits(10);
    deep("/var/lib/lab/key").exits(0).says("proven");
    // SSH keys do as well, and a private one is no recipient.
    host.sh("ssh-keygen -q -t ed25519 -N '' -f /root/ssh 2>/dev/null || { echo no ssh-keygen; exit 1; }");
    let ssh = host.sh("cut -d' ' -f1,2 /root/ssh.pub");
    create(&host, &["--recipient", ssh.trim()]).exits(0);
    deep("/root/ssh").exits(0).says("proven");
    let sealed = |args: &[&str]| {
        let args = [&["restore"], args, &["--yes", "--no-safety-backup"]].concat();
        host.tool(&args)
    };
    let untouched = host.trace();
    sealed(&["latest"]).exits(10).says("--identity");
    sealed(&["latest", "--identity", "/var/lib/lab/key"]).exits(10);
    sealed(&[&first, "--identity", "/var/lib/lab/other"]).exits(10);
    assert_same(&untouched, &host.trace());
    sealed(&["latest", "--identity", "/root/ssh"]).exits(0);
    host.tool(&["restore", "commit"]).exits(0);
    // Carried away in one file, and brought back.
    host.tool(&["backup", "export", &first, "/root/carried.tar"]).exits(0);
    host.sh(&format!("rm -r {DIR}/{first}"));
    sealed(&["/root/carried.tar"]).exits(10);
    host.sh(&format!("test ! -e {DIR}/{first}"));
    sealed(&["/root/carried.tar", "--identity", "/var/lib/lab/key"]).exits(0);
    host.tool(&["restore", "commit"]).exits(0);
    host.comes_to_rest();
    let refused = create(&host, &["--recipient", &private]).exits(2).says("private key");
    assert!(!refused.err.contains(&private), "{}", refused.err);
}
