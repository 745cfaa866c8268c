//! Phase `cache`: Valkey, where the release line uses one (2025.8 and older).

use super::{Steps, group_readable, needed, user_id};
use crate::data::render::{Syntax, render};
use crate::error::{Exit, Failure, Result};
use crate::facts::Facts;
use crate::facts::cache::{CONF, Cache, Guard, is_included};
use crate::resource::derived::Derived;
use crate::resource::directory::{Directory, Wanted};
use crate::resource::membership::Membership;
use crate::resource::secret_file::SecretFile;
use crate::resource::valkey::Valkey;
use crate::settings::Settings;
use minijinja::context;
use std::path::PathBuf;

const PASSWORD_LENGTH: usize = 40;
/// The port that the embedded outpost appends to whatever host it is given.
const OUTPOST_PORT: u16 = 6379;

/// How authentik reaches Valkey.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The socket.
    pub socket: PathBuf,
    /// Number of the database.
    pub database: u16,
    /// Does a password open it?
    pub password: bool,
    /// Its unit, which the containers start after.
    pub unit: String,
    /// Settings that take a URL, and the names of the files that hold them.
    pub urls: Vec<(String, String)>,
}

/// The way to Valkey; `None` where the line needs none.
///
/// # Errors
/// If there is no Valkey, or it does not let us in.
pub(super) fn way(settings: &Settings, facts: &Facts) -> Result<Option<Way>> {
    if !settings.release.cache() {
        return Ok(None);
    }
    let cache = needed(&facts.cache, "Valkey")?;
    let file = |name: &String| name.to_lowercase().replace("__", "_");
    Ok(Some(Way {
        socket: socket(cache),
        database: database(settings, cache)?,
        password: matches!(cache.guard, Guard::Theirs) || sets_password(cache),
        unit: cache.valkey.unit.clone(),
        urls: settings.release.cache_urls.iter().map(|name| (name.clone(), file(name))).collect(),
    }))
}

// One that works is used where it is.
fn socket(cache: &Cache) -> PathBuf {
    match &cache.socket {
        Some((path, _)) if !cache.socket_is_ours => path.clone(),
        _ => cache.dir.join("valkey.sock"),
    }
}

// A password on an instance of others would shut them out.
fn sets_password(cache: &Cache) -> bool {
    matches!(cache.guard, Guard::Ours | Guard::Open { shared: false })
}

fn database(settings: &Settings, cache: &Cache) -> Result<u16> {
    let refuse = |what: String, next: &str| {
        Err(Failure::new("looking for a free database in", &cache.valkey.unit, what)
            .next(format!("{next}\nNothing was touched."))
            .exit(Exit::Unfit))
    };
    match &cache.guard {
        Guard::Down(why) => return refuse(why.clone(), "authentik-install check"),
        Guard::Locked => {
            return refuse(
                "it wants a password".into(),
                "write the password into a file and give --set cache.password_file=FILE",
            );
        }
        Guard::Open { .. } | Guard::Ours | Guard::Theirs => {}
    }
    if let Some(number) = settings.cache.database.or(cache.database) {
        return Ok(number);
    }
    // Not answered: it will be asked with the password that we have set.
    let Some(answer) = &cache.answer else { return Ok(0) };
    match (0..answer.databases).find(|number| !answer.keyspace.contains(number)) {
        Some(free) => Ok(free),
        None => refuse(
            format!("all {} hold keys", answer.databases),
            "give it more (databases in its configuration), or choose: --set cache.database=N",
        ),
    }
}

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let Some(way) = way(settings, facts)? else { return Ok(()) };
    let cache = needed(&facts.cache, "Valkey")?;
    let path = settings.paths.secret("cache_password");
    let password = way.password.then(|| path.clone());
    steps.add(Membership { user: settings.user.to_string(), group: cache.valkey.group.clone() });
    if way.password {
        steps.add(SecretFile {
            path,
            wanted: group_readable(settings, facts, 0o640),
            length: PASSWORD_LENGTH,
            given: settings.given.cache_password.clone(),
            irreplaceable: None,
            owner: user_id(settings),
        });
    }
    server(steps, settings, cache, (&way, password.clone()))?;
    for (name, file) in &way.urls {
        let celery = ["BROKER__URL", "RESULT_BACKEND__URL"].contains(&name.as_str());
        let (scheme, key) =
            if celery { ("redis+socket://", "virtual_host") } else { ("unix://", "db") };
        steps.add(Derived {
            path: settings.paths.secret(file),
            wanted: group_readable(settings, facts, 0o640),
            owner: user_id(settings),
            password: password.clone(),
            scheme,
            rest: format!("{}?{key}={}", way.socket.display(), way.database),
        });
    }
    Ok(())
}

fn server(
    steps: &mut Steps,
    settings: &Settings,
    cache: &Cache,
    (way, password): (&Way, Option<PathBuf>),
) -> Result<()> {
    let shown = way.socket.display().to_string();
    let link = format!("{shown}:{OUTPOST_PORT}");
    let ours = cache.socket_is_ours || cache.socket.is_none();
    let closed = cache.socket.as_ref().is_some_and(|(_, perms)| perms.mode & 0o060 != 0o060);
    let mut conf = String::new();
    if ours {
        conf.push_str(&format!("unixsocket {shown}\n"));
    }
    // What we have opened by an included file stays so for as long as the file is included.
    if ours || closed || is_included(&cache.valkey) {
        conf.push_str("unixsocketperm 770\n");
    }
    let sets_password = sets_password(cache);
    let file = PathBuf::from(CONF);
    let conf = (sets_password || !conf.is_empty()).then(|| (file.clone(), conf));
    let own = format!(" --include {}", file.display());
    let dir = PathBuf::from(format!("/etc/systemd/system/{}.d", cache.valkey.unit));
    let values = context! {
        include => conf.as_ref().map(|(path, _)| path.display().to_string()),
        command => cache.valkey.command.replace(&own, ""),
        name => way.socket.file_name().map(|name| name.to_string_lossy().into_owned()),
        link => link.as_str(),
    };
    let text = render("valkey/unit.conf", Syntax::Unit, &values)?;
    steps.add(Directory::new(&dir, Wanted::root(0o755), user_id(settings)));
    steps.add(Valkey {
        cache: cache.clone(),
        socket: way.socket.clone(),
        link: link.into(),
        dropin: (dir.join("authentik-install.conf"), text),
        conf,
        password,
        sets_password,
    });
    Ok(())
}
