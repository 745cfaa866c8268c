//! What can go wrong, said so that a person at 3 a.m. can act on it: what was being done, to what,
//! what happened, and the command to run next.

use std::fmt;
use std::time::Duration;

/// Result of everything that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

/// Exit codes of the program. They are part of its interface and documented in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or healthy.
    Done = 0,
    /// A step failed part way: run the same command again.
    Failed = 1,
    /// Wrong usage or settings; nothing was touched.
    Usage = 2,
    /// The host is not fit, or holds something that is not ours; nothing was touched.
    Unfit = 3,
    /// `plan --exit-code`: changes are pending.
    Pending = 4,
    /// `verify`: something failed, or could not be looked at.
    Unhealthy = 5,
    /// Another run holds the lock.
    Locked = 6,
    /// `backup`: it was made, and something could not be read or handed on as it should.
    Warned = 7,
    /// A backup is damaged.
    Damaged = 8,
    /// There is no such backup, or nothing in it to work on.
    Nothing = 9,
    /// A backup is encrypted, and the key is missing or wrong.
    NoKey = 10,
    /// Ended by SIGHUP: the terminal was closed.
    HungUp = 129,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// Did a signal end it?
    pub fn by_signal(self) -> bool {
        matches!(self, Exit::HungUp | Exit::Interrupted | Exit::Terminated)
    }
}

/// Why something failed.
#[derive(Debug)]
pub enum Cause {
    /// In our own words.
    Text(String),
    /// The operating system refused.
    Os(std::io::Error),
    /// A program ended with something else than 0; the tail is from its standard error.
    Program {
        /// Name of the program.
        program: String,
        /// Exit status, or the signal that ended it.
        status: String,
        /// Last lines of its standard error.
        tail: String,
    },
    /// No answer within this time.
    Deadline(Duration),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Text(text) => f.write_str(text),
            Cause::Os(error) => write!(f, "{error}"),
            Cause::Program { program, status, tail } if tail.is_empty() => {
                write!(f, "{program} ended with {status} and said nothing")
            }
            Cause::Program { program, status, tail } => {
                write!(f, "{program} ended with {status}: {tail}")
            }
            Cause::Deadline(limit) => write!(f, "no answer within {} s", limit.as_secs()),
        }
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Cause::Os(error)
    }
}

impl From<rustix::io::Errno> for Cause {
    fn from(errno: rustix::io::Errno) -> Self {
        Cause::Os(errno.into())
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Cause::Text(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Cause::Text(text.to_owned())
    }
}

/// A failure with everything that its reader needs.
#[derive(Debug)]
pub struct Failure(Box<Detail>);

#[derive(Debug)]
struct Detail {
    doing: String,
    target: String,
    cause: Cause,
    next: Option<String>,
    exit: Exit,
}

impl Failure {
    /// A failure while `doing` something to `target`.
    pub fn new(
        doing: impl Into<String>,
        target: impl fmt::Display,
        cause: impl Into<Cause>,
    ) -> Self {
        Failure(Box::new(Detail {
            doing: doing.into(),
            target: target.to_string(),
            cause: cause.into(),
            next: None,
            exit: Exit::Failed,
        }))
    }

    /// Adds what to do next: a command, where there is one.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = Some(next.into());
        self
    }

    /// Adds what to do next, where that is not known already.
    #[must_use]
    pub fn or_next(self, next: impl FnOnce() -> String) -> Self {
        if self.0.next.is_some() { self } else { self.next(next()) }
    }

    /// Says as well what could not be put in order after it.
    #[must_use]
    pub fn tidied(self, ended: Result<()>) -> Self {
        let Err(other) = ended else { return self };
        let next = self.next_step().map(|next| format!("{next}\n")).unwrap_or_default();
        self.next(format!("{next}{}", other.summary()))
    }

    /// Says otherwise what was being done, and to what. A wish to stop is about nothing but itself.
    #[must_use]
    pub fn about(mut self, doing: impl Into<String>, target: impl fmt::Display) -> Self {
        if self.0.exit.by_signal() {
            return self;
        }
        self.0.doing = doing.into();
        self.0.target = target.to_string();
        self
    }

    /// Sets the exit code (default [`Exit::Failed`]).
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// The exit code that this failure ends the program with.
    pub fn exit_code(&self) -> Exit {
        self.0.exit
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// Did somebody stop reading what was written to them?
    pub fn is_broken_pipe(&self) -> bool {
        matches!(&self.0.cause, Cause::Os(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Did a stream end before it should?
    pub fn is_cut(&self) -> bool {
        matches!(&self.0.cause, Cause::Os(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    }

    /// What to do next, if it is known.
    pub fn next_step(&self) -> Option<&str> {
        self.0.next.as_deref()
    }

    /// The failure in one line, without the next step.
    pub fn summary(&self) -> String {
        format!("{} {}: {}", self.0.doing, self.0.target, self.0.cause)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        match &self.0.next {
            Some(next) => write!(f, "\n  next: {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
