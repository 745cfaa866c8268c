//! A file imports from lower layers only, stays small, and keeps to its doors.
#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

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
    &["backup"],
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

/// Every failure that the sources can tell, as far as its words stand there: what was being done, to what,
/// why, and whether the next step is said on the spot. In one list, to be read in one sitting.
#[test]
fn failures_are_read_as_a_list() {
    let mut list = Vec::new();
    for (path, text) in sources() {
        // What tests make up is for nobody.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in text.match_indices("Failure::new(") {
            let call = call_at(&text[at..]);
            let words = call.split_whitespace().collect::<Vec<_>>().join(" ");
            list.push(format!("{}: {}", path.display(), words.replace("Failure::new", "")));
        }
    }
    list.sort();
    assert!(list.len() > 100, "{} failures", list.len());
    insta::assert_snapshot!("failures", list.join("\n"));
}

// From the name to the parenthesis that closes it.
fn call_at(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth == 1 => return &text[..=at],
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        before = c;
    }
    text
}

/// Crates come from crates.io alone, and ask for no newer compiler than we do.
#[test]
fn crates_are_from_one_place_and_for_our_compiler() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"));
    let lock = lock.expect("Cargo.lock is kept");
    let sources: std::collections::BTreeSet<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(
        sources.into_iter().collect::<Vec<_>>(),
        ["\"registry+https://github.com/rust-lang/crates.io-index\""]
    );
    #[allow(clippy::disallowed_methods)]
    let told = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-musl"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tells");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let number = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let ours = number(env!("CARGO_PKG_RUST_VERSION"));
    let newer: Vec<String> = told["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|package| {
            package["rust_version"].as_str().is_some_and(|their| number(their) > ours)
        })
        .map(|package| format!("{} {}", package["name"], package["rust_version"]))
        .collect();
    assert_eq!(newer, Vec::<String>::new(), "newer than {ours:?}");
}
