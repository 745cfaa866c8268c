//! Programs that are the administrator's, not ours: each runs in a unit of its own. Mailers and copying
//! programs need rights that the sandbox of a timer's unit does not give.

use crate::error::Result;
use crate::host::Reader;
use crate::host::run::Cmd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static STARTED: AtomicU32 = AtomicU32::new(0);

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
}

impl Reader {
    /// Runs it to its end, and gives what it wrote to its standard output. It does not outlive this.
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
        let unit = format!("authentik-outside-{}-{nth}.service", std::process::id());
        let mut args = ["--quiet", "--wait", "--collect", "--pipe", "--service-type=oneshot"]
            .map(str::to_owned)
            .to_vec();
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
        cmd.run(self).inspect_err(|_| {
            // Who only waited for it is ended at once; the program itself is the manager's.
            let _ =
                Cmd::new("systemctl").args(["stop", "--quiet", &unit]).looks_anew().output(self);
        })
    }

    /// Where a program of this name is.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        crate::host::run::find(name)
    }
}
