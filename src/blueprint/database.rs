//! Phase `database`: password, role, database, and the rule that lets the role in.

use super::{Steps, group_readable, server, user_id};
use crate::error::Result;
use crate::facts::Facts;
use crate::resource::Resource;
use crate::resource::database::Database;
use crate::resource::gone::Gone;
use crate::resource::hba::{By, Hba};
use crate::resource::role::Role;
use crate::resource::secret_file::SecretFile;
use crate::settings::Settings;
use crate::settings::input::DatabaseAuth;

/// authentik takes at most 99 characters (install-config/install/docker-compose, "PG_PASS").
const PASSWORD_LENGTH: usize = 40;

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let server = server(facts)?;
    let path = settings.paths.secret("database_password");
    let (role, database) = (&settings.database.user, &settings.database.name);
    let by = match settings.database.auth {
        DatabaseAuth::Scram => By::Password(path.clone()),
        DatabaseAuth::Peer => By::Peer(settings.user.to_string()),
    };
    let secret = SecretFile {
        path: path.clone(),
        wanted: group_readable(settings, facts, 0o640),
        length: PASSWORD_LENGTH,
        given: settings.given.database_password.clone(),
        irreplaceable: None,
        owner: user_id(settings),
    };
    let password = match &by {
        By::Password(path) => Some(path.clone()),
        By::Peer(_) => None,
    };
    let withdrawn = Gone {
        id: secret.id(),
        path,
        why: "PostgreSQL knows the system user without a password",
        by_first_line: false,
    };
    if password.is_some() {
        steps.add(secret);
    }
    steps.add(Role { server: server.clone(), name: role.clone(), password: password.clone() });
    steps.add(Database { server: server.clone(), name: database.clone(), owner: role.clone() });
    let (database, role) = (database.clone(), role.clone());
    steps.add(Hba { server: server.clone(), database, role, by });
    if password.is_none() {
        steps.add(withdrawn);
    }
    Ok(())
}
