//! From what was typed and written to what it means: layers of `input` → [`Settings`].

pub mod input;
pub mod origin;
pub mod resolve;
mod rules;
pub mod secrets;

pub use input::Input;
pub use resolve::Settings;
