//! `admin` and `ak`: ways in for the administrator. All of them run in the worker, and so also when
//! the web is down.

use crate::cli::{Ak, Link, Password, ResetGroup};
use crate::data::release::LifeUnit;
use crate::error::{Exit, Failure, Result};
use crate::host::Writer;
use crate::host::accounts::Account;
use crate::host::lock::Lock;
use crate::names::Domain;
use crate::resource::admin::ADMIN;
use crate::settings::Settings;
use crate::verbs::{World, account, secrets, stored};

const WORKER: &str = "authentik-worker";
/// How long a link is good unless another time is asked for, in minutes.
const MINUTES: u32 = 60;

/// `admin link`: prints a link that is good once.
///
/// # Errors
/// If authentik is not installed or its worker does not run.
pub fn print_link(world: &World<'_>, args: &Link) -> Result<Exit> {
    let settings = stored(&world.host, &args.config.config)?;
    let life = life(settings.release.recovery_key_unit, args.minutes)?;
    let lock = Lock::take("admin")?;
    let link = made(&Writer::new(world.host.clone(), &lock), &settings, (&args.user, &life))?;
    world.output.result(&link);
    Ok(Exit::Done)
}

// Where the line knows years alone it is good for one; it is still good once only.
fn life(unit: LifeUnit, minutes: Option<u32>) -> Result<String> {
    match (unit, minutes) {
        (LifeUnit::Minutes, minutes) => Ok(minutes.unwrap_or(MINUTES).to_string()),
        (LifeUnit::Years, None) => Ok("1".into()),
        (LifeUnit::Years, Some(_)) => Err(Failure::new(
            "making a recovery link",
            "for some minutes",
            "this line of authentik knows years alone",
        )
        .next("leave out --minutes: the link is good once, and unused for a year")
        .exit(Exit::Usage)),
    }
}

/// Makes a link, good once and for an hour, that signs in as the first administrator.
///
/// # Errors
/// If the worker does not run or prints no link.
pub fn link(host: &Writer<'_>, settings: &Settings) -> Result<String> {
    made(host, settings, (ADMIN, &life(settings.release.recovery_key_unit, None)?))
}

fn made(host: &Writer<'_>, settings: &Settings, (user, life): (&str, &str)) -> Result<String> {
    let own = account(host, settings)?;
    let printed = host
        .exec(&own, WORKER, &["ak", "create_recovery_key", life, user], None)
        .map_err(|failure| failed(failure, "making a recovery link for", user, &own))?;
    let path = printed.lines().rev().map(str::trim).find(|line| line.starts_with("/recovery/"));
    let path = path.ok_or_else(|| {
        let doing = "making a recovery link for";
        failed(Failure::new(doing, user, "authentik printed none"), doing, user, &own)
    })?;
    tracing::info!(user, "made a recovery link");
    Ok(format!("https://{}{path}", settings.domain))
}

fn failed(failure: Failure, doing: &str, user: &str, own: &Account) -> Failure {
    let next = format!(
        "does the worker run? authentik-install verify --only workload\nits log: journalctl _UID={} CONTAINER_NAME={WORKER} -n 50",
        own.uid
    );
    failure.about(doing, user).next(next)
}

/// `admin password`: sets the password of a user.
///
/// # Errors
/// If the file cannot be used, or authentik does not take the password.
pub fn set_password(world: &World<'_>, args: &Password) -> Result<Exit> {
    let settings = stored(&world.host, &args.config.config)?;
    let password = secrets::from_file(&world.host, &args.password_file)?;
    let lock = Lock::take("admin")?;
    let host = Writer::new(world.host.clone(), &lock);
    let own = account(&host, &settings)?;
    // Asked for twice, and read from standard input where there is no terminal.
    let said = zeroize::Zeroizing::new(format!("{0}\n{0}\n", password.expose()));
    host.exec(&own, WORKER, &["ak", "changepassword", &args.user], Some(&said))
        .map_err(|failure| failed(failure, "setting the password of", &args.user, &own))?;
    tracing::info!(user = args.user, "set a password");
    world.output.result(&format!("{} has the password now", args.user));
    Ok(Exit::Done)
}

/// `admin reset-group`: makes the group of administrators again, with this user in it.
///
/// # Errors
/// If the worker does not run, or knows no such user.
pub fn reset_group(world: &World<'_>, args: &ResetGroup) -> Result<Exit> {
    let settings = stored(&world.host, &args.config.config)?;
    let lock = Lock::take("admin")?;
    let host = Writer::new(world.host.clone(), &lock);
    let own = account(&host, &settings)?;
    host.exec(&own, WORKER, &["ak", "create_admin_group", &args.user], None).map_err(
        |failure| failed(failure, "making the group of administrators for", &args.user, &own),
    )?;
    tracing::info!(user = args.user, "made the group of administrators again");
    world.output.result(&format!("{} is an administrator", args.user));
    Ok(Exit::Done)
}

/// Gives the brands of another domain the one that authentik has now, and tells how many there were.
///
/// # Errors
/// If the worker does not run.
pub(super) fn move_brands(
    host: &Writer<'_>,
    settings: &Settings,
    before: &Domain,
) -> Result<String> {
    let own = account(host, settings)?;
    // A `Domain` holds nothing that ends a text in Python.
    let code = format!(
        "from authentik.brands.models import Brand; \
         print(Brand.objects.filter(domain='{before}').update(domain='{}'))",
        settings.domain
    );
    let said = host.exec(&own, WORKER, &["ak", "shell", "-c", &code], None).map_err(|failure| {
        failed(failure, "giving the brands of another domain to", settings.domain.as_str(), &own)
    })?;
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

/// `ak`: any command of authentik's own, with our own standard streams.
///
/// # Errors
/// If authentik is not installed, or Podman cannot be started.
pub fn ak(world: &World<'_>, args: &Ak) -> Result<Exit> {
    let settings = stored(&world.host, &args.config.config)?;
    let own = account(&world.host, &settings)?;
    let mut line = vec!["ak".to_owned()];
    line.extend(args.args.iter().cloned());
    // Not its arguments: they may hold what nobody is to read.
    tracing::info!(command = args.args.first(), "running ak");
    let code = world.host.exec_for_person(&own, WORKER, &line)?;
    Ok(if code == 0 { Exit::Done } else { Exit::Failed })
}
