//! Phase `containers`: image, secrets, units, the first start and the first administrator.

use super::{Steps, group_readable, server, user_id};
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::facts::Facts;
use crate::host::files::{Perms, sha256};
use crate::host::postgres::Server;
use crate::resource::Id;
use crate::resource::admin::Admin;
use crate::resource::bootstrap::{Bootstrap, Places};
use crate::resource::directory::{Directory, Wanted};
use crate::resource::file::{File, Trial};
use crate::resource::image::Image;
use crate::resource::media::Media;
use crate::resource::quadlet;
use crate::resource::ready::Ready;
use crate::resource::secret_file::SecretFile;
use crate::resource::system_loaded::SystemLoaded;
use crate::resource::workload::{LABEL_BOOTSTRAP, LABEL_POD, LABEL_RENDERING, Workload};
use crate::settings::Settings;
use minijinja::{Value, context};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// 60 characters, as upstream's own guide makes them.
const KEY_LENGTH: usize = 60;
const ROLES: [&str; 2] = ["server", "worker"];

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let server = server(facts)?;
    let units = Units::render(settings, facts, server)?;
    let places = Places {
        env: settings.paths.bootstrap_env.clone(),
        dropin_dir: units.dir.join("authentik-worker.container.d"),
    };
    folders(steps, settings, facts);
    secret_key(steps, settings, facts);
    steps.add(Image {
        user: settings.user.clone(),
        name: settings.image_tag(),
        archive: settings.image_archive.clone(),
    });
    media(steps, settings, facts);
    boot_order(steps, settings, facts, server)?;
    units.add_files(steps, settings, facts);
    steps.add(bootstrap(settings, facts, server, &places)?);
    steps.add(units.workload(settings, &places));
    let (database, deadline) = (settings.database.value.clone(), settings.deadline);
    steps.add(Ready {
        user: settings.user.clone(),
        port: settings.http_port,
        server: server.clone(),
        database: database.clone(),
        deadline,
    });
    let port = settings.http_port;
    steps.add(Admin { port, server: server.clone(), database, places, deadline });
    Ok(())
}

/// The image's user on the host.
fn container_owned(facts: &Facts, mode: u32) -> Wanted {
    let perms = facts.container.map(|ids| Perms { uid: ids.uid, gid: ids.gid, mode });
    Wanted { perms, owner: "the container's user".into(), mode }
}

fn folders(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    let paths = &settings.paths;
    for path in [&paths.templates, &paths.certs, &paths.blueprints] {
        steps.add(Directory {
            path: path.clone(),
            wanted: group_readable(settings, facts, 0o750),
            owner: user_id(settings),
        });
    }
    steps.add(Directory {
        path: paths.data.clone(),
        wanted: container_owned(facts, 0o750),
        owner: user_id(settings),
    });
}

fn media(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    steps.add(Media {
        path: settings.paths.data.join("media"),
        user: settings.user.clone(),
        owner: facts.container,
        parent: Id::new("directory", settings.paths.data.display()),
    });
}

fn secret_key(steps: &mut Steps, settings: &Settings, facts: &Facts) {
    let path = settings.paths.secret("secret_key");
    let irreplaceable = facts.database_filled.then(|| {
        (
            format!(
                "the database {} holds an installation, whose sessions and links are signed with it",
                settings.database.value
            ),
            format!(
                "restore it from a backup, or, if it is lost for good and every user may be signed out, \
                 write a new one: umask 027; head -c 45 /dev/urandom | base64 -w0 >{0}; chgrp {1} {0}",
                path.display(),
                settings.user
            ),
        )
    });
    steps.add(SecretFile {
        path,
        wanted: group_readable(settings, facts, 0o640),
        length: KEY_LENGTH,
        irreplaceable,
        owner: user_id(settings),
    });
}

fn boot_order(
    steps: &mut Steps,
    settings: &Settings,
    facts: &Facts,
    server: &Server,
) -> Result<()> {
    let uid = uid_text(facts);
    let unit = format!("user@{uid}.service");
    let dir = PathBuf::from(format!("/etc/systemd/system/{unit}.d"));
    let needs = server.unit.clone().unwrap_or_else(|| "postgresql.service".into());
    steps.add(Directory {
        path: dir.clone(),
        wanted: Wanted::root(0o755),
        owner: user_id(settings),
    });
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
        database: settings.database.value.clone(),
        places: places.clone(),
        dropin: render("quadlet/bootstrap.conf", Syntax::Unit, &values)?,
        wanted: group_readable(settings, facts, 0o640),
        password: settings.admin_password.clone(),
        email: settings.admin_email.value.clone(),
    })
}

