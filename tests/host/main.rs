//! The proof: every behaviour on a booted Debian with real systemd, Podman, PostgreSQL, Valkey and
//! Caddy. Needs root; `tests/run` builds what is missing first.
#![allow(missing_docs, clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]
#![allow(clippy::indexing_slicing, clippy::print_stderr)]

mod acme;
mod at_once;
mod backup;
mod breaks;
mod broken;
mod by_hand;
mod certificates;
mod check;
mod encrypted;
mod examples;
mod files_of_others;
mod foreign;
mod forged;
mod hostile;
mod images;
mod install;
mod installer;
mod killed;
mod lab;
mod lab_itself;
mod lines;
mod modes;
mod monitoring;
mod neighbours;
mod night;
mod offsite;
mod packages;
mod plan;
mod refused;
mod rescue;
mod restore;
mod scheduled;
mod secrets;
mod settings;
mod status;
mod survives;
mod sweeps;
mod uninstall;
mod verify;
