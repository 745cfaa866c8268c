//! The lab cleans up after a test that was killed, and says what it needs.

use crate::lab::{lab, outside, root};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_host_does_not_outlive_its_owner() {
    let mut owner = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let name = format!("owned-{}", std::process::id());
    lab(&["up", &name, "--base", "bare", "--owner", &owner.id().to_string()]).exits(0);
    let folder = lab(&["path", &name, "root"]).exits(0).out.trim().to_owned();
    let leader = lab(&["leader", &name]).exits(0).out.trim().to_owned();
    // As Ctrl-C or the kernel would end a test run: without a word.
    owner.kill().unwrap();
    owner.wait().unwrap();
    let gone = || {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        !mounts.contains(&folder)
            && !std::path::Path::new(&folder).exists()
            && !std::path::Path::new("/proc").join(&leader).exists()
    };
    let began = Instant::now();
    while !gone() {
        assert!(began.elapsed() < Duration::from_secs(60), "{folder} is still there");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn without_root_it_says_so() {
    let copy = std::env::temp_dir().join(format!("lab-{}", std::process::id()));
    let tests = copy.join("tests/lab");
    std::fs::create_dir_all(&tests).unwrap();
    for script in ["tests/lab/lab", "tests/run"] {
        std::fs::copy(root().join(script), copy.join(script)).unwrap();
    }
    let nobody = |script: &str| {
        let path = copy.join(script).display().to_string();
        let words =
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", &path, "base"];
        outside(&words.map(str::to_owned))
    };
    nobody("tests/lab/lab").exits(1).says("needs root");
    nobody("tests/run").exits(1).says("run it as root");
    std::fs::remove_dir_all(&copy).unwrap();
}
