//! A file imports from lower layers only, stays small, and keeps to its doors.
#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

/// Low to high. Names in one row are of one layer and do not import each other.
const LAYERS: &[&[&str]] = &[
    &["error", "secret", "names", "text"],
    &["event"],
    &["data"],
    &["settings"],
    &["host"],
    &["facts"],
    &["resource"],
    &["blueprint"],
    &["engine", "checks"],
    &["health"],
    &["ui"],
    &["cli"],
    &["verbs"],
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("src is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("readable");
        (path.strip_prefix(&src).expect("below src").to_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn module(path: &Path) -> String {
    let first = path.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_go_downwards() {
    let mut bad = Vec::new();
    for (path, text) in sources() {
        let own = module(&path);
        let Some(mine) = layer(&own) else { continue };
        for part in text.split("crate::").skip(1) {
            let name: String =
                part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if let Some(theirs) = layer(&name)
                && name != own
                && theirs >= mine
            {
                bad.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(bad.is_empty(), "imports upwards or sideways: {bad:#?}");
}

#[test]
fn every_module_has_a_layer() {
    for (path, _) in sources() {
        let name = module(&path);
        assert!(layer(&name).is_some() || matches!(name.as_str(), "main" | "lib"), "{name}");
    }
}

#[test]
fn files_stay_small() {
    for (path, text) in sources() {
        assert!(text.lines().count() <= 400, "{} has more than 400 lines", path.display());
    }
}

#[test]
fn only_the_doors_open_processes_and_files() {
    for (path, text) in sources() {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (word, door) in [("Command::new(", "host/run.rs"), ("openat2(", "host/openat.rs")] {
            assert!(
                !code.contains(word) || path == Path::new(door),
                "{word} in {}",
                path.display()
            );
        }
        if !path.starts_with("data") {
            assert!(!code.contains("version >= "), "{} compares versions", path.display());
        }
    }
}
