//! What the settings mean: every value decided, the release line found, every rule checked.

use crate::data::embedded;
use crate::data::release::{self, Allowed, Release};
use crate::error::{Exit, Failure, Result};
use crate::secret::Secret;
use crate::settings::input::{Input, Values};
use crate::settings::origin::{KeyPath, Layers, line_of};
use crate::settings::rules::{self, Broken};
use crate::settings::secrets::Given;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_edit::Value;

/// Where things are. One place to read, so that no path is spelled twice.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The settings file.
    pub settings: PathBuf,
    /// Folder of settings and secrets.
    pub etc: PathBuf,
    /// Folder of the secret files, mounted into the containers.
    pub secrets: PathBuf,
    /// Settings of authentik that may hold any character.
    pub env: PathBuf,
    /// Environment of the first start; exists only until the login is proven.
    pub bootstrap_env: PathBuf,
    /// Parent of everything that authentik keeps, unless it was put elsewhere.
    pub state: PathBuf,
    /// Home of the system user: container storage.
    pub home: PathBuf,
    /// authentik's data; `None` where the line knows uploads alone.
    pub data: Option<PathBuf>,
    /// Uploads.
    pub media: PathBuf,
    /// Custom mail templates.
    pub templates: PathBuf,
    /// Certificates for authentik's own discovery.
    pub certs: PathBuf,
    /// Custom blueprints.
    pub blueprints: PathBuf,
}

impl Paths {
    fn of(settings: PathBuf, values: &Values, release: &Release) -> Self {
        let etc = PathBuf::from("/etc/authentik");
        let state = PathBuf::from("/var/lib/authentik");
        let data = (!release.data_mount.is_empty()).then(|| values.data_dir.path().to_owned());
        let media = match (&values.media_dir, &data) {
            (Some(own), _) => own.path().to_owned(),
            (None, Some(data)) => data.join("media"),
            (None, None) => state.join("media"),
        };
        Paths {
            settings,
            secrets: etc.join("secrets"),
            env: etc.join("authentik.env"),
            bootstrap_env: etc.join("bootstrap.env"),
            home: state.join("home"),
            data,
            media,
            templates: values.templates_dir.path().to_owned(),
            certs: values.certs_dir.path().to_owned(),
            blueprints: state.join("blueprints"),
            etc,
            state,
        }
    }

    /// The file of one secret.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.secrets.join(name)
    }

    /// Are uploads inside the data folder?
    pub fn media_in_data(&self) -> bool {
        self.data.as_ref().is_some_and(|data| self.media == data.join("media"))
    }
}

/// Everything an installation is made of: the [`Values`] and what follows from them.
#[derive(Debug, Clone)]
pub struct Settings {
    values: Values,
    /// Where each value comes from.
    pub layers: Layers,
    /// The row of the release table.
    pub release: Release,
    /// Where things are.
    pub paths: Paths,
    /// Secrets that were handed in.
    pub given: Given,
    /// An OCI or docker archive to load instead of pulling.
    pub image_archive: Option<PathBuf>,
    /// Password of the first administrator, if one was given.
    pub admin_password: Option<Secret>,
    /// Longest wait for authentik to answer.
    pub deadline: Duration,
    /// Does what is in the way become ours, where that is enough?
    pub adopt: bool,
}

