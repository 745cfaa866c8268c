//! `authentik-install`: turns a systemd Linux host into a working authentik server.
//!
//! The house is described in `src/README.md`. Modules import downwards only:
//! error, secret, event, names, text < data < settings < host < facts < resource < blueprint < engine <
//! checks < ui < cli < verbs < main.

pub mod backup;
pub mod blueprint;
pub mod checks;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod event;
pub mod facts;
pub mod health;
pub mod host;
pub mod names;
pub mod resource;
pub mod secret;
pub mod settings;
pub mod text;
pub mod ui;
pub mod verbs;
