//! Backups that are not what they say, with sums that fit: made by somebody who knows how.

use crate::backup::{SHARED, create, fill, id};
use crate::lab::{Host, assert_same, outside};
use crate::restore::{change, is_new, marked, nothing_is_left_over};
use std::path::{Path, PathBuf};

/// Changes a manifest, or puts one member into the archive of data in place of all others, and corrects the
/// sums.
const FORGE: &str = r#"
import hashlib, io, json, subprocess, sys, tarfile
folder, kind = sys.argv[1:]
sha = lambda b: hashlib.sha256(b).hexdigest()
m = json.load(open(folder + "/manifest.json"))
pg = m["postgresql"]
wrong = {
    "rows": lambda: pg["rows"].update({"public.authentik_core_user": 4711}),
    "schemas": lambda: pg["schemas"].append("nowhere"),
    "sum": lambda: next(f for f in m["files"] if f["path"].endswith("icons/t1")).update(sha256="0" * 64),
    "major": lambda: pg.update(version=990000),
    "extension": lambda: pg["extensions"].update(nowhere="1"),
    "space": lambda: pg.update(bytes=1 << 50),
    "line": lambda: m["authentik"].update(migrated_by="2025.10.0"),
    "host": lambda: m.update(host="elsewhere", domain="sso.other.example"),
}
if kind in wrong:
    wrong[kind]()
else:
    # Into which archive, and whose trees it has.
    part, trees, body = "data.tar.zst", ("data",), b"x"
    if kind == "binary": part, trees, body = "config.tar.zst", ("etc", "units", "boot", "site", "ledger"), b"\xff"
    member = tarfile.TarInfo("data/evil")
    row = {"path": "data/evil", "kind": "file", "owner": "root", "group": "root", "mode": "0644", "modified": [0, 0]}
    if kind == "dots": member.name = "data/../../../../../etc/evil"; member.size = 1
    if kind == "slashes": member.name = "data//etc/evil"; member.size = 1
    if kind == "absolute": member.name = "/etc/evil"; member.size = 1
    if kind == "device": member.type = tarfile.CHRTYPE; member.devmajor, member.devminor = 1, 3
    if kind == "hard": member.type = tarfile.LNKTYPE; member.linkname = "data/media"
    if kind == "tree": member.name = "home/evil"; member.size = 1
    if kind == "setuid": member.size = 1; row.update(mode="4755", bytes=1, sha256=sha(b"x"))
    if kind == "binary":
        member.name = "etc/secrets/secret_key"; member.size = 1
        row.update(path=member.name, bytes=1, sha256=sha(body))
    if kind == "link":
        member.type = tarfile.SYMTYPE; member.linkname = "/etc"
        row.update(kind="link", target="/etc")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(body) if member.size else None)
    raw = out.getvalue()
    packed = subprocess.run(["zstd", "-cq"], input=raw, check=True, capture_output=True).stdout
    open(folder + "/" + part, "wb").write(packed)
    for p in m["parts"]:
        if p["name"] == part:
            p["stored"] = {"bytes": len(packed), "sha256": sha(packed)}
            p["holds"] = {"bytes": len(raw), "sha256": sha(raw)}
    m["files"] = [f for f in m["files"] if not f["path"].startswith(tuple(t + "/" for t in trees))]
    if kind in ("link", "setuid", "binary"):
        m["files"].append(row)
open(folder + "/manifest.json", "wb").write(json.dumps(m).encode())
lines = []
for line in open(folder + "/SHA256SUMS"):
    name = line.split("  ")[1].strip()
    lines.append(sha(open(folder + "/" + name, "rb").read()) + "  " + name + "\n")
open(folder + "/SHA256SUMS", "w").writelines(lines)
"#;

/// A backup of a host, of which each case gets a copy.
struct Forgery {
    folder: PathBuf,
    kept: PathBuf,
}

fn copy(from: &Path, to: &Path) {
    let line = format!("rm -rf {1} && cp -a {0} {1}", from.display(), to.display());
    outside(&["sh".into(), "-c".into(), line]).exits(0);
}

impl Forgery {
    fn of(host: &Host, backup: &str) -> Self {
        let folder = host.folder("varlib").join("lab/backups").join(backup);
        let kept = folder.with_file_name("kept");
        copy(&folder, &kept);
        Forgery { folder, kept }
    }

    fn is(&self, kind: &str) {
        copy(&self.kept, &self.folder);
        let line = ["python3", "-c", FORGE, &self.folder.display().to_string(), kind];
        outside(&line.map(String::from)).exits(0);
    }
}

fn backed_up() -> (Host, String) {
    let host = Host::installed();
    fill(&host, 1);
    marked(&host);
    host.sh(&format!("install -d -m 700 {SHARED}"));
    let backup = id(&create(&host, &["--dir", SHARED]).exits(0));
    (host, backup)
}

/// Refused before anything is touched: also no backup is made of what is there.
#[test]
fn what_does_not_fit_is_refused_before_anything_is_touched() {
    let (host, backup) = backed_up();
    let forgery = Forgery::of(&host, &backup);
    change(&host);
    let verify = |more: &[&str]| {
        host.tool(&[&["backup", "verify", &backup, "--dir", SHARED], more].concat())
    };
    let restore = || host.tool(&["restore", &backup, "--yes", "--dir", SHARED]);
    let before = host.trace();
    for (kind, code, says) in [
        // What the archive must not hold.
        ("dots", 8, "leads out"),
        ("slashes", 8, "leads out"),
        ("absolute", 8, "leads out"),
        ("device", 8, "neither file, folder nor link"),
        ("hard", 8, "neither file, folder nor link"),
        ("link", 8, "leads out"),
        ("tree", 8, "leads out"),
        ("setuid", 8, "setuid"),
        ("binary", 8, "secrets/secret_key is no file of settings"),
        ("sum", 8, "its content is not what the manifest says"),
        // What this host has not.
        ("major", 3, "it is of PostgreSQL 99"),
        ("extension", 3, "needs the extension nowhere"),
        ("space", 3, "are needed"),
        ("line", 3, "install --version 2025.10.0"),
    ] {
        forgery.is(kind);
        verify(&[]).exits(0);
        let refused = restore();
        assert_eq!(refused.code, code, "{kind}: {}", refused.err);
        assert!(refused.err.contains(says), "{kind}: {}", refused.err);
        assert_same(&before, &host.trace());
    }
    assert_eq!(host.sh(&format!("ls {SHARED}")), format!("{backup}\nkept\n"));
    is_new(&host);
    nothing_is_left_over(&host);

    // Rows are counted once the dump is loaded: what runs is not touched by that.
    forgery.is("rows");
    let refused = host.tool(&["restore", &backup, "--yes", "--no-safety-backup", "--dir", SHARED]);
    refused.exits(8).says("not all rows came back");
    is_new(&host);
    nothing_is_left_over(&host);

    // What only a look at all of it finds.
    for (kind, says) in [
        ("rows", "public.authentik_core_user has 1 rows, not 4711"),
        ("schemas", "template, nowhere"),
        ("sum", "icons/t1: its content is not what the manifest says"),
        ("setuid", "setuid"),
    ] {
        forgery.is(kind);
        verify(&[]).exits(0);
        let found = verify(&["--deep"]).exits(8);
        assert!(found.out.contains(says) || found.err.contains(says), "{kind}: {}", found.out);
    }

    // That it is of another host is said, and up to who restores it.
    forgery.is("host");
    host.tool(&["restore", &backup, "--dry-run", "--dir", SHARED])
        .exits(0)
        .says("on elsewhere")
        .says("onto the installation that is here");
}
