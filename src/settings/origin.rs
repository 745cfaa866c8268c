//! Where a value came from, so that an error can say so and a choice can be written down.

use std::fmt;

/// The place a value was read from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A flag, or its `AUTHENTIK_INSTALL_*` variable.
    Given,
    /// The settings file.
    File,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Given => "given",
            Origin::File => "from the settings file",
            Origin::Default => "the default",
        })
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// The strongest of what was given, what the file has, and the default.
    pub fn pick(given: Option<T>, file: Option<T>, default: impl FnOnce() -> T) -> Self {
        match (given, file) {
            (Some(value), _) => Sourced { value, origin: Origin::Given },
            (None, Some(value)) => Sourced { value, origin: Origin::File },
            (None, None) => Sourced { value: default(), origin: Origin::Default },
        }
    }
}
