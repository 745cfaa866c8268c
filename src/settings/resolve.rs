//! What the settings mean: every value decided, with its origin where that matters.

use crate::data::release::{self, Release};
use crate::error::{Exit, Failure, Result};
use crate::names::{Domain, Email, ImageName, PgName, Version};
use crate::secret::Secret;
use crate::settings::input::{Input, Tls};
use crate::settings::origin::{Origin, Sourced};
use std::path::PathBuf;
use std::time::Duration;

/// Where things are. One place to read, so that no path is spelled twice.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The settings file.
    pub settings: PathBuf,
    /// Folder of settings and secrets.
    pub etc: PathBuf,
    /// Folder of the secret files, mounted into the containers.
    pub secrets: PathBuf,
    /// Environment of the first start; exists only until the login is proven.
    pub bootstrap_env: PathBuf,
    /// Parent of everything that authentik keeps.
    pub state: PathBuf,
    /// Home of the system user: container storage.
    pub home: PathBuf,
    /// authentik's data.
    pub data: PathBuf,
    /// Custom mail templates.
    pub templates: PathBuf,
    /// Certificates for authentik's own discovery.
    pub certs: PathBuf,
    /// Custom blueprints.
    pub blueprints: PathBuf,
}

impl Paths {
    /// The house's own paths, with the settings file where the user has it.
    pub fn standard(settings: PathBuf) -> Self {
        let etc = PathBuf::from("/etc/authentik");
        let state = PathBuf::from("/var/lib/authentik");
        Paths {
            settings,
            secrets: etc.join("secrets"),
            bootstrap_env: etc.join("bootstrap.env"),
            home: state.join("home"),
            data: state.join("data"),
            templates: state.join("templates"),
            certs: state.join("certs"),
            blueprints: state.join("blueprints"),
            etc,
            state,
        }
    }

    /// The file of one secret.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.secrets.join(name)
    }
}

/// Everything an installation is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public host name.
    pub domain: Sourced<Domain>,
    /// Version of authentik.
    pub version: Sourced<Version>,
    /// The row of the release table.
    pub release: Release,
    /// Image without tag.
    pub image: Sourced<ImageName>,
    /// Mail address of the first administrator.
    pub admin_email: Sourced<Option<Email>>,
    /// How the proxy gets its certificate.
    pub tls: Sourced<Tls>,
    /// Mail address for ACME.
    pub acme_email: Sourced<Option<Email>>,
    /// Database.
    pub database: Sourced<PgName>,
    /// Role that owns the database.
    pub database_user: Sourced<PgName>,
    /// System user and group.
    pub user: String,
    /// TCP port on 127.0.0.1 that the server is published on.
    pub http_port: u16,
    /// Where things are.
    pub paths: Paths,
    /// An OCI or docker archive to load instead of pulling.
    pub image_archive: Option<PathBuf>,
    /// Password of the first administrator, if one was given.
    pub admin_password: Option<Secret>,
    /// Longest wait for authentik to answer.
    pub deadline: Duration,
}

/// What only a command line gives: none of it is written down.
#[derive(Debug, Clone)]
pub struct OneTime {
    /// The settings file.
    pub settings_path: PathBuf,
    /// An OCI or docker archive to load instead of pulling.
    pub image_archive: Option<PathBuf>,
    /// Password of the first administrator.
    pub admin_password: Option<Secret>,
    /// Longest wait for authentik to answer.
    pub deadline: Duration,
}

