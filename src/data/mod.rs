//! What the binary carries: templates, unit files and tables.

pub mod distro;
pub mod embedded;
pub mod postgresql;
pub mod program;
pub mod release;
pub mod render;
