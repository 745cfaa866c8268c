//! The one door to processes: absolute program, a deadline, an empty environment, capped output.

use crate::error::{Cause, Failure, Result};
use crate::host::Reader;
use crate::host::accounts::Account;
use crate::host::arg::Arg;
use crate::host::memo::About;
use crate::host::output::Output;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// More than any answer that is parsed here; what comes after is read and dropped.
const OUTPUT_CAP: usize = 4 << 20;

/// What the program reads.
#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Zeroizing<Vec<u8>>),
    File(File),
}

/// A program about to run.
#[derive(Debug)]
pub(in crate::host) struct Cmd {
    program: String,
    args: Vec<OsString>,
    user: Option<Account>,
    env: Vec<(OsString, OsString)>,
    input: Input,
    output: Option<File>,
    deadline: Duration,
    interruptible: bool,
    asks: Option<About>,
    changes_only: Option<&'static [About]>,
    doing: Option<(String, String)>,
    next: Option<String>,
}

/// Told, while a program runs, its last line on standard error and for how long it has run.
pub(in crate::host) type Watch<'w> = &'w dyn Fn(&str, Duration);

impl Cmd {
    /// `program` is a name, looked up in fixed folders.
    pub fn new(program: &str) -> Self {
        Cmd {
            program: program.to_owned(),
            args: Vec::new(),
            user: None,
            env: Vec::new(),
            input: Input::Nothing,
            output: None,
            deadline: Duration::from_secs(30),
            interruptible: false,
            asks: None,
            changes_only: None,
            doing: None,
            next: None,
        }
    }

