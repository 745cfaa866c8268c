//! `doctor`: looks at everything, and packs what a stranger needs to help; without secrets.

use crate::blueprint::Phase;
use crate::checks::{self, Subject};
use crate::cli::{Doctor, Part};
use crate::engine::plan::Plan;
use crate::error::{Exit, Failure, Result};
use crate::health::{self, Options, Report};
use crate::host::{Reader, archive, files};
use crate::settings::Settings;
use crate::text::redact::Redactor;
use crate::ui::{json, verify};
use crate::verbs::{World, account, installed, logs};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const LINES: u32 = 500;
const PARTS: [(&str, Part); 6] = [
    ("server", Part::Server),
    ("worker", Part::Worker),
    ("pod", Part::Pod),
    ("verify", Part::Verify),
    ("backup", Part::Backup),
    ("install", Part::Install),
];
/// Shorter values of `[env]` are words such as `info`, which are no secrets.
const SECRET_LENGTH: usize = 8;

/// Looks, packs, and says where the bundle is.
///
/// # Errors
/// If nothing is installed here, or the bundle cannot be written. What could not be looked at is
/// told in the bundle.
pub fn run(world: &World<'_>, args: &Doctor) -> Result<Exit> {
    let host = &world.host;
    let settings = installed(host, &args.config.config)?;
    let options = Options { only: Vec::new(), quick: false, deadline: Duration::from_secs(20) };
    let report = health::run(host, &settings, &options)?;
    let redactor = redactor(host, &settings)?;
    let texts: Vec<(String, String)> = collect(world, &settings, &report)
        .into_iter()
        .map(|(name, text)| (name, redactor.clean(&text.unwrap_or_else(|why| format!("{why}\n")))))
        .collect();
    let now = Timestamp::now();
    let name = format!("authentik-doctor-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let time = u64::try_from(now.as_second()).unwrap_or(0);
    let bytes = archive::of_texts(&name, &texts, time)?;
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("/var/lib/authentik-install/{name}.tar.zst")));
    files::publish(host, &path, &bytes, 0o600)?;
    world.output.result(&format!(
        "{}\n{}: {} files, {} bytes. Secrets are taken out; look it through before you hand it on:\n  tar --zstd -xvf {} -C /tmp",
        verify::human(&report, false),
        path.display(),
        texts.len(),
        bytes.len(),
        path.display()
    ));
    Ok(if report.healthy { Exit::Done } else { Exit::Unhealthy })
}

type Text = std::result::Result<String, Failure>;

fn collect(world: &World<'_>, settings: &Settings, report: &Report) -> Vec<(String, Text)> {
    let host = &world.host;
    let mut all: Vec<(String, Text)> = vec![
        ("verify.json".into(), json::pretty(report)),
        ("verify.txt".into(), Ok(verify::human(report, true))),
        (
            "check.json".into(),
            checks::run(host, Subject::of(settings)).and_then(|report| json::pretty(&report)),
        ),
        (
            "plan.json".into(),
            Plan::make(host, settings, &Phase::ALL).and_then(|plan| json::pretty(&plan)),
        ),
        ("settings.json".into(), json::settings(&settings.layers.origins())),
        ("host.txt".into(), Ok(machine(host))),
    ];
    for path in files_of(host, settings) {
        let name = format!("files{}", path.display());
        let text =
            host.read(&path).and_then(|file| file.map_or(Ok(String::new()), |file| file.text()));
        all.push((name, text));
    }
    let uid = account(host, settings).map(|account| account.uid).unwrap_or_default();
    for (name, part) in PARTS {
        let matches = logs::matches(part, uid);
        all.push((format!("logs/{name}.log"), host.journal(&matches, LINES)));
    }
    all
}

// Files of ours that hold settings. Whole files of others may hold anything, and stay out.
fn files_of(host: &Reader, settings: &Settings) -> Vec<PathBuf> {
    let uid = account(host, settings).map(|account| account.uid).unwrap_or_default();
    let quadlets = PathBuf::from(format!("/etc/containers/systemd/users/{uid}"));
    let mut all: Vec<PathBuf> = vec![
        settings.paths.settings.clone(),
        "/etc/os-release".into(),
        "/usr/lib/os-release".into(),
        format!("/etc/systemd/system/user@{uid}.service.d/authentik-install.conf").into(),
        "/var/lib/authentik-install/ledger.json".into(),
        "/var/lib/authentik-install/verify.json".into(),
        "/etc/caddy/authentik.d/authentik.caddyfile".into(),
    ];
    let names = host.names_in(&quadlets).unwrap_or_default();
    all.extend(names.iter().map(|name| quadlets.join(name)));
    let units = Path::new("/etc/systemd/system");
    let names = host.names_in(units).unwrap_or_default();
    all.extend(
        names.iter().filter(|name| name.starts_with("authentik-")).map(|name| units.join(name)),
    );
    all.retain(|path| host.read(path).is_ok_and(|file| file.is_some()));
    all
}

fn machine(host: &Reader) -> String {
    let system = rustix::system::uname();
    let (name, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
    let programs = ["podman", "caddy", "crun", "pasta", "valkey-server", "psql"];
    let mut lines = vec![format!("{name} {release} {}", system.machine().to_string_lossy())];
    lines.push(format!("authentik-install {}", env!("CARGO_PKG_VERSION")));
    lines.push(format!("systemd {}", host.systemd_version().unwrap_or_default()));
    for program in programs {
        let args: &[&str] = if program == "caddy" { &["version"] } else { &["--version"] };
        if host.has_program(program) {
            let line = host.first_line(program, args).unwrap_or_else(|why| why.summary());
            lines.push(format!("{program}: {line}"));
        }
    }
    lines.join("\n") + "\n"
}

// Everything that is known to be a secret here.
fn redactor(host: &Reader, settings: &Settings) -> Result<Redactor> {
    let paths = &settings.paths;
    let mut kept = vec![paths.bootstrap_env.clone()];
    kept.extend(host.names_in(&paths.secrets)?.iter().map(|name| paths.secrets.join(name)));
    kept.extend(settings.notify.webhook_file.as_ref().map(|path| path.path().to_owned()));
    let mut values: Vec<Zeroizing<String>> = Vec::new();
    for path in kept {
        let Some(file) = host.read(&path)? else { continue };
        let text = Zeroizing::new(String::from_utf8_lossy(&file.bytes).into_owned());
        for line in text.lines() {
            values.push(Zeroizing::new(line.to_owned()));
            values.extend(line.split_once('=').map(|(_, value)| Zeroizing::new(value.to_owned())));
        }
    }
    let env = settings.env.values().map(|value| Zeroizing::new(value.as_str().to_owned()));
    values.extend(env.filter(|value| value.len() >= SECRET_LENGTH));
    Ok(Redactor::new(values.iter().map(|value| value.as_str())))
}
