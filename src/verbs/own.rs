//! `self`: this program, compared with what was released, and replaced by it.

use crate::cli::{KeyArgs, Own, Update, VerifyDownload};
use crate::data::program::{KEY, TARGET, VERSION};
use crate::error::{Exit, Failure, Result};
use crate::host::Writer;
use crate::host::lock::Lock;
use crate::host::releases::{Site, signed};
use crate::verbs::World;
use std::io::Read;
use std::path::Path;

const SUMS: &str = "SHA256SUMS";
/// Bytes; what is signed is a list of sums.
const LARGEST: u64 = 1 << 20;

/// Does what was asked for.
///
/// # Errors
/// If it is not what was signed, or cannot be had.
pub fn run(world: &World<'_>, args: &Own) -> Result<Exit> {
    match args {
        Own::Update(args) => update(world, args),
        Own::VerifyDownload(args) => compare(world, args),
    }
}

fn key(args: &KeyArgs) -> Result<&str> {
    args.public_key.as_deref().or(KEY).ok_or_else(|| {
        let why = "this program was built without the key of the releases";
        Failure::new("comparing", "a signature", why)
            .next("give --public-key KEY, or install a release: install.sh")
            .exit(Exit::Nothing)
    })
}

fn compare(world: &World<'_>, args: &VerifyDownload) -> Result<Exit> {
    let key = key(&args.key)?;
    let read = |path: &Path, missing: Exit| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = world.host.open_named(path).map_err(|failure| failure.exit(missing))?;
        file.take(LARGEST)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::new("reading", path.display(), error))?;
        Ok(bytes)
    };
    let mut beside = args.file.clone().into_os_string();
    beside.push(".minisig");
    let text = read(&args.file, Exit::Usage)?;
    // What lost its signature is not what was signed.
    let signature = read(Path::new(&beside), Exit::Damaged)?;
    let comment = signed(&text, &String::from_utf8_lossy(&signature), key)?;
    world.output.result(&format!("{} is signed: {comment}", args.file.display()));
    Ok(Exit::Done)
}

// "authentik-install 0.2.0": signed with the sums, so that an old release does not pass for a new one.
fn version_of(comment: &str) -> Result<semver::Version> {
    let version = comment.strip_prefix("authentik-install ").unwrap_or_default();
    version.parse().map_err(|_| {
        let why = format!("its signed comment names no version: {comment:?}");
        Failure::new("reading", SUMS, why).exit(Exit::Damaged)
    })
}

fn sum_of<'s>(sums: &'s str, asset: &str) -> Result<&'s str> {
    let lines = sums.lines().filter_map(|line| line.split_once("  "));
    let mut found = lines.filter(|(_, name)| *name == asset).map(|(sum, _)| sum);
    found.next().ok_or_else(|| {
        Failure::new("looking for", asset, format!("{SUMS} does not name it")).exit(Exit::Nothing)
    })
}

fn update(world: &World<'_>, args: &Update) -> Result<Exit> {
    let key = key(&args.key)?;
    let site = Site::of(&world.host, &args.base_url)?;
    let sums = site.text(SUMS)?;
    let comment = signed(sums.as_bytes(), &site.text(&format!("{SUMS}.minisig"))?, key)?;
    let newest = version_of(&comment)?;
    let own: semver::Version =
        VERSION.parse().map_err(|_| Failure::new("reading", "the own version", VERSION))?;
    if newest <= own {
        world.output.result(&format!("{own} is the newest: {newest} is released"));
        return Ok(Exit::Done);
    }
    if args.check {
        let text =
            format!("{newest} is released, and this is {own}\nnext: authentik-install self update");
        world.output.result(&text);
        return Ok(Exit::Pending);
    }
    let asset = format!("authentik-install-{TARGET}");
    let sum = sum_of(&sums, &asset)?;
    let lock = Lock::take("self update")?;
    let host = Writer::new(world.host.clone(), &lock);
    let path = host.own_path()?;
    host.replace_program(&site, (&asset, sum), (&path, &newest.to_string()))?;
    world.output.result(&format!(
        "{} is {newest} now; {own} is kept as {0}.previous\nnext: authentik-install plan",
        path.display()
    ));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_comment_names_the_version() {
        assert_eq!(version_of("authentik-install 1.2.3-rc.1").unwrap().pre.as_str(), "rc.1");
        for other in ["", "authentik-install", "timestamp:1", "authentik-install x"] {
            assert_eq!(version_of(other).unwrap_err().exit_code(), Exit::Damaged);
        }
        assert_eq!(sum_of("ab  x\ncd  y\n", "y").unwrap(), "cd");
        assert_eq!(sum_of("ab  x\n", "y").unwrap_err().exit_code(), Exit::Nothing);
    }
}
