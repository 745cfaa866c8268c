//! From what was typed and written to what it means: `input` (all optional) → [`Settings`].

pub mod input;
pub mod origin;
pub mod resolve;

pub use input::Input;
pub use resolve::Settings;
