//! A booted Debian of its own for each test, thrown away when the test ends.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const DOMAIN: &str = "auth.lab.example";

/// What `install` needs on every host here.
pub const INSTALL: [&str; 10] = [
    "install",
    "--yes",
    "--domain",
    DOMAIN,
    "--tls",
    "internal",
    "--image-archive",
    "/var/lib/lab/image.tar",
    "--deadline",
    "180",
];

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    fn of(output: Output) -> Self {
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the program ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- out\n{}\n--- err\n{}", self.out, self.err);
        self
    }

    /// Fails the test unless one of the two streams holds this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let both = format!("{}\n{}", self.out, self.err);
        assert!(both.contains(text), "no {text:?} in\n{both}");
        self
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn script() -> PathBuf {
    root().join("tests/lab/lab")
}

pub fn lab(args: &[&str]) -> Answer {
    let output = Command::new(script()).args(args).output();
    Answer::of(output.expect("tests/lab/lab runs"))
}

/// The released static binary, as `dist/build` makes it.
pub fn binary() -> PathBuf {
    let arch = std::env::consts::ARCH;
    let path = root().join(format!("target/{arch}-unknown-linux-musl/release/authentik-install"));
    assert!(
        path.is_file(),
        "{} is missing: run dist/build, or all tests by tests/run",
        path.display()
    );
    path
}

/// The stand-in image of a version, as an archive.
pub fn image(version: &str) -> PathBuf {
    let build = root().join("tests/host/image/build");
    let output = Command::new(build).arg(version).output().expect("builds");
    Answer::of(output).exits(0).out.trim().into()
}

/// That of the newest version, which every host gets.
fn newest_image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| image("2026.8.3"))
}

/// A booted host.
pub struct Host {
    pub name: String,
}

// `tests/run --sid`: the same tests on the next Debian.
fn of_suite(base: &str) -> &str {
    match (base, std::env::var("AUTHENTIK_INSTALL_SUITE").as_deref()) {
        ("full", Ok("sid")) => "sid",
        ("bare", Ok("sid")) => "sid-bare",
        (other, _) => other,
    }
}

impl Host {
    /// A fresh one: `full` has all that authentik is built on, `bare` is a minimal system.
    pub fn boot(base: &str) -> Self {
        Host::up(&["--base", of_suite(base)])
    }

    /// A fresh one with a public address, 198.51.100.5.
    pub fn with_network() -> Self {
        Host::up(&["--base", of_suite("full"), "--network"])
    }

    /// A minimal system with a way to the archive of its distribution.
    pub fn bare_with_internet() -> Self {
        Host::up(&["--base", of_suite("bare"), "--internet"])
    }

    /// One with authentik installed; the first caller installs it, all others get a copy.
    pub fn installed() -> Self {
        static SNAPSHOT: OnceLock<String> = OnceLock::new();
        let snapshot = SNAPSHOT.get_or_init(|| {
            let name = format!("installed-{}", std::process::id());
            let host = Host::boot("full");
            host.install(&["--acme-email", "acme@example.com"]).exits(0);
            lab(&["off", &host.name]).exits(0);
            lab(&["save", &host.name, &name]).exits(0);
            name
        });
        let host = Host::up(&["--from", snapshot]);
        host.comes_to_rest();
        host
    }

    fn up(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("t{}-{}", std::process::id() % 100_000, NEXT.fetch_add(1, Ordering::Relaxed));
        let owner = std::process::id().to_string();
        let mut all = vec!["up", &name, "--owner", &owner];
        all.extend(args);
        lab(&all).exits(0);
        let host = Host { name };
        let shared = host.folder("varlib").join("lab");
        std::fs::create_dir_all(&shared).expect("a folder for the test's files");
        std::fs::copy(binary(), shared.join("authentik-install")).expect("the binary goes in");
        if !shared.join("image.tar").exists() {
            std::fs::hard_link(newest_image(), shared.join("image.tar"))
                .or_else(|_| std::fs::copy(newest_image(), shared.join("image.tar")).map(drop))
                .expect("the image goes in");
        }
        host
    }

