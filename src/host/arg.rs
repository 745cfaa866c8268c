//! Arguments of programs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// An argument. A [`crate::secret::Secret`] cannot become one: arguments are readable by every user.
#[derive(Debug, Clone)]
pub struct Arg(OsString);

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Arg(text.into())
    }
}
impl From<&String> for Arg {
    fn from(text: &String) -> Self {
        Arg(text.into())
    }
}
impl From<String> for Arg {
    fn from(text: String) -> Self {
        Arg(text.into())
    }
}
impl From<&Path> for Arg {
    fn from(path: &Path) -> Self {
        Arg(path.into())
    }
}
impl From<&PathBuf> for Arg {
    fn from(path: &PathBuf) -> Self {
        Arg(path.into())
    }
}
impl From<&OsStr> for Arg {
    fn from(text: &OsStr) -> Self {
        Arg(text.into())
    }
}

impl Arg {
    /// As the system takes it.
    pub(in crate::host) fn into_inner(self) -> OsString {
        self.0
    }
}
