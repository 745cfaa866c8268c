//! Edits of texts that belong to others: pure, and undone without a trace.

pub mod block;
pub mod redact;
