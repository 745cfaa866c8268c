//! Programs that are the administrator's, not ours: each runs in a unit of its own. Mailers and copying
//! programs need rights that the sandbox of a timer's unit does not give.

use crate::error::Result;
use crate::host::Reader;
use crate::host::run::Cmd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static STARTED: AtomicU32 = AtomicU32::new(0);

/// Lines of the journal that tell why a program has failed.
const LAST_WORDS: u32 = 12;

/// A program and what it gets.
#[derive(Debug, Default)]
pub struct Outside<'o> {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. No secret is among them.
    pub args: Vec<&'o str>,
    /// Its environment. No secret is in it.
    pub environment: Vec<(&'o str, &'o str)>,
    /// A file with more of it, which systemd alone reads: secrets are there.
    pub environment_file: Option<&'o Path>,
    /// What it reads from its standard input.
    pub input: &'o str,
    /// How long it may take.
    pub limit: Duration,
    /// Ends when somebody asks to stop.
    pub interruptible: bool,
    /// Name of its unit, if it is to go on to its end whatever becomes of who has started it; what it
    /// writes goes to the journal then.
    pub unattended: Option<&'o str>,
}

impl Reader {
    /// Runs it to its end, and gives what it wrote to its standard output. It does not outlive this, unless
    /// it is to be unattended.
    ///
    /// # Errors
    /// If others than root could change the program, or it ends with something else than 0.
    pub fn run_outside(&self, doing: (&str, &str), outside: &Outside<'_>) -> Result<String> {
        self.refuse_changeable(&outside.program)?;
        self.run_in_unit(doing, outside)
    }

    pub(in crate::host) fn run_in_unit(
        &self,
        doing: (&str, &str),
        outside: &Outside<'_>,
    ) -> Result<String> {
        let set = |(name, value): &(&str, &str)| format!("--setenv={name}={value}");
        let nth = STARTED.fetch_add(1, Ordering::Relaxed);
        let unit = match outside.unattended {
            Some(unit) => unit.to_owned(),
            None => format!("authentik-outside-{}-{nth}.service", std::process::id()),
        };
        let mut args = ["--quiet", "--wait", "--collect", "--service-type=oneshot"]
            .map(str::to_owned)
            .to_vec();
        if outside.unattended.is_none() {
            args.push("--pipe".into());
        }
        args.push(format!("--unit={unit}"));
        args.push(format!("--property=TimeoutStartSec={}", outside.limit.as_secs()));
        args.extend(outside.environment.iter().map(set));
        if let Some(file) = outside.environment_file {
            args.push(format!("--property=EnvironmentFile={}", file.display()));
        }
        let cmd = Cmd::new("systemd-run")
            .args(args.iter().map(String::as_str))
            .arg(&outside.program)
            .args(outside.args.iter().copied())
            .stdin_text(outside.input)
            .deadline(outside.limit + Duration::from_secs(60))
            .looks_anew()
            .doing(doing.0, doing.1);
        let cmd = if outside.interruptible { cmd.interruptible() } else { cmd };
        if outside.unattended.is_some() {
            return self.waited(cmd, &unit).map_err(|failure| failure.about(doing.0, doing.1));
        }
        cmd.run(self).inspect_err(|_| {
            // Who only waited for it is ended at once; the program itself is the manager's.
            let _ =
                Cmd::new("systemctl").args(["stop", "--quiet", &unit]).looks_anew().output(self);
        })
    }

    // What it says is in the journal, to be read when it has failed.
    fn waited(&self, cmd: Cmd, unit: &str) -> Result<String> {
        match cmd.output(self)? {
            ended if ended.code == Some(0) => Ok(String::new()),
            mut ended => {
                ended.err = self.unit_log(unit, LAST_WORDS);
                Err(ended.failure())
            }
        }
    }

    /// Where a program of this name is.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        crate::host::run::find(name)
    }
}
