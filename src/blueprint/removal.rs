//! The way back: what is claimed is taken off the host again, the last thing first.

use super::{Phase, Step, Steps, needed, proxy, schedule};
use crate::error::Result;
use crate::facts::cache::CONF;
use crate::facts::{Fact, Facts};
use crate::names::PgName;
use crate::resource::Id;
use crate::resource::account_gone::{AccountGone, What as Right};
use crate::resource::directory::Directory;
use crate::resource::file::File;
use crate::resource::gone::Gone;
use crate::resource::hba_gone::HbaGone;
use crate::resource::keys_gone::KeysGone;
use crate::resource::sql_gone::{SqlGone, What};
use crate::resource::tree_gone::TreeGone;
use crate::resource::valkey_gone::ValkeyGone;
use crate::resource::workload::SERVICES;
use crate::resource::workload_gone::{ImageGone, UnitsGone, WorkloadGone};
use crate::settings::Settings;
use std::path::{Path, PathBuf};

const WHY: &str = "authentik goes";

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What runs and is served. Database, data, secrets, settings and backups stay, and the user that they
    /// belong to.
    Service,
    /// Everything.
    All,
}

/// What was claimed, and how much of it goes.
#[derive(Debug)]
pub struct Removal {
    /// Names of all claims.
    pub claims: Vec<Id>,
    /// How much goes.
    pub reach: Reach,
    /// Databases of runs that were killed: they go before anything else does.
    pub leftovers: Vec<String>,
    /// Do other hosts have backups in the folder of backups?
    pub shared: bool,
}

impl Removal {
    /// The phases, the last one of an installation first.
    pub fn phases() -> Vec<Phase> {
        Phase::ALL.into_iter().rev().collect()
    }

