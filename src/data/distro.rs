//! Names of packages by distribution, and how they are installed.

use crate::data::embedded;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host can lack that packages bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Podman and what rootless pods need beside it.
    Podman,
    /// PostgreSQL's server.
    Postgresql,
    /// Valkey's server.
    Valkey,
    /// Caddy.
    Caddy,
    /// `ss` and `ip`.
    Iproute,
}

/// One distribution family: a row of `distros.toml`, where the columns are explained.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distro {
    ids: Vec<String>,
    install: String,
    #[serde(default)]
    refresh: Vec<String>,
    run: Vec<String>,
    /// Of the package manager, when this program runs it.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The file that it names when another one is at work, and it does not wait.
    #[serde(default)]
    pub busy: Option<String>,
    podman: String,
    postgresql: String,
    caddy: String,
    valkey: String,
    /// Units that Valkey may run as, the usual one first.
    pub valkey_units: Vec<String>,
    iproute: String,
    #[serde(default)]
    start: BTreeMap<Need, Vec<Vec<String>>>,
    #[serde(default)]
    lacks: Vec<Lack>,
    /// What of the row was run.
    pub proven: String,
    /// Where the row comes from.
    pub source: String,
    #[serde(skip)]
    version: String,
    #[serde(skip)]
    id: String,
}

/// A release whose package of something does not do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lack {
    ids: Vec<String>,
    below: Option<String>,
    what: Need,
    /// Why.
    pub why: String,
    /// What a person can do.
    pub way_out: String,
}

impl Distro {
    fn packages(&self, need: Need) -> &str {
        match need {
            Need::Podman => &self.podman,
            Need::Postgresql => &self.postgresql,
            Need::Valkey => &self.valkey,
            Need::Caddy => &self.caddy,
            Need::Iproute => &self.iproute,
        }
    }

    fn names(&self, needs: &[Need]) -> Vec<&str> {
        needs.iter().flat_map(|need| self.packages(*need).split_whitespace()).collect()
    }

    /// The lines that set something up that was installed and never started.
    pub fn start(&self, need: Need) -> Vec<String> {
        self.start.get(&need).into_iter().flatten().map(|words| words.join(" ")).collect()
    }

    /// The line with which a person installs what is needed, to its start.
    pub fn line(&self, needs: &[Need]) -> String {
        let install = self.install.replace("{packages}", &self.names(needs).join(" "));
        let start = needs.iter().filter_map(|need| self.start.get(need)).flatten();
        std::iter::once(install)
            .chain(start.map(|words| words.join(" ")))
            .collect::<Vec<_>>()
            .join(" && ")
    }

    /// The same as commands for a program: they do not ask, wait for a lock, and keep configuration files.
    pub fn commands(&self, needs: &[Need]) -> Vec<Vec<String>> {
        let names = self.names(needs).into_iter().map(str::to_owned);
        let refresh = (!self.refresh.is_empty()).then(|| self.refresh.clone());
        let run = self.run.iter().cloned().chain(names).collect();
        let start = needs.iter().filter_map(|need| self.start.get(need)).flatten().cloned();
        refresh.into_iter().chain([run]).chain(start).collect()
    }

    /// Why the package of this release does not do, if so.
    pub fn lack(&self, need: Need) -> Option<&Lack> {
        // A rolling release has no number.
        let older =
            |below: &str| !self.version.is_empty() && !at_least(&self.version, &numbers(below));
        self.lacks.iter().find(|lack| {
            lack.what == need
                && lack.ids.contains(&self.id)
                && lack.below.as_deref().is_none_or(older)
        })
    }
}

/// Compares dotted numbers, as many as `least` has.
pub fn at_least(version: &str, least: &[u32]) -> bool {
    let numbers: Vec<u32> = numbers(version);
    numbers.iter().copied().chain(std::iter::repeat(0)).take(least.len()).ge(least.iter().copied())
}

fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect()
}

