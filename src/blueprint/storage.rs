//! The folders that the containers see, each where the settings have it.

use super::{Steps, group_readable, user_id};
use crate::facts::{Facts, IMAGE_ID};
use crate::host::files::Perms;
use crate::resource::directory::{Demand, Directory, Wanted};
use crate::resource::handover::Handover;
use crate::resource::media::Media;
use crate::settings::Settings;
use crate::settings::input::UserNamespace;
use std::path::Path;

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    let paths = &settings.paths;
    for path in [&paths.templates, &paths.certs, &paths.blueprints] {
        ancestors(steps, settings, path);
        let wanted = group_readable(settings, facts, 0o750);
        let folder = Directory::new(path, wanted, user_id(settings));
        steps.add(folder.demand(Demand::Readable));
    }
    if let Some(data) = &paths.data {
        written(steps, settings, facts, data);
    }
    if !paths.media_in_data() {
        written(steps, settings, facts, &paths.media);
    }
}

/// The folder for uploads inside the data folder, also where another one is mounted over it.
pub(super) fn media(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    let Some(data) = &settings.paths.data else { return };
    steps.add(Media {
        path: data.join("media"),
        user: settings.user.to_string(),
        owner: facts.container,
        inner: inner(settings),
        parent: Directory::id_of(data),
    });
}

// The image's user in the namespace of the service user: in "keep-id" mode the user itself.
fn inner(settings: &Settings) -> u32 {
    match settings.user_namespace {
        UserNamespace::Host => IMAGE_ID,
        UserNamespace::KeepId => 0,
    }
}

// A tree that authentik writes.
fn written(steps: &mut Steps, settings: &Settings, facts: &Facts, path: &Path) {
    ancestors(steps, settings, path);
    steps.add(Handover {
        path: path.to_owned(),
        user: settings.user.to_string(),
        from: facts.container_before,
        inner: inner(settings),
    });
    let perms = facts.container.map(|ids| Perms { uid: ids.uid, gid: ids.gid, mode: 0o750 });
    let wanted = Wanted { perms, owner: "the container's user".into(), mode: 0o750 };
    steps.add(Directory::new(path, wanted, user_id(settings)));
}

// Below a top-level folder, and outside the house, the way there may have to be made.
pub(super) fn ancestors(steps: &mut Steps, settings: &Settings, path: &Path) {
    let mut between: Vec<&Path> = path.ancestors().skip(1).collect();
    between.retain(|dir| dir.components().count() > 2 && !settings.paths.state.starts_with(dir));
    for dir in between.into_iter().rev() {
        let folder = Directory::new(dir, Wanted::root(0o755), user_id(settings));
        steps.add(folder.demand(Demand::Passable));
    }
}