    /// What goes in one phase, in order.
    ///
    /// # Errors
    /// If a service cannot be looked at that something of ours is in.
    pub fn phase(
        &self,
        phase: Phase,
        settings: &Settings,
        facts: &Facts,
    ) -> Result<Vec<Box<dyn Step>>> {
        let mut steps = Steps::default();
        match phase {
            Phase::Schedule => schedule::withdraw(&mut steps, settings, facts)?,
            Phase::Proxy => self.proxy(&mut steps, settings, facts)?,
            Phase::Containers => self.containers(&mut steps, settings, facts),
            Phase::Cache => self.cache(&mut steps, settings, facts),
            Phase::Database => self.database(&mut steps, facts)?,
            Phase::Accounts => self.accounts(&mut steps, settings),
        }
        Ok(steps.0)
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &str> {
        let kind = format!("{kind}:");
        self.claims.iter().filter_map(move |id| id.as_str().strip_prefix(kind.as_str()))
    }

    fn all(&self) -> bool {
        self.reach == Reach::All
    }

    fn proxy(&self, steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
        let ours = self.of("caddyfile").next().is_some() || settings.proxy.enabled;
        if let (true, Fact::Unknown(_)) = (ours, &facts.proxy) {
            needed(&facts.proxy, "Caddy")?;
        }
        proxy::withdraw(steps, settings, facts, true);
        Ok(())
    }

    fn containers(&self, steps: &mut Steps, settings: &Settings, facts: &Facts) {
        if let Some(account) = &facts.account {
            steps.add(WorkloadGone { account: account.clone() });
        }
        // Those of a run whose ledger is lost are known by their first line.
        let mut files: Vec<PathBuf> = self.of("file").map(PathBuf::from).collect();
        if let Some(account) = &facts.account {
            let units = Path::new("/etc/containers/systemd/users").join(account.uid.to_string());
            let names =
                ["authentik.pod", "authentik-server.container", "authentik-worker.container"];
            files.push(units.join("authentik-worker.container.d/10-bootstrap.conf"));
            files.extend(names.map(|name| units.join(name)));
            let order = format!(
                "/etc/systemd/system/user@{}.service.d/authentik-install.conf",
                account.uid
            );
            files.push(order.into());
        }
        files.sort();
        files.dedup();
        for path in files {
            steps.add(gone(File::id_of(&path), path));
        }
        for user in self.of("bootstrap") {
            let path = settings.paths.bootstrap_env.clone();
            steps.add(gone(Id::new("bootstrap", user), path));
        }
        let Some(account) = &facts.account else { return };
        let units = SERVICES.map(str::to_owned).to_vec();
        steps.add(UnitsGone { account: Some(account.clone()), units });
        let manager = vec![account.manager_unit()];
        steps.add(UnitsGone { account: None, units: manager });
        for name in self.of("image") {
            steps.add(ImageGone { account: account.clone(), name: name.to_owned() });
        }
    }

    fn cache(&self, steps: &mut Steps, settings: &Settings, facts: &Facts) {
        if let (true, Some(cache)) = (self.all(), facts.cache.known())
            && let Some(database) = cache.database
        {
            let password = settings.paths.secret("cache_password");
            steps.add(KeysGone { cache: cache.clone(), database, password });
        }
        for unit in self.of("valkey") {
            let dropin = format!("/etc/systemd/system/{unit}.d/authentik-install.conf");
            steps.add(ValkeyGone {
                unit: unit.to_owned(),
                dropin: dropin.into(),
                conf: CONF.into(),
            });
        }
    }

    fn database(&self, steps: &mut Steps, facts: &Facts) -> Result<()> {
        if self.of("hba").next().is_some() || self.of("database").next().is_some() {
            match &facts.postgres {
                // With the server its files went, too.
                Fact::Absent => return Ok(()),
                _ => needed(&facts.postgres, "PostgreSQL")?,
            };
        }
        let Some(server) = facts.postgres.known() else { return Ok(()) };
        steps.add(HbaGone { server: server.clone() });
        if self.all() {
            for (what, kind) in [(What::Database, "database"), (What::Role, "role")] {
                for name in self.of(kind).filter_map(|name| name.parse::<PgName>().ok()) {
                    let besides = self.of("database").map(str::to_owned);
                    let besides = besides.chain(self.leftovers.iter().cloned()).collect();
                    steps.add(SqlGone { server: server.clone(), what, name, besides });
                }
            }
        }
        Ok(())
    }

    fn accounts(&self, steps: &mut Steps, settings: &Settings) {
        for user in self.of("linger") {
            steps.add(AccountGone { user: user.to_owned(), what: Right::Linger });
        }
        for (user, group) in self.of("membership").filter_map(|both| both.split_once('/')) {
            let what = Right::Membership(group.to_owned());
            steps.add(AccountGone { user: user.to_owned(), what });
        }
        // A folder goes after those that are in it.
        let mut folders: Vec<&Path> = self.of("directory").map(Path::new).collect();
        folders.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        let (data, others): (Vec<&Path>, Vec<&Path>) =
            folders.into_iter().partition(|path| holds_data(settings, path));
        // What lies in another one goes with it, or stays with it if that is not ours: root goes through no
        // folder that others can change.
        let inner = |path: &Path| path.ancestors().skip(1).any(|outer| holds_data(settings, outer));
        if self.all() {
            let backups = settings.backup.dir.path();
            for path in data.iter().filter(|path| !inner(path)) {
                if self.shared && *path == backups {
                    // What is this host's in there goes by itself.
                    steps.add(gone(Directory::id_of(path), backups.to_owned()));
                    continue;
                }
                steps.add(TreeGone { id: Directory::id_of(path), path: path.to_path_buf() });
            }
            for user in self.of("user") {
                steps.add(AccountGone { user: user.to_owned(), what: Right::User });
            }
            for path in self.of("settings") {
                steps.add(gone(Id::new("settings", path), path.into()));
            }
        }
        for path in others.iter().filter(|path| !inner(path)) {
            steps.add(gone(Directory::id_of(path), path.to_path_buf()));
        }
        // Last: whatever fails before needs it to be run again.
        for path in self.of("program").filter(|_| self.all()) {
            steps.add(TreeGone { id: Id::new("program", path), path: path.into() });
        }
    }
}

fn gone(id: Id, path: PathBuf) -> Gone {
    Gone { id, path, why: WHY, by_first_line: true }
}

// What authentik, its containers or its backups have put files into.
fn holds_data(settings: &Settings, path: &Path) -> bool {
    let paths = &settings.paths;
    let folders = [
        &paths.home,
        &paths.media,
        &paths.templates,
        &paths.certs,
        &paths.blueprints,
        &paths.secrets,
    ];
    folders.into_iter().chain(&paths.data).any(|folder| folder == path)
        || path == settings.backup.dir.path()
}
