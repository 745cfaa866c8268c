//! `verify` as monitoring runs it: forms of the result, and an end by the deadline whatever hangs.

use crate::lab::{Answer, Host};
use std::time::Instant;

fn schema(host: &Host, document: &str) {
    let schema = host.tool(&["verify", "--format", "schema"]).exits(0).out;
    let value = |text: &str| serde_json::from_str(text).expect("JSON");
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    compiler.add_resource("urn:schema", value(&schema)).unwrap();
    let index = compiler.compile("urn:schema", &mut schemas).unwrap();
    if let Err(why) = schemas.validate(&value(document), index) {
        assert!(document.is_empty(), "{why:#}\n{document}");
    }
}

fn nagios(host: &Host) -> Answer {
    host.tool(&["verify", "--format", "nagios"])
}

/// The first line alone is what most monitoring shows, the exit code what it acts on.
#[test]
fn each_form_is_what_its_readers_take() {
    let host = Host::boot("full");
    host.tool(&["verify"]).exits(3).says("nothing is installed here");
    nagios(&host).exits(3).says("AUTHENTIK UNKNOWN - ");
    drop(host);

    let host = Host::installed();
    schema(&host, &host.tool(&["verify", "--json"]).exits(0).out);
    let groups = host.tool(&["verify", "--only", "web,database", "--json"]).exits(0).out;
    let report: serde_json::Value = serde_json::from_str(&groups).unwrap();
    let of = |row: &serde_json::Value| row["group"].as_str().unwrap().to_owned();
    assert!(
        report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| ["web", "database"].contains(&of(row).as_str()))
    );

    // The lab keeps no time and knows no names: two warnings.
    let line = nagios(&host).exits(1).out;
    let first = line.lines().next().unwrap();
    assert!(first.starts_with("AUTHENTIK WARNING - ") && first.contains(" | time="), "{first}");
    assert!(first.contains("database_size_bytes=") && first.matches('|').count() == 1, "{first}");

    // Prometheus: the node exporter itself reads it.
    host.sh("systemctl start prometheus-node-exporter");
    let file = "/var/lib/prometheus/node-exporter/authentik.prom";
    host.tool(&["verify", "--format", "prometheus", "--output", file]).exits(0);
    let scraped = host.sh("for i in $(seq 50); do curl -sf http://127.0.0.1:9100/metrics && exit 0; sleep 0.1; done; exit 1");
    let value = |name: &str| {
        let line = scraped.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!(value("node_textfile_scrape_error").as_deref(), Some("0"));
    assert_eq!(value("authentik_install_healthy").as_deref(), Some("1"));
    assert_eq!(value("authentik_install_check_status{check=\"postgresql\"").as_deref(), Some("0"));
    assert!(value("authentik_install_database_size_bytes").is_some(), "{scraped}");

    // A failure: 5 for scripts, 2 for Nagios, told with its next command, and JSON is still JSON.
    host.sh("systemctl stop postgresql@$PG-main");
    host.tool(&["verify"]).exits(5).says("FAIL").says("next: systemctl list-units");
    // What could not be laid out is not left out.
    host.tool(&["verify", "--only", "files"]).exits(5).says("unknown resources:files");
    nagios(&host).exits(2).says("AUTHENTIK CRITICAL - ");
    schema(&host, &host.tool(&["verify", "--json"]).exits(5).out);
    host.tool(&["verify", "--format", "prometheus", "--output", file]).exits(5);
    assert!(host.sh(&format!("cat {file}")).contains("\nauthentik_install_healthy 0\n"));
    assert_eq!(
        host.sh("ls -A /var/lib/prometheus/node-exporter | grep -vc authentik.prom || true").trim(),
        "0"
    );
}

/// Whatever hangs is named, and the whole ends in time.
#[test]
fn it_ends_by_the_deadline_whatever_hangs() {
    let host = Host::installed();
    let verify = |deadline: &str| {
        let begun = Instant::now();
        let answer = host.tool(&["verify", "--all", "--deadline", deadline]);
        (answer.exits(5), begun.elapsed().as_secs_f64())
    };
    let hung: &[(&str, &str, &[&str])] = &[
        (
            "PostgreSQL",
            "[p]ostgres",
            &["unknown postgresql", "fail postgresql", "no answer within"],
        ),
        ("Caddy", "[c]addy run", &["https", "no answer", "timeout"]),
        ("the containers", "[b]in/ak", &["server-ready", "timeout"]),
    ];
    for (what, pattern, said) in hung {
        host.sh(&format!("pkill -STOP -f '{pattern}'"));
        let (answer, took) = verify("4");
        host.sh(&format!("pkill -CONT -f '{pattern}'"));
        assert!(took < 6.0, "{what}: {took} s\n{}", answer.out);
        assert!(said.iter().any(|word| answer.out.contains(word)), "{what}:\n{}", answer.out);
    }
    // A file system that never answers, as of a server that is gone.
    let media = "/var/lib/authentik/data/media";
    host.sh(&format!(
        "systemd-run -q --unit dead sh -c 'exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 dead {media}; exec sleep 600'; sleep 1"
    ));
    let (answer, took) = verify("4");
    assert!(took < 6.0, "a dead file system: {took} s\n{}", answer.out);
    assert!(answer.out.contains("disk: looking at disk: no answer within 4 s"), "{}", answer.out);
    // Everything at once.
    host.sh("pkill -STOP -f [p]ostgres; pkill -STOP -f [c]addy; pkill -STOP -f '[b]in/ak'");
    let (answer, took) = verify("3");
    assert!(took < 5.0, "everything: {took} s\n{}", answer.out);
    // A reader that reads nothing.
    let begun = Instant::now();
    host.sh("mkfifo /run/full; exec 8<>/run/full; dd if=/dev/zero of=/run/full bs=4k oflag=nonblock 2>/dev/null || true; \
        /var/lib/lab/authentik-install verify --deadline 3 >/run/full || true");
    assert!(begun.elapsed().as_secs_f64() < 8.0, "a full pipe: {:?}", begun.elapsed());
    host.sh("pkill -CONT -f '[b]in/ak'; pkill -CONT -f [c]addy; pkill -CONT -f [p]ostgres; systemctl stop dead");
}