// While planning on a host without the user its number is not known; the word stands for it.
fn uid_text(facts: &Facts) -> String {
    facts.account.as_ref().map_or_else(|| "UID".to_owned(), |account| account.uid.to_string())
}

/// The rendered Quadlet files.
struct Units {
    dir: PathBuf,
    pod: String,
    containers: Vec<(&'static str, String, String)>,
}

impl Units {
    fn render(settings: &Settings, facts: &Facts, server: &Server) -> Result<Self> {
        let pod_values = context! { http_port => settings.http_port, crun => "crun" };
        let pod = render("quadlet/authentik.pod", Syntax::Unit, &pod_values)?;
        let mut containers = Vec::new();
        for role in ROLES {
            let values = |rendering: &str| {
                container_values(
                    settings,
                    facts,
                    server,
                    (role, rendering, &sha256(pod.as_bytes())),
                )
            };
            // The hash is of the text without itself, and without the pod's.
            let bare = render("quadlet/authentik-container", Syntax::Unit, &values(""))?;
            let rendering = sha256(bare.as_bytes());
            let text = render("quadlet/authentik-container", Syntax::Unit, &values(&rendering))?;
            containers.push((role, text, rendering));
        }
        let dir = format!("/etc/containers/systemd/users/{}", uid_text(facts)).into();
        Ok(Units { dir, pod, containers })
    }

    fn add_files(&self, steps: &mut Steps, settings: &Settings, facts: &Facts) {
        for dir in self.dir.ancestors().take(3).collect::<Vec<&Path>>().into_iter().rev() {
            steps.add(Directory {
                path: dir.to_owned(),
                wanted: Wanted::root(0o755),
                owner: user_id(settings),
            });
        }
        let mut files = vec![("authentik.pod".to_owned(), self.pod.clone())];
        files.extend(
            self.containers
                .iter()
                .map(|(role, text, _)| (format!("authentik-{role}.container"), text.clone())),
        );
        let trial = facts.account.clone().map_or(Trial::None, |account| {
            let services = ["authentik-pod", "authentik-server", "authentik-worker"];
            Trial::Quadlet(Arc::new(quadlet::Set {
                account,
                files: files.clone(),
                services: services.iter().map(|name| format!("{name}.service")).collect(),
            }))
        });
        for (name, text) in files {
            let path = self.dir.join(name);
            steps.add(File { path, text, wanted: Wanted::root(0o644), trial: trial.clone() });
        }
    }

    fn workload(&self, settings: &Settings, places: &Places) -> Workload {
        let secret = |name: &str| settings.paths.secret(name);
        Workload {
            user: settings.user.clone(),
            pod: sha256(self.pod.as_bytes()),
            containers: self
                .containers
                .iter()
                .map(|(role, _, rendering)| (format!("authentik-{role}"), rendering.clone()))
                .collect(),
            secrets: vec![secret("secret_key"), secret("database_password")],
            bootstrap: places.dropin(),
        }
    }
}

fn container_values(
    settings: &Settings,
    facts: &Facts,
    server: &Server,
    (role, rendering, pod): (&str, &str, &str),
) -> Value {
    let (release, paths) = (&settings.release, &settings.paths);
    let worker = role == "worker";
    // By digest once it is known: a tag can be moved under a running installation.
    let image = match &facts.image {
        Some(image) => format!("{}@{}", settings.image_tag(), image.digest),
        None => settings.image_tag(),
    };
    let path = |path: &Path| path.display().to_string();
    context! {
        role,
        image,
        crun => "crun",
        rendering,
        pod_rendering => if rendering.is_empty() { "" } else { pod },
        label_rendering => LABEL_RENDERING,
        label_pod => LABEL_POD,
        read_only_root => release.read_only_root,
        socket_dir => path(&server.socket_dir),
        database_port => server.port,
        database => settings.database.value.as_str(),
        database_user => settings.database_user.value.as_str(),
        listen_http => if worker { release.worker_http } else { 9000 },
        listen_metrics => if worker { release.worker_metrics } else { 9300 },
        base_url => release.base_url,
        domain => settings.domain.value.as_str(),
        secrets_dir => path(&paths.secrets),
        data_dir => path(&paths.data),
        data_mount => release.data_mount.as_str(),
        templates_dir => path(&paths.templates),
        certs_dir => path(&paths.certs),
        blueprints_dir => path(&paths.blueprints),
    }
}