    /// A folder of the host, seen from outside: `upper`, `varlib`.
    pub fn folder(&self, which: &str) -> PathBuf {
        lab(&["path", &self.name, which]).exits(0).out.trim().into()
    }

    /// Runs a program inside, as root.
    pub fn run(&self, args: &[&str]) -> Answer {
        let mut all = vec!["exec", &self.name, "--"];
        all.extend(args);
        lab(&all)
    }

    /// Runs a line of shell inside, as root, and returns what it printed. `$PG` is the major version of the
    /// host's PostgreSQL.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        self.run(&["sh", "-c", line]).exits(0).out
    }

    /// The major version of its PostgreSQL.
    pub fn major(&self) -> String {
        self.sh("echo $PG").trim().to_owned()
    }

    /// Runs authentik-install inside.
    pub fn tool(&self, args: &[&str]) -> Answer {
        let mut all = vec!["/var/lib/lab/authentik-install"];
        all.extend(args);
        self.run(&all)
    }

    /// `install` with what every test here needs, and more.
    pub fn install(&self, more: &[&str]) -> Answer {
        let mut all = INSTALL.to_vec();
        all.extend(more);
        self.tool(&all)
    }

    /// The wrapper that enters this host, for a program run around it (strace).
    pub fn enter(&self) -> Vec<String> {
        let leader = lab(&["leader", &self.name]).exits(0).out.trim().to_owned();
        let ns =
            ["nsenter", "-t", &leader, "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i", "-C", "/"];
        let mut all: Vec<String> = ns.iter().map(|word| (*word).to_owned()).collect();
        all.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        all
    }

    /// Runs the program, killed at its n-th call of `syscall`, or what it starts at theirs; each thread's
    /// calls are counted by themselves. `None`: it did not come to its end.
    pub fn killed_at(&self, (syscall, when): (&str, u32), args: &[&str]) -> Option<Answer> {
        let inject = format!("inject={syscall}:signal=SIGKILL:when={when}");
        let trace = format!("trace={syscall}");
        let answer = self.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], args);
        (answer.code == 0).then_some(answer)
    }

    /// Runs the program under strace with these flags.
    pub fn traced(&self, flags: &[&str], args: &[&str]) -> Answer {
        let strace = [&["strace", "-f", "-qq"], flags].concat();
        // The shell joins the host, and becomes strace.
        let joined = format!("{} join {} $$ && exec \"$@\"", script().display(), self.name);
        let mut line = ["sh", "-c", &joined, "sh"].map(String::from).to_vec();
        line.extend(strace.into_iter().map(String::from));
        line.extend(self.enter());
        line.push("/var/lib/lab/authentik-install".into());
        line.extend(args.iter().map(|arg| (*arg).to_owned()));
        outside(&line)
    }

    /// SQL as the administrator.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("authentik", sql)
    }

    /// The same in another database.
    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        let answer =
            self.run(&["runuser", "-u", "postgres", "--", "psql", "-XAtqd", database, "-c", sql]);
        answer.exits(0).out.trim().to_owned()
    }

    /// What the journal holds of these matches, once it is `all`: it is written a moment after it was told.
    #[track_caller]
    pub fn journal(&self, matches: &str, all: impl Fn(&str) -> bool) -> String {
        let read = || self.sh(&format!("journalctl --no-pager -o cat {matches}"));
        let until = Instant::now() + Duration::from_secs(10);
        let mut log = read();
        while !all(&log) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(200));
            log = read();
        }
        assert!(all(&log), "the journal of {matches} holds\n{log}");
        log
    }

    /// A line of shell as the service user, with its manager within reach.
    pub fn as_service_user(&self, line: &str) -> Answer {
        self.as_user("authentik", line)
    }

    /// The same as a service user of another name.
    pub fn as_user(&self, user: &str, line: &str) -> Answer {
        self.run(&[
            "sh",
            "-c",
            "U=$(id -u $2); exec setpriv --reuid $2 --regid $2 --init-groups \
             env -i PATH=/usr/bin:/bin HOME=/var/lib/authentik/home XDG_RUNTIME_DIR=/run/user/$U \
             DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$U/bus sh -c \"$1\"",
            "sh",
            line,
            user,
        ])
    }

    /// Podman of the service user.
    pub fn podman(&self, args: &str) -> Answer {
        self.as_service_user(&format!("exec podman {args}"))
    }

    /// Status of a path, asked through Caddy by the public name.
    pub fn public(&self, path: &str) -> String {
        self.sh(&format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' --cacert /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt \
             --resolve {DOMAIN}:443:127.0.0.1 https://{DOMAIN}{path}"
        ))
    }

    /// Waits until both services are up and the login page is there.
    #[track_caller]
    pub fn wait_ready(&self) {
        self.sh("for i in $(seq 1 600); do \
            [ \"$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9000/if/flow/default-authentication-flow/)\" = 200 ] \
                && [ \"$(systemctl --user -M authentik@ is-active authentik-server.service authentik-worker.service | uniq)\" = active ] \
                && exit 0; \
            sleep 0.2; done; echo 'not both services up and the login page there after 120 s' >&2; exit 1");
    }

    /// Waits until there is nothing to do: a worker's first sign of life comes after its page.
    #[track_caller]
    pub fn comes_to_rest(&self) {
        self.wait_ready();
        for _ in 0..20 {
            if self.tool(&["plan", "--exit-code"]).code == 0 {
                return;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        self.tool(&["plan", "--exit-code"]).exits(0);
    }

    /// Power cut, then the power is back.
    pub fn power_cut(&self) {
        lab(&["cut", &self.name]).exits(0);
        lab(&["boot", &self.name]).exits(0);
    }

    /// Everything on disk that the host did not come with: path, mode, owner and size. What the
    /// system writes by itself all the time is left out, and so is what each health check of a
    /// container leaves for a moment, and what our own leaves every ten minutes.
    pub fn trace(&self) -> String {
        let (upper, varlib) = (self.folder("upper"), self.folder("varlib"));
        let script = format!(
            "for d in {} {}; do cd $d && find . -xdev \\( -path ./var/log -o -path ./run -o -path ./tmp -o -path ./var/tmp \
               -o -path ./postgresql -o -path ./lab -o -path ./systemd -o -path ./valkey -o -path ./var/cache \
               -o -path '*/overlay-containers/*/userdata' -o -name db.sql-journal \
               -o -path ./authentik-install/verify.json \\) -prune \
               -o \\( -type f -printf '%p %m %U %s\\n' \\) -o \\( -type d -printf '%p %m %U\\n' \\) -o -printf '%p %y %U\\n'; done | sort",
            upper.display(),
            varlib.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().expect("find runs");
        Answer::of(output).exits(0).out
    }
}

/// Fails the test, naming each line that came or went, unless the two traces are equal.
#[track_caller]
pub fn assert_same(before: &str, after: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let (before, after) = (lines(before), lines(after));
    let gone: Vec<&String> = before.difference(&after).collect();
    let new: Vec<&String> = after.difference(&before).collect();
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.run(&["journalctl", "-b", "-n", "60", "--no-pager", "-o", "short"]);
            eprintln!("--- last lines of the journal of {}\n{}", self.name, log.out);
        }
        lab(&["down", &self.name]);
    }
}

/// Runs a program outside, as it is.
pub fn outside(args: &[String]) -> Answer {
    let (program, rest) = args.split_first().expect("a program");
    Answer::of(Command::new(program).args(rest).output().expect("it starts"))
}
