//! What the help texts give as examples works, each of them, on an installed host.

use crate::lab::{DOMAIN, Host};

/// Ends with something else than 0, as the help says.
const OTHERWISE: &[(&str, i32)] = &[
    ("self update", 9),
    ("self update --check", 9),
    ("self verify-download SHA256SUMS", 9),
    // The lab has no time server: a warning.
    ("verify --format nagios --deadline 20", 1),
    // Until somebody stops it.
    ("logs worker --follow --since -1h", 130),
    // There are settings already.
    ("settings init --domain auth.example.com", 2),
];
/// What a host of ours has under another name, or not at all.
const HERE: &[(&str, &str)] = &[
    ("auth.example.com", DOMAIN),
    ("sftp:backup@nas.example.com:/authentik", "/mnt/nas/authentik"),
    ("/root/restic-password", "/root/restic"),
    ("man -l -", "grep -q TH"),
    (
        "authentik-install logs worker --follow",
        "timeout --preserve-status -s INT 3 authentik-install logs worker --follow",
    ),
];

/// All verbs below one, and the text of its help.
fn helps(host: &Host, verbs: &[String]) -> Vec<(Vec<String>, String)> {
    let mut args: Vec<&str> = verbs.iter().map(String::as_str).collect();
    args.push("--help");
    let text = host.tool(&args).exits(0).out;
    let below = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let below = below.lines().take_while(|line| !line.is_empty());
    // Its own lines are indented by two; what goes on is further in.
    let names = below.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    let mut all = Vec::new();
    for name in names.into_iter().filter(|name| *name != "help") {
        let inner: Vec<String> = verbs.iter().cloned().chain([name.to_owned()]).collect();
        all.extend(helps(host, &inner));
    }
    all.push((verbs.to_vec(), text));
    all
}

fn examples(text: &str) -> Vec<String> {
    let part = text.split("\nExample").nth(1).unwrap_or_default();
    let lines = part.lines().skip(1).take_while(|line| !line.trim().is_empty());
    let mut found: Vec<String> = Vec::new();
    for line in lines {
        // What is too long for a screen goes on in the next line.
        match (line.starts_with("  authentik-install"), found.last_mut()) {
            (false, Some(last)) => *last = format!("{last} {}", line.trim()),
            _ => found.push(line.trim().to_owned()),
        }
    }
    found
}

#[test]
fn every_example_of_the_help_works() {
    let host = Host::installed();
    host.sh("cp /var/lib/lab/authentik-install /usr/local/bin/; mkdir -p /mnt/usb /var/lib/prometheus/node-exporter /usr/local/share/man/man1 /etc/bash_completion.d /mnt/nas");
    host.sh("(umask 077; echo Example-Password-1 >/root/restic; echo Example-Password-2 >/root/password); restic -q init -r /mnt/nas/authentik --password-file /root/restic");
    host.tool(&[
        "install",
        "--yes",
        "--set",
        "backup.offsite.repository=/mnt/nas/authentik",
        "--set",
        "backup.offsite.password_file=/root/restic",
    ])
    .exits(0);
    host.tool(&["backup"]).exits(0);
    let mut ran = 0;
    let mut without = Vec::new();
    let mut all = helps(&host, &[]);
    // What brings another state comes last.
    let order = |verbs: &[String]| match verbs.first().map(String::as_str) {
        Some("uninstall") => 2,
        Some("restore") => 1,
        _ => 0,
    };
    all.sort_by_key(|(verbs, _)| order(verbs));
    for (verbs, text) in all {
        let examples = examples(&text);
        let leads_on = text.contains("\nCommands:\n") && !text.contains("\nArguments:\n");
        if examples.is_empty() && !leads_on {
            without.push(verbs.join(" "));
        }
        for example in examples {
            // What is asked on a terminal is answered by a flag; the host keeps its own name and image.
            let mut line = example.clone();
            for (there, here) in HERE {
                line = line.replace(there, here);
            }
            if verbs.first().is_some_and(|verb| verb == "restore") && !line.contains("--dry-run") {
                host.tool(&["restore", "commit"]);
                line = format!("{line} --yes")
                    .replace("commit --yes", "commit")
                    .replace("--abort --yes", "--abort");
                if line.contains("commit") || line.contains("--abort") {
                    host.tool(&["restore", "latest", "--yes", "--no-safety-backup"]).exits(0);
                }
            }
            let answer =
                host.run(&["bash", "-c", &format!("cd /mnt/usb; exec </dev/null; {line}")]);
            let known = OTHERWISE.iter().find(|(end, _)| example.ends_with(end));
            let wanted = known.map_or(0, |(_, code)| *code);
            assert_eq!(answer.code, wanted, "{line}\n{}\n{}", answer.out, answer.err);
            ran += 1;
        }
    }
    assert_eq!(without, Vec::<String>::new(), "verbs without an example");
    eprintln!("{ran} examples");
}