    pub fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into().into_inner());
        self
    }

    pub fn args<A: Into<Arg>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.into().into_inner()));
        self
    }

    /// Runs as this user, with all groups that the group database gives it, and its own manager
    /// within reach.
    pub fn user(mut self, account: &Account) -> Self {
        self.user = Some(account.clone());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<Arg>) -> Self {
        self.env.push((name.into(), value.into().into_inner()));
        self
    }

    pub fn stdin_text(mut self, text: &str) -> Self {
        self.input = Input::Bytes(Zeroizing::new(text.as_bytes().to_vec()));
        self
    }

    pub fn stdin_file(mut self, file: File) -> Self {
        self.input = Input::File(file);
        self
    }

    /// Where its standard output goes, instead of being kept.
    pub fn stdout_file(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// Only looks: the answer is good until something is changed that it is about.
    pub fn asks(mut self, about: About) -> Self {
        self.asks = Some(about);
        self
    }

    /// Changes nothing but what is about these.
    pub fn changes_only(mut self, about: &'static [About]) -> Self {
        self.changes_only = Some(about);
        self
    }

    /// Only looks, and not at what may be answered twice: the time, a file that is tried.
    pub fn looks_anew(self) -> Self {
        self.changes_only(&[])
    }

    /// May be ended half-way when the user asks to stop; others are given time to finish.
    pub fn interruptible(mut self) -> Self {
        self.interruptible = true;
        self
    }

    /// What it is run for, said if it fails. Default: that it runs.
    pub fn doing(mut self, doing: &str, target: &str) -> Self {
        self.doing = Some((doing.to_owned(), target.to_owned()));
        self
    }

    /// What to do next, said if it fails.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Runs and returns its standard output.
    ///
    /// # Errors
    /// If it cannot be started, does not end in time, or ends with something else than 0.
    pub fn run(self, host: &Reader) -> Result<String> {
        self.run_watched(host, &|_, _| ())
    }

    /// Like [`Cmd::run`], and tells every second how it goes.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub fn run_watched(self, host: &Reader, watch: Watch<'_>) -> Result<String> {
        let (doing, next) = (self.doing.clone(), self.next.clone());
        let ended = self.start(host, watch).and_then(|output| match output.code {
            Some(0) => Ok(output.out),
            _ => Err(output.failure()),
        });
        ended.map_err(|failure| {
            if failure.exit_code().by_signal() {
                return failure;
            }
            let failure = match doing {
                Some((doing, target)) => failure.about(doing, target),
                None => failure,
            };
            match next {
                Some(next) => failure.next(next),
                None => failure,
            }
        })
    }

    /// Runs and returns whatever it answered, also if that is a failure.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time.
    pub fn output(self, host: &Reader) -> Result<Output> {
        self.start(host, &|_, _| ())
    }

    fn start(self, host: &Reader, watch: Watch<'_>) -> Result<Output> {
        let program = find(&self.program).ok_or_else(|| {
            Failure::new("starting", &self.program, "it is not installed")
                .next("authentik-install check")
        })?;
        if let Some(about) = self.asks {
            let question = (about, self.question());
            return host
                .memo
                .answer(question, || host.runtime.block_on(self.execute(program, host, watch)));
        }
        let only = self.changes_only;
        let ended = host.runtime.block_on(self.execute(program, host, watch));
        match only {
            Some(about) => host.memo.forget_all_about(about),
            None => host.forget(),
        }
        ended
    }

    // Everything that decides the answer.
    fn question(&self) -> Vec<u8> {
        let mut all = format!("{} {:?} {:?}\n", self.program, self.args, self.env).into_bytes();
        all.extend(
            self.user.as_ref().map_or(String::new(), |user| user.uid.to_string()).into_bytes(),
        );
        if let Input::Bytes(bytes) = &self.input {
            all.extend_from_slice(bytes);
        }
        all
    }

    /// Name of the program.
    pub fn name(&self) -> &str {
        &self.program
    }

    pub fn command(&self, program: &Path) -> tokio::process::Command {
        // The one place that the lint allows.
        #[allow(clippy::disallowed_methods)]
        let mut command = match &self.user {
            None => tokio::process::Command::new(program),
            // std's uid() drops the supplementary groups; setpriv takes them from the database.
            Some(account) => {
                let setpriv = find("setpriv").unwrap_or_else(|| PathBuf::from("/usr/bin/setpriv"));
                let mut command = tokio::process::Command::new(setpriv);
                command.arg(format!("--reuid={}", account.uid));
                command.arg(format!("--regid={}", account.gid));
                command.arg("--init-groups").arg("--").arg(program);
                command
            }
        };
        command.args(&self.args).env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
        if let Some(account) = &self.user {
            let runtime = format!("/run/user/{}", account.uid);
            command
                .env("HOME", &account.home)
                .env("USER", &account.name)
                .env("LOGNAME", &account.name)
                .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={runtime}/bus"))
                .env("XDG_RUNTIME_DIR", runtime);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn execute(self, path: PathBuf, host: &Reader, watch: Watch<'_>) -> Result<Output> {
        let fail = |cause: Cause| Failure::new("running", &self.program, cause);
        tracing::debug!(program = %self.program, args = ?self.args, "run");
        let started = Instant::now();
        let mut command = self.command(&path);
        let (bytes, deadline) = (self.input, host.patience(self.deadline));
        let bytes = match bytes {
            Input::Nothing => {
                command.stdin(Stdio::null());
                None
            }
            Input::File(file) => {
                command.stdin(file);
                None
            }
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                Some(bytes)
            }
        };
        if let Some(file) = self.output {
            command.stdout(file);
        }
        let mut child = command.spawn().map_err(|error| fail(error.into()))?;
        // It holds our end of a pipe, whose reader waits for the last one to close it.
        drop(command);
        let group = child.id();
        let stdin = child.stdin.take();
        let feed = async move {
            // A program that ends without reading everything tells so by its status.
            if let (Some(mut pipe), Some(bytes)) = (stdin, bytes) {
                let _ = pipe.write_all(&bytes).await;
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let said = RefCell::new(Vec::new());
        let work = async {
            let out = RefCell::new(Vec::new());
            tokio::join!(feed, capped(stdout, &out), capped(stderr, &said));
            (child.wait().await, text(&out), text(&said))
        };
        let work = ticked(work, || watch(last_line(&text(&said)), started.elapsed()));
        let ended = tokio::select! {
            done = tokio::time::timeout(deadline, work) => done.map_err(|_| fail(Cause::Deadline(deadline))),
            stop = host.interrupt.raised(), if self.interruptible => Err(stop),
        };
        match ended {
            Ok((status, out, err)) => {
                let status = status.map_err(|error| fail(error.into()))?;
                Ok(Output::of(self.program, status, out, err))
            }
            Err(failure) => {
                end_group(group).await;
                Err(failure)
            }
        }
    }
}

async fn capped(pipe: Option<impl AsyncRead + Unpin>, kept: &RefCell<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0_u8; 16 << 10];
    while let Ok(count) = pipe.read(&mut chunk).await {
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        let mut kept = kept.borrow_mut();
        let room = OUTPUT_CAP.saturating_sub(kept.len());
        kept.extend_from_slice(read.get(..room.min(count)).unwrap_or_default());
    }
}

fn text(bytes: &RefCell<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.borrow()).into_owned()
}

fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

// Runs to the end, and calls `tick` every second until then.
async fn ticked<T>(work: impl Future<Output = T>, tick: impl Fn()) -> T {
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(Duration::from_secs(1), &mut work).await {
            Ok(done) => return done,
            Err(_) => tick(),
        }
    }
}

async fn end_group(group: Option<u32>) {
    use nix::sys::signal::{Signal, killpg};
    let Some(pid) = group.and_then(|id| i32::try_from(id).ok()) else { return };
    let group = nix::unistd::Pid::from_raw(pid);
    let _ = killpg(group, Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _ = killpg(group, Signal::SIGKILL);
}

/// Where a program is, in the fixed folders.
pub(in crate::host) fn find(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    PATH.split(':').map(|dir| Path::new(dir).join(program)).find(|path| path.is_file())
}
