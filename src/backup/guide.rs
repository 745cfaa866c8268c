//! How to restore a backup by hand, where there is nothing but PostgreSQL, tar and zstd.

use super::manifest::Manifest;
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::settings::input::{DatabaseAuth, UserNamespace};
use minijinja::context;

/// Name of the file.
pub(super) const NAME: &str = "RESTORE.txt";

/// The service user's, on every host.
const HOME: &str = "/var/lib/authentik/home";

/// The text for one backup.
///
/// # Errors
/// If the template is broken.
pub(super) fn text(manifest: &Manifest) -> Result<String> {
    let encrypted = !manifest.recipients.is_empty();
    let open = |start: &str| {
        let name = manifest.part(start).map(|part| part.name.clone()).unwrap_or_default();
        match encrypted {
            true => format!("age -d -i key.txt {name} | zstd -dc"),
            false => format!("zstd -dc {name}"),
        }
    };
    let place = |name: &str| {
        let tree = manifest.trees.iter().find(|tree| tree.name == name);
        tree.map(|tree| tree.path.display().to_string())
    };
    let trees: Vec<_> = manifest
        .trees
        .iter()
        .filter(|tree| super::source::DATA.contains(&tree.name.as_str()))
        .map(
            |tree| context! { name => tree.name.as_str(), path => tree.path.display().to_string() },
        )
        .collect();
    let values = context! {
        id => manifest.id.as_str(),
        encrypted,
        major => manifest.postgresql.version / 10_000,
        etc => place("etc"),
        site => place("site"),
        home => HOME,
        scram => manifest.database_auth == DatabaseAuth::Scram,
        keep_id => manifest.user_namespace == UserNamespace::KeepId,
        user => manifest.user.as_str(),
        role => manifest.postgresql.role.as_str(),
        database => manifest.postgresql.database.as_str(),
        encoding => manifest.postgresql.encoding.as_str(),
        open_config => open("config"),
        open_dump => open("db"),
        open_data => open("data"),
        trees,
        image => manifest.authentik.image.as_str(),
        version => manifest.authentik.version.as_str(),
        time => format!("{:.0}", manifest.time),
        host => manifest.host.as_str(),
        domain => manifest.domain.as_str(),
        program => manifest.program.as_str(),
    };
    render("backup/RESTORE.txt", Syntax::Text, &values)
}
