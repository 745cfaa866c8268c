//! Phase `containers`: image, secrets, units, the first start and the first administrator.

use super::units::{Units, uid_text};
use super::{Steps, cache, environment, group_readable, server, storage, user_id};
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::facts::Facts;
use crate::host::postgres::Server;
use crate::resource::Resource;
use crate::resource::admin::Admin;
use crate::resource::bootstrap::{Bootstrap, Places};
use crate::resource::directory::{Directory, Wanted};
use crate::resource::file::{File, Trial};
use crate::resource::gone::Gone;
use crate::resource::image::Image;
use crate::resource::ready::Ready;
use crate::resource::secret_file::SecretFile;
use crate::resource::system_loaded::SystemLoaded;
use crate::resource::workload::LABEL_BOOTSTRAP;
use crate::settings::Settings;
use minijinja::context;
use std::path::PathBuf;

/// 60 characters, as upstream's own guide makes them.
const KEY_LENGTH: usize = 60;

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let server = server(facts)?;
    let env = environment::text(settings);
    let units = Units::render(settings, facts, server, &env)?;
    let places = Places {
        env: settings.paths.bootstrap_env.clone(),
        dropin_dir: units.dir.join("authentik-worker.container.d"),
    };
    steps.add(Image {
        user: settings.user.to_string(),
        name: settings.image_tag(),
        archive: settings.image_archive.clone(),
    });
    storage::build(steps, settings, facts);
    secrets(steps, settings, facts);
    storage::media(steps, settings, facts);
    boot_order(steps, settings, facts, server)?;
    steps.add(File {
        path: settings.paths.env.clone(),
        text: env,
        wanted: group_readable(settings, facts, 0o640),
        trial: Trial::None,
    });
    units.add_files(steps, settings, facts);
    let started = settings.service.started;
    if started {
        steps.add(bootstrap(settings, facts, server, &places)?);
    }
    steps.add(units.workload(settings, &places));
    if started {
        answers(steps, settings, server, places);
    }
    Ok(())
}

fn answers(steps: &mut Steps, settings: &Settings, server: &Server, places: Places) {
    let (port, deadline) = (settings.http_port.number(), settings.deadline);
    let database = settings.database.name.clone();
    steps.add(Ready {
        user: settings.user.to_string(),
        port,
        server: server.clone(),
        database: database.clone(),
        worker_status: settings.release.worker_status,
        deadline,
    });
    steps.add(Admin { port, server: server.clone(), database, places, deadline });
}

fn secrets(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    let path = settings.paths.secret("secret_key");
    let irreplaceable = (!facts.installed.is_absent()).then(|| {
        (
            format!(
                "the database {} holds an installation, whose sessions and links are signed with it",
                settings.database.name
            ),
            format!(
                "restore it from a backup, or, if it is lost for good and every user may be signed out, \
                 write a new one: umask 027; head -c 45 /dev/urandom | base64 -w0 >{0}; chgrp {1} {0}",
                path.display(),
                settings.user
            ),
        )
    });
    let secret = |name: &str, given: &Option<crate::secret::Secret>| SecretFile {
        path: settings.paths.secret(name),
        wanted: group_readable(settings, facts, 0o640),
        length: KEY_LENGTH,
        given: given.clone(),
        irreplaceable: None,
        owner: user_id(settings),
    };
    steps.add(SecretFile { irreplaceable, ..secret("secret_key", &settings.given.secret_key) });
    let smtp = secret("smtp_password", &settings.given.smtp_password);
    if settings.email.username.is_some() {
        steps.add(smtp);
    } else {
        let why = "no mail account is set";
        steps.add(Gone { id: Resource::id(&smtp), path: smtp.path, why, by_first_line: false });
    }
}

fn boot_order(
    steps: &mut Steps,
    settings: &Settings,
    facts: &Facts,
    server: &Server,
) -> Result<()> {
    let unit = format!("user@{}.service", uid_text(facts));
    let dir = PathBuf::from(format!("/etc/systemd/system/{unit}.d"));
    let mut needs = server.unit.clone().unwrap_or_else(|| "postgresql.service".into());
    if let Some(way) = cache::way(settings, facts)? {
        needs = format!("{needs} {}", way.unit);
    }
    steps.add(Directory::new(&dir, Wanted::root(0o755), user_id(settings)));
    steps.add(File {
        path: dir.join("authentik-install.conf"),
        text: render("systemd/boot-order.conf", Syntax::Unit, &context! { units => needs })?,
        wanted: Wanted::root(0o644),
        trial: Trial::None,
    });
    let after = facts.account.is_none().then(|| user_id(settings));
    steps.add(SystemLoaded { unit, after });
    Ok(())
}

fn bootstrap(
    settings: &Settings,
    facts: &Facts,
    server: &Server,
    places: &Places,
) -> Result<Bootstrap> {
    let values = context! {
        env_file => places.env.display().to_string(),
        label_bootstrap => LABEL_BOOTSTRAP,
    };
    Ok(Bootstrap {
        server: server.clone(),
        database: settings.database.name.clone(),
        places: places.clone(),
        dropin: render("quadlet/bootstrap.conf", Syntax::Unit, &values)?,
        wanted: group_readable(settings, facts, 0o640),
        password: settings.admin_password.clone(),
        email: settings.admin_email.clone(),
    })
}