impl Settings {
    /// Decides every value: flags before file before the release table.
    ///
    /// # Errors
    /// If a needed value is missing or the release cannot be installed. Nothing was touched.
    pub fn resolve(given: Input, file: Input, once: OneTime) -> Result<Self> {
        let newest = release::newest()?;
        let version = Sourced::pick(given.version, file.version, || newest.default.clone());
        let release = release::of(&version.value)?;
        let image = match (given.image, file.image) {
            (None, None) => Sourced {
                value: release.image.parse().map_err(|why: String| {
                    Failure::new("reading the embedded table", "tables/releases.toml", why)
                })?,
                origin: Origin::Default,
            },
            (Some(value), _) => Sourced { value, origin: Origin::Given },
            (None, Some(value)) => Sourced { value, origin: Origin::File },
        };
        let domain = match (given.domain, file.domain) {
            (Some(value), _) => Sourced { value, origin: Origin::Given },
            (None, Some(value)) => Sourced { value, origin: Origin::File },
            (None, None) => {
                return Err(Failure::new(
                    "reading the settings",
                    once.settings_path.display(),
                    "the domain is not set",
                )
                .next("give --domain auth.example.com")
                .exit(Exit::Usage));
            }
        };
        let pg = |text: &str| -> Result<PgName> {
            text.parse().map_err(|why: String| Failure::new("reading the settings", text, why))
        };
        let default_name = pg("authentik")?;
        Ok(Settings {
            domain,
            version,
            release,
            image,
            admin_email: optional(given.admin_email, file.admin_email),
            tls: Sourced::pick(given.proxy.tls, file.proxy.tls, || Tls::Acme),
            acme_email: optional(given.proxy.acme_email, file.proxy.acme_email),
            database: Sourced::pick(given.database.name, file.database.name, || {
                default_name.clone()
            }),
            database_user: Sourced::pick(given.database.user, file.database.user, || {
                default_name.clone()
            }),
            user: "authentik".into(),
            http_port: 9000,
            paths: Paths::standard(once.settings_path),
            image_archive: once.image_archive,
            admin_password: once.admin_password,
            deadline: once.deadline,
        })
    }

    /// The image with its tag.
    pub fn image_tag(&self) -> String {
        format!("{}:{}", self.image.value, self.version.value)
    }

    /// The choices that were given on the command line, as keys of the settings file.
    pub fn choices(&self) -> Vec<(&'static [&'static str], String)> {
        fn choice<T: ToString>(
            path: &'static [&'static str],
            value: &Sourced<T>,
        ) -> Option<(&'static [&'static str], String)> {
            (value.origin == Origin::Given).then(|| (path, value.value.to_string()))
        }
        fn maybe<T: ToString>(
            path: &'static [&'static str],
            value: &Sourced<Option<T>>,
        ) -> Option<(&'static [&'static str], String)> {
            let text = value.value.as_ref()?.to_string();
            (value.origin == Origin::Given).then_some((path, text))
        }
        let tls = Sourced { value: self.tls.value.as_str(), origin: self.tls.origin };
        [
            choice(&["domain"], &self.domain),
            choice(&["version"], &self.version),
            choice(&["image"], &self.image),
            maybe(&["admin_email"], &self.admin_email),
            choice(&["proxy", "tls"], &tls),
            maybe(&["proxy", "acme_email"], &self.acme_email),
            choice(&["database", "name"], &self.database),
            choice(&["database", "user"], &self.database_user),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn optional<T>(given: Option<T>, file: Option<T>) -> Sourced<Option<T>> {
    let origin = match (&given, &file) {
        (Some(_), _) => Origin::Given,
        (None, Some(_)) => Origin::File,
        (None, None) => Origin::Default,
    };
    Sourced { value: given.or(file), origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once() -> OneTime {
        OneTime {
            settings_path: "/etc/authentik/install.toml".into(),
            image_archive: None,
            admin_password: None,
            deadline: Duration::from_secs(900),
        }
    }

    fn input(text: &str) -> Input {
        Input::from_toml(text, std::path::Path::new("t")).unwrap()
    }

    #[test]
    fn flags_win_over_the_file_and_are_remembered() {
        let given = input("domain = \"new.example.com\"");
        let file = input("domain = \"old.example.com\"\n[proxy]\ntls = \"internal\"");
        let settings = Settings::resolve(given, file, once()).unwrap();
        assert_eq!(settings.domain.value.as_str(), "new.example.com");
        assert_eq!(settings.tls.value, Tls::Internal);
        assert_eq!(settings.choices(), vec![(&["domain"] as &[_], "new.example.com".to_owned())]);
    }

    #[test]
    fn the_domain_is_needed() {
        let failure = Settings::resolve(Input::default(), Input::default(), once()).unwrap_err();
        assert_eq!(failure.exit_code(), Exit::Usage);
        assert!(failure.to_string().contains("--domain"));
    }

    #[test]
    fn the_default_is_the_newest_known_good_version() {
        let settings =
            Settings::resolve(input("domain = \"a.example.com\""), Input::default(), once())
                .unwrap();
        assert_eq!(settings.image_tag(), "ghcr.io/goauthentik/server:2026.8.3");
    }
}