/// Units that Valkey may run as here; on a distribution that the table does not know, the usual ones.
pub fn valkey_units(distro: Option<&Distro>) -> Vec<String> {
    let usual =
        ["valkey.service", "valkey-server.service", "redis.service", "redis-server.service"];
    distro.map_or_else(|| usual.map(str::to_owned).to_vec(), |row| row.valkey_units.clone())
}

#[derive(Deserialize)]
struct Table {
    distro: Vec<Distro>,
}

/// The family of a host by the text of its os-release(5) file.
///
/// # Errors
/// If the embedded table is broken.
pub fn of(os_release: &str) -> Result<Option<Distro>> {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|text| text.trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    let (id, like) = (value("ID"), value("ID_LIKE"));
    let table = embedded::table::<Table>("tables/distros.toml")?.distro;
    let (name, mut row) =
        match std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(|name| {
            let row = table.iter().find(|row| row.ids.iter().any(|known| known == name))?;
            Some((name.to_owned(), row.clone()))
        }) {
            Some(found) => found,
            None => return Ok(None),
        };
    // Numbers of a relative are not those of the family.
    if name == id {
        row.version = value("VERSION_ID");
    }
    row.id = name;
    Ok(Some(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("5.4.2", &[5, 0]));
        assert!(at_least("10.0", &[5, 0]));
        assert!(at_least("5", &[5, 0]));
        assert!(!at_least("4.9.3", &[5, 0]));
        assert!(!at_least("", &[5, 0]));
        assert!(at_least("6.12.0-amd64", &[5, 13]));
    }

    #[test]
    fn families_are_found_by_id_and_by_likeness() {
        let row = of("ID=debian\nVERSION_ID=\"13\"\n").unwrap().unwrap();
        assert!(row.line(&[Need::Caddy]).ends_with(" caddy"));
        let row =
            of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"9\"\n").unwrap().unwrap();
        assert!(row.line(&[Need::Podman]).starts_with("apt-get"));
        assert!(row.lack(Need::Podman).is_none());
        assert!(of("ID=plan9\n").unwrap().is_none());
        assert!(of("").unwrap().is_none());
    }

    #[test]
    fn what_a_release_lacks_is_told() {
        let lack =
            |text: &str, need| of(text).unwrap().unwrap().lack(need).map(|lack| lack.why.clone());
        for old in [
            "ID=debian\nVERSION_ID=12",
            "ID=ubuntu\nVERSION_ID=\"24.04\"",
            "ID=ubuntu\nVERSION_ID=22.04",
        ] {
            assert!(lack(old, Need::Podman).unwrap().contains("Podman 4."), "{old}");
        }
        let el = "ID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=9.6";
        assert!(lack(el, Need::Postgresql).unwrap().contains("PostgreSQL 13"));
        assert!(lack("ID=almalinux\nVERSION_ID=10.1", Need::Postgresql).is_none());
        for fit in [
            "ID=debian\nVERSION_ID=13",
            "ID=debian",
            "ID=ubuntu\nVERSION_ID=26.04",
            "ID=fedora\nVERSION_ID=44",
            "ID=arch",
        ] {
            for need in [Need::Podman, Need::Postgresql, Need::Valkey, Need::Caddy] {
                assert_eq!(lack(fit, need), None, "{fit}");
            }
        }
    }

    #[test]
    fn what_is_run_neither_asks_nor_overwrites() {
        let row = of("ID=debian\nVERSION_ID=13").unwrap().unwrap();
        let commands = row.commands(&[Need::Podman, Need::Caddy]);
        let install = commands.last().unwrap().join(" ");
        for words in ["-y", "DPkg::Lock::Timeout=600", "--force-confold", "passt uidmap", " caddy"]
        {
            assert!(install.contains(words), "{install}");
        }
        assert_eq!(row.environment["DEBIAN_FRONTEND"], "noninteractive");
        let row = of("ID=fedora\nVERSION_ID=44").unwrap().unwrap();
        let line = row.line(&[Need::Postgresql]);
        assert!(
            line.ends_with(
                "postgresql-setup --initdb && systemctl enable --now postgresql.service"
            ),
            "{line}"
        );
        assert_eq!(row.commands(&[Need::Postgresql]).len(), 3);
    }
}