impl Deref for Settings {
    type Target = Values;
    fn deref(&self) -> &Values {
        &self.values
    }
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

/// The annotated settings file: every key with its default.
///
/// # Errors
/// If an embedded file is broken.
pub fn template(version: &str, image: &str) -> Result<String> {
    let text = embedded::text("settings/install.toml")?;
    Ok(text.replace("{{ version }}", version).replace("{{ image }}", image))
}

impl Settings {
    /// Decides every value: flags before file before the defaults, which are the template's.
    ///
    /// # Errors
    /// If a needed value is missing, values do not go together, or the release cannot be
    /// installed. Nothing was touched.
    pub fn resolve(given: Input, (file, text): (Input, &str), once: OneTime) -> Result<Self> {
        let path = &once.settings_path;
        let version = given.version.clone().or_else(|| file.version.clone());
        let version = version.map_or_else(|| release::newest().map(|newest| newest.default), Ok)?;
        let either =
            |pick: fn(&Input) -> Option<bool>| pick(&given).or(pick(&file)).unwrap_or(false);
        let allowed = Allowed {
            unsupported: either(|input| input.allow_unsupported_line),
            unknown: either(|input| input.allow_unknown_line),
        };
        let release = release::of(&version, allowed)?;
        let defaults = template(version.as_str(), &release.image)?;
        let defaults = Input::from_toml(&defaults, Path::new("settings/install.toml"))?;
        let layers = Layers::of(&given, &file, &defaults)?;
        let values = layers.values().map_err(|why| missing(path, &why))?;
        refuse(&rules::check(&values, &release)?, path, text)?;
        Ok(Settings {
            paths: Paths::of(once.settings_path, &values, &release),
            values,
            layers,
            release,
            given: Given::default(),
            image_archive: once.image_archive,
            admin_password: once.admin_password,
            deadline: once.deadline,
            adopt: false,
        })
    }

    /// The same, with nothing running, served or scheduled: laid out, to be filled.
    #[must_use]
    pub fn at_rest(mut self) -> Self {
        self.values.service.started = false;
        self.values.proxy.enabled = false;
        self.values.verify.enabled = false;
        self.values.backup.enabled = false;
        self
    }

    /// The same with the version, the image and the patience of other settings.
    #[must_use]
    pub fn with_image_of(mut self, other: &Settings) -> Self {
        self.values.version = other.version.clone();
        self.values.image = other.image.clone();
        self.release = other.release.clone();
        self.image_archive = other.image_archive.clone();
        self.deadline = other.deadline;
        self
    }

    /// The image with its tag.
    pub fn image_tag(&self) -> String {
        format!("{}:{}", self.image, self.version)
    }

    /// What the settings file is to say: what was given, and the version, so that a newer binary
    /// does not choose another.
    pub fn choices(&self) -> Vec<(KeyPath, Value)> {
        let mut choices = self.layers.choices();
        let version: KeyPath = vec!["version".into()];
        if !self.layers.is_written(&version) {
            choices.push((version, self.version.as_str().into()));
        }
        choices
    }

