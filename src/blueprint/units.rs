//! The Quadlet files of the pod and its two containers.

use super::cache::{self, Way};
use super::{Steps, user_id};
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::facts::Facts;
use crate::host::files::sha256;
use crate::host::postgres::Server;
use crate::resource::bootstrap::Places;
use crate::resource::directory::{Directory, Wanted};
use crate::resource::file::{File, Trial};
use crate::resource::quadlet;
use crate::resource::workload::{LABEL_POD, LABEL_RENDERING, Workload};
use crate::settings::Settings;
use crate::settings::input::{DatabaseAuth, UserNamespace};
use minijinja::{Value, context};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROLES: [&str; 2] = ["server", "worker"];

/// The rendered files.
pub(super) struct Units {
    /// The folder that they are in.
    pub dir: PathBuf,
    pod: String,
    containers: Vec<(&'static str, String, String)>,
}

/// What the templates are filled from.
struct Sources<'s> {
    settings: &'s Settings,
    facts: &'s Facts,
    server: &'s Server,
    /// Text of the environment file, which is read at a container's start.
    env: &'s str,
    /// The way to Valkey.
    way: Option<Way>,
}

impl Units {
    pub(super) fn render(
        settings: &Settings,
        facts: &Facts,
        server: &Server,
        env: &str,
    ) -> Result<Self> {
        let way = cache::way(settings, facts)?;
        let sources = Sources { settings, facts, server, env, way };
        let pod = render("quadlet/authentik.pod", Syntax::Unit, &pod_values(settings))?;
        let pod_hash = sha256(pod.as_bytes());
        let template = "quadlet/authentik-container";
        let mut containers = Vec::new();
        for role in ROLES {
            // The hash is of the text without itself, and without the pod's.
            let bare = render(template, Syntax::Unit, &sources.values(role, "", ""))?;
            let rendering = sha256(bare.as_bytes());
            let values = sources.values(role, &rendering, &pod_hash);
            containers.push((role, render(template, Syntax::Unit, &values)?, rendering));
        }
        let dir = format!("/etc/containers/systemd/users/{}", uid_text(facts)).into();
        Ok(Units { dir, pod, containers })
    }

    pub(super) fn add_files(&self, steps: &mut Steps, settings: &Settings, facts: &Facts) {
        for dir in self.dir.ancestors().take(3).collect::<Vec<&Path>>().into_iter().rev() {
            steps.add(Directory::new(dir, Wanted::root(0o755), user_id(settings)));
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

    pub(super) fn workload(&self, settings: &Settings, places: &Places) -> Workload {
        Workload {
            user: settings.user.to_string(),
            started: settings.service.started,
            pod: sha256(self.pod.as_bytes()),
            containers: self
                .containers
                .iter()
                .map(|(role, _, rendering)| (format!("authentik-{role}"), rendering.clone()))
                .collect(),
            secrets: settings.paths.secrets.clone(),
            bootstrap: places.dropin(),
        }
    }
}

/// While planning on a host without the user its number is not known; the word stands for it.
pub(super) fn uid_text(facts: &Facts) -> String {
    facts.account.as_ref().map_or_else(|| "UID".to_owned(), |account| account.uid.to_string())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn pod_values(settings: &Settings) -> Value {
    context! {
        http_port => settings.http_port.number(),
        https_port => settings.https_port.map(|port| port.number()),
        crun => "crun",
        enabled => settings.service.enabled,
        user_namespace => match settings.user_namespace {
            UserNamespace::Host => "host",
            UserNamespace::KeepId => "keep-id:uid=1000,gid=1000",
        },
    }
}

impl Sources<'_> {
    fn values(&self, role: &str, rendering: &str, pod_rendering: &str) -> Value {
        let Sources { settings, facts, server, env, way } = self;
        let (release, paths) = (&settings.release, &settings.paths);
        let worker = role == "worker";
        let cache = way.as_ref();
        // By digest once it is known: a tag can be moved under a running installation.
        let image = match &facts.image {
            Some(image) => format!("{}@{}", settings.image_tag(), image.digest),
            None => settings.image_tag(),
        };
        context! {
            role,
            image,
            crun => "crun",
            enabled => settings.service.enabled,
            rendering,
            pod_rendering,
            label_rendering => LABEL_RENDERING,
            label_pod => LABEL_POD,
            read_only_root => release.read_only_root,
            selinux => facts.selinux,
            socket_dir => shown(&server.socket_dir),
            database_port => server.port,
            database => settings.database.name.as_str(),
            database_user => settings.database.user.as_str(),
            database_password => settings.database.auth == DatabaseAuth::Scram,
            listen_http => if worker { release.worker_http } else { 9000 },
            listen_metrics => if worker { release.worker_metrics } else { 9300 },
            web_workers => settings.web.workers,
            web_threads => settings.web.threads,
            cache_urls => cache.map(|way| way.urls.clone()),
            cache_socket => cache.map(|way| shown(&way.socket)),
            cache_dir => cache.and_then(|way| way.socket.parent()).map(shown),
            cache_database => cache.map(|way| way.database),
            cache_password => cache.is_some_and(|way| way.password),
            base_url => release.base_url,
            domain => settings.domain.as_str(),
            env_file => shown(&paths.env),
            env_hash => sha256(env.as_bytes()),
            secrets_dir => shown(&paths.secrets),
            data_dir => paths.data.as_deref().map(shown),
            data_mount => release.data_mount.as_str(),
            media_dir => (!paths.media_in_data()).then(|| shown(&paths.media)),
            media_mount => release.media_mount.as_str(),
            templates_dir => shown(&paths.templates),
            certs_dir => shown(&paths.certs),
            blueprints_dir => shown(&paths.blueprints),
        }
    }
}
