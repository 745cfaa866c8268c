//! Phase `accounts`: the system user, its rights, and the folders of the house.

use super::{Steps, group_readable, user_id};
use crate::facts::Facts;
use crate::host::files::Perms;
use crate::resource::directory::{Directory, Wanted};
use crate::resource::linger::Linger;
use crate::resource::membership::Membership;
use crate::resource::settings_file::SettingsFile;
use crate::resource::settled::Settled;
use crate::resource::subids::Subordinate;
use crate::resource::user::User;
use crate::settings::Settings;
use std::path::Path;

/// The group of PostgreSQL's socket.
const SOCKET_GROUP: &str = "postgres";

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    let paths = &settings.paths;
    let (user, owner) = (settings.user.to_string(), user_id(settings));
    let folder = |path: &Path, wanted: Wanted| Directory::new(path, wanted, owner.clone());
    let release = &settings.release;
    let data = paths.data.iter().map(|data| (data.clone(), release.data_mount.clone()));
    let media =
        (!paths.media_in_data()).then(|| (paths.media.clone(), release.media_mount.clone()));
    steps.add(Settled {
        uid: facts.account.as_ref().map(|account| account.uid),
        database: settings.database.name.to_string(),
        server: facts.postgres.known().map(|server| (server.socket_dir.clone(), server.port)),
        filled: !facts.installed.is_absent(),
        mounts: data.chain(media).collect(),
    });
    steps.add(folder(&paths.etc, Wanted::root(0o755)));
    steps.add(SettingsFile { path: paths.settings.clone(), choices: settings.choices() });
    steps.add(folder(&paths.state, Wanted::root(0o755)));
    steps.add(User { name: user.clone(), home: paths.home.clone() });
    let perms = facts.account.as_ref().map(|a| Perms { uid: a.uid, gid: a.gid, mode: 0o700 });
    let home = Wanted { perms, owner: format!("{user}:{user}"), mode: 0o700 };
    steps.add(folder(&paths.home, home));
    let written = paths.data.clone().unwrap_or_else(|| paths.media.clone());
    steps.add(Subordinate { user: user.clone(), written });
    steps.add(Membership { user: user.clone(), group: SOCKET_GROUP.into() });
    steps.add(Linger { user });
    steps.add(folder(&paths.secrets, group_readable(settings, facts, 0o750)));
}
