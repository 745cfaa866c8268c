//! Known secrets, searched wherever somebody could read them. With `tests/run --full`.

use crate::lab::{DOMAIN, Host, INSTALL, outside};
use crate::sweeps::wanted;

/// In each of them, and nowhere else in the world.
const MARK: &str = "MaRk4711";
const KEPT: &str = "/etc/authentik/secrets /root/given";

/// Each process's command line, and its environment after its user id.
const SAMPLE: &str = r#"
while sleep 0.02; do
  cat /proc/[0-9]*/cmdline >>lines
  for p in /proc/[0-9]*; do printf '\n@%s ' "$(stat -c %u "$p")"; cat "$p/environ"; done >>env
done"#;

fn given(host: &Host) -> Vec<String> {
    host.sh("mkdir -m 700 /root/given");
    let mut args: Vec<String> = Vec::new();
    for (flag, name) in [
        ("--set", "secret_key_file"),
        ("--set", "database.password_file"),
        ("--set", "email.password_file"),
        ("--admin-password-file", ""),
    ] {
        let file = format!("/root/given/{}", if name.is_empty() { "admin" } else { name });
        host.sh(&format!(
            "umask 077; echo 'a:@/{MARK}%{}-0123456789012345678901234567890123456789' >{file}",
            name.replace('_', "-")
        ));
        args.push(flag.into());
        args.push(if name.is_empty() { file } else { format!("{name}={file}") });
    }
    for pair in ["email.host=mail.lab.example", "email.username=who", "email.from=who@lab.example"]
    {
        args.extend(["--set".into(), pair.into()]);
    }
    args
}

#[test]
fn known_secrets_are_nowhere_to_be_read() {
    if !wanted("secrets searched") {
        return;
    }
    let host = Host::boot("full");
    host.sh("runuser -u postgres -- psql -qc \"ALTER SYSTEM SET log_statement = 'all'\" -c 'SELECT pg_reload_conf()'");
    let given = given(&host);
    // Command lines and environments of all processes, while it runs; those of what it starts, all of them.
    std::fs::write(host.folder("varlib").join("lab/sample"), SAMPLE)
        .expect("a script for the host");
    let watcher = host.sh("cd /var/lib/lab; nohup sh sample >/dev/null 2>&1 & echo $!");
    let trace =
        std::env::temp_dir().join(format!("authentik-install-{}.strace", std::process::id()));
    let shown = trace.display().to_string();
    let more: Vec<&str> = given.iter().map(String::as_str).collect();
    let args = [&INSTALL[..], &more, &["--json"]].concat();
    let flags = ["-v", "-s", "65536", "-e", "trace=execve", "-o", &shown];
    let mut told = vec![host.traced(&flags, &args).exits(0)];
    let traced = std::fs::read_to_string(&trace).expect("what strace wrote");
    std::fs::remove_file(&trace).expect("its file goes");
    assert!(
        traced.lines().filter(|line| line.contains("execve(")).count() > 100,
        "strace saw nothing"
    );
    assert!(!traced.contains(MARK), "{:?}", traced.lines().find(|line| line.contains(MARK)));

    // Another password, and everything that prints.
    host.sh("sed -i s/4711/4711other/ /root/given/database.password_file");
    told.push(host.tool(&[&["plan", "--diff", "--json", "--domain", DOMAIN], &more[..]].concat()));
    told.push(host.install(&[&more[..], &["--diff", "--dry-run"]].concat()));
    told.push(host.install(&more).exits(0));
    for verb in [
        "plan --json",
        "verify --json",
        "verify --format prometheus",
        "status --json",
        "settings show --json",
        "check --json",
        "backup create --json",
        "backup show latest --json",
        "logs server",
        "logs worker",
        "doctor --output /root/bundle.tar.zst",
        "uninstall --dry-run --diff",
    ] {
        told.push(host.tool(&verb.split(' ').collect::<Vec<_>>()));
    }
    for answer in &told {
        assert!(!answer.out.contains(MARK) && !answer.err.contains(MARK), "{answer:?}");
    }
    host.sh(&format!("kill {}", watcher.trim()));
    let none = |what: &str, line: &str| {
        let found = host.sh(&format!("{line} || true"));
        assert_eq!(found, "", "{what}");
    };
    for file in ["lines", "env"] {
        let size: u64 = host.sh(&format!("stat -c %s /var/lib/lab/{file}")).trim().parse().unwrap();
        assert!(size > 100_000, "nothing was sampled");
    }
    none("command lines", &format!("tr '\\0' ' ' </var/lib/lab/lines | grep -aF {MARK}"));
    // The first password of the administrator reaches authentik by its environment alone, for the first start.
    let names = |of: &str| {
        host.sh(&format!("{of} | tr '\\0' '\\n' | grep -aF {MARK} | sed 's/=.*//' | sort -u"))
    };
    assert_eq!(names("cat /var/lib/lab/env"), "AUTHENTIK_BOOTSTRAP_PASSWORD\n");
    let authentik = "^@$(id -u authentik) \\|^@1[0-9]\\{5\\} ";
    let others = format!("grep -av \"{authentik}\" /var/lib/lab/env");
    assert_eq!(names(&others), "", "others' environments");
    assert_eq!(names("cat /proc/[0-9]*/environ"), "", "environments afterwards");
    host.sh("rm /var/lib/lab/lines /var/lib/lab/env");
    none("journal", &format!("journalctl --no-pager -o export | grep -aF {MARK}"));
    none("PostgreSQL's log", &format!("grep -rlaF {MARK} /var/log"));
    // Packed text is found by nobody: what it holds is looked at.
    let bundle = host.folder("upper").join("root/bundle.tar.zst");
    let line = format!("zstd -dc {}", bundle.display());
    let held = outside(&["sh".into(), "-c".into(), line]).exits(0).out;
    assert!(held.contains("verify.json") && !held.contains(MARK), "the bundle");
    let inspected = host.podman("inspect authentik-server authentik-worker").exits(0).out;
    assert!(!inspected.contains(MARK), "podman inspect");
    none(
        "what a normal user reads",
        &format!(
            "setpriv --reuid nobody --regid nogroup --clear-groups grep -rlaF -D skip {MARK} /etc /run /var /usr/local /tmp /home /opt /srv 2>/dev/null"
        ),
    );
    // The archives are root's, and packed: what is looked through is everything else.
    let kept = KEPT.replace(' ', "\\|^");
    none(
        "files",
        &format!(
            "grep -rlaF -D skip --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev {MARK} / 2>/dev/null | grep -v '^{kept}'"
        ),
    );

    // Nothing of what is in memory is written down by a crash.
    let limit = host.sh("setsid /var/lib/lab/authentik-install logs worker --follow >/dev/null 2>&1 & p=$!; sleep 1; grep 'core file' /proc/$p/limits; kill $p");
    assert_eq!(limit.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{limit}");
    eprintln!("secrets: 5 known ones, {} outputs, 0 finds", told.len());
}
