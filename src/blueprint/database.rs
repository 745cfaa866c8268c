//! Phase `database`: password, role, database, and the rule that lets the role in.

use super::{Steps, group_readable, server, user_id};
use crate::error::Result;
use crate::facts::Facts;
use crate::resource::database::Database;
use crate::resource::hba::Hba;
use crate::resource::role::Role;
use crate::resource::secret_file::SecretFile;
use crate::settings::Settings;

/// authentik takes at most 99 characters (install-config/install/docker-compose, "PG_PASS").
const PASSWORD_LENGTH: usize = 40;

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let server = server(facts)?;
    let password = settings.paths.secret("database_password");
    steps.add(SecretFile {
        path: password.clone(),
        wanted: group_readable(settings, facts, 0o640),
        length: PASSWORD_LENGTH,
        irreplaceable: None,
        owner: user_id(settings),
    });
    steps.add(Role {
        server: server.clone(),
        name: settings.database_user.value.clone(),
        password: password.clone(),
    });
    steps.add(Database {
        server: server.clone(),
        name: settings.database.value.clone(),
        owner: settings.database_user.value.clone(),
    });
    steps.add(Hba {
        server: server.clone(),
        database: settings.database.value.clone(),
        role: settings.database_user.value.clone(),
        password,
    });
    Ok(())
}
