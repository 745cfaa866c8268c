//! What others have made under our names: refused, used as it is, or taken over by `--adopt`. With
//! `tests/run --full`.

use crate::lab::{Host, assert_same};
use crate::sweeps::wanted;

#[test]
fn what_is_in_the_way_is_taken_over_when_asked() {
    if !wanted("what is taken over") {
        return;
    }
    let host = Host::boot("full");
    let unit = "/etc/systemd/system/authentik-verify.service";
    host.sh(&format!(
        "groupadd --system authentik; printf '[Service]\\nExecStart=/bin/true\\n' >{unit}
         cd /; for sql in \"CREATE ROLE authentik LOGIN PASSWORD 'theirs'\" 'CREATE ROLE theirs' 'CREATE DATABASE authentik OWNER theirs'; do
             runuser -u postgres -- psql -qc \"$sql\"; done
         runuser -u postgres -- psql -qd authentik -c 'SET ROLE theirs' -c 'CREATE SCHEMA of_theirs' -c 'CREATE TABLE of_theirs.kept AS SELECT 42 AS answer' \\
             -c 'CREATE SEQUENCE of_theirs.count' -c \"CREATE TYPE of_theirs.kind AS ENUM ('a')\" \\
             -c \"CREATE FUNCTION of_theirs.f() RETURNS int LANGUAGE sql AS 'SELECT 1'\""
    ));
    let before = host.trace();
    let refused = host.install(&[]).exits(3).says("Nothing was touched");
    for what in ["a group authentik", "the PostgreSQL role authentik", "belongs to theirs", unit] {
        assert!(refused.err.contains(what), "no {what:?} in {}", refused.err);
    }
    assert_eq!(refused.err.matches("or let it become ours: --adopt").count(), 4, "{}", refused.err);
    host.install(&["--adopt", "--dry-run"]).exits(0).says("take over role:authentik");
    assert_same(&before, &host.trace());

    let taken = host.install(&["--adopt"]).exits(0);
    for what in [
        "take over user:authentik",
        "take over database:authentik",
        "give the database authentik to authentik",
    ] {
        assert!(taken.err.contains(what), "no {what:?} in {}", taken.err);
    }
    assert!(host.sh(&format!("cat {unit}.edited")).contains("/bin/true"));
    assert_eq!(host.sql("SELECT answer FROM of_theirs.kept"), "42");
    let others = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE nspname IN ('public', 'of_theirs') AND relowner <> 'authentik'::regrole";
    assert_eq!(host.sql(others), "0");
    host.comes_to_rest();
    host.tool(&["verify", "--only", "accounts,database,files"]).exits(0);
    // Ours from now on, and so it goes with all else.
    host.tool(&["uninstall", "--yes", "--delete-data=auth.lab.example"]).exits(0);
    assert_eq!(
        host.sql_in("postgres", "SELECT datname FROM pg_database WHERE datname = 'authentik' UNION SELECT rolname FROM pg_roles WHERE rolname IN ('authentik', 'theirs')"),
        "theirs"
    );
    host.sh(&format!("! getent group authentik; test -e {unit}.edited"));
}