    /// Where people sign in.
    pub fn url(&self) -> String {
        format!("https://{}/", self.domain)
    }
}

fn missing(path: &Path, why: &str) -> Failure {
    let failure = |why: &str| Failure::new("reading the settings", path.display(), why);
    match why.contains("`domain`") {
        true => failure("the domain is not set").next("give --domain auth.example.com"),
        false => failure(why).next("authentik-install settings init"),
    }
    .exit(Exit::Usage)
}

// All broken rules as one refusal, each with its line where the file has the key.
fn refuse(broken: &[Broken], path: &Path, text: &str) -> Result<()> {
    let place = |rule: &Broken| {
        let key: Vec<&str> = rule.key.iter().map(String::as_str).collect();
        match line_of(text, &key) {
            Some(line) => format!("{}:{line}: {}", path.display(), key.join(".")),
            None => key.join("."),
        }
    };
    let Some((first, more)) = broken.split_first() else { return Ok(()) };
    let mut why = first.why.clone();
    for rule in more {
        why.push_str(&format!("\n  also: {}: {}\n  next: {}", place(rule), rule.why, rule.next));
    }
    let failure = Failure::new("reading the settings", place(first), why);
    Err(failure.next(first.next.clone()).exit(Exit::Usage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::input::Tls;

    fn once() -> OneTime {
        OneTime {
            settings_path: "/etc/authentik/install.toml".into(),
            image_archive: None,
            admin_password: None,
            deadline: Duration::from_secs(900),
        }
    }

    fn input(text: &str) -> Input {
        Input::from_toml(text, Path::new("t")).unwrap()
    }

    fn resolve(given: &str, file: &str) -> Result<Settings> {
        Settings::resolve(input(given), (input(file), file), once())
    }

    #[test]
    fn flags_win_over_the_file_and_are_remembered() {
        let file = "domain = \"old.example.com\"\n[proxy]\ntls = \"internal\"";
        let settings = resolve("domain = \"new.example.com\"", file).unwrap();
        assert_eq!(settings.domain.as_str(), "new.example.com");
        assert_eq!(settings.proxy.tls, Tls::Internal);
        assert_eq!(settings.layers.choices().len(), 1);
    }

    #[test]
    fn the_domain_is_needed() {
        let failure = resolve("", "").unwrap_err();
        assert_eq!(failure.exit_code(), Exit::Usage);
        assert!(failure.to_string().contains("--domain"), "{failure}");
    }

    #[test]
    fn the_default_is_the_newest_known_good_version() {
        let settings = resolve("domain = \"a.example.com\"", "").unwrap();
        assert_eq!(settings.image_tag(), "ghcr.io/goauthentik/server:2026.8.3");
        assert_eq!(settings.paths.media, Path::new("/var/lib/authentik/data/media"));
    }

    #[test]
    fn old_lines_keep_uploads_alone() {
        let old =
            "domain = \"a.example.com\"\nversion = \"2025.8.6\"\nallow_unsupported_line = true";
        let settings = resolve("", old).unwrap();
        assert_eq!(settings.paths.data, None);
        assert_eq!(settings.paths.media, Path::new("/var/lib/authentik/media"));
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_its_line() {
        for (text, words) in [
            ("[database]\nauth = \"peer\"", ["install.toml:3: database.auth", "keep-id"]),
            (
                "user_namespace = \"keep-id\"\nversion = \"2026.5.7\"\n[database]\nauth = \"peer\"",
                [":5", "2026.5"],
            ),
            ("[proxy]\ntls = \"files\"", ["proxy.tls", "proxy.certificate"]),
            (
                "[env]\nAUTHENTIK_SECRET_KEY = \"x\"",
                ["env.AUTHENTIK_SECRET_KEY", "secret_key_file"],
            ),
            ("[env]\nAUTHENTIK_WORKER__CONCURRENCY = \"2\"", [":3", "AUTHENTIK_WORKER__THREADS"]),
            ("data_dir = \"/etc/authentik/data\"", ["data_dir", "/srv"]),
            (
                "templates_dir = \"/srv/a\"\ncerts_dir = \"/srv/a/b\"",
                ["certs_dir", "folder of its own"],
            ),
            ("https_port = 9000", ["https_port", "9443"]),
            ("[cache]\ndatabase = 3", ["cache", "no use for Valkey"]),
            ("[email]\nport = 25", ["email", "email.host"]),
            ("[email]\nhost = \"localhost\"", ["email.host", "container itself"]),
            ("[backup]\ndir = \"/var/lib/authentik/data/b\"", ["backup.dir", "which is backed up"]),
            ("[web]\nworkers = 0", ["web.workers", "not within"]),
        ] {
            let failure = resolve("", &format!("domain = \"a.example.com\"\n{text}")).unwrap_err();
            let said = failure.to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{text}: {said}");
            assert_eq!(failure.exit_code(), Exit::Usage);
        }
        let local = resolve("domain = \"10.0.0.1\"", "").unwrap_err().to_string();
        assert!(local.contains("--tls internal"), "{local}");
        assert!(resolve("domain = \"10.0.0.1\"\n[proxy]\ntls = \"internal\"", "").is_ok());
        let peer = "user_namespace = \"keep-id\"\n[database]\nauth = \"peer\"";
        assert!(resolve("domain = \"a.example.com\"", peer).is_ok());
    }
}
