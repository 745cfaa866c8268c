//! Names of packages by distribution, for the commands that we print.

use crate::data::embedded;
use crate::error::Result;
use serde::Deserialize;

/// One distribution family: a row of `distros.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distro {
    /// `ID` values of os-release.
    pub ids: Vec<String>,
    /// Command that installs, with `{packages}` in it.
    pub install: String,
    /// Podman and what rootless pods need beside it.
    pub podman: String,
    /// PostgreSQL's server.
    pub postgresql: String,
    /// Caddy.
    pub caddy: String,
    /// Valkey's server.
    pub valkey: String,
    /// Units that it may run as, the usual one first.
    pub valkey_units: Vec<String>,
    /// What holds `ss` and `ip`.
    pub iproute: String,
    /// Where the row comes from.
    pub source: String,
}

impl Distro {
    /// The command that installs `packages`.
    pub fn install(&self, packages: &str) -> String {
        self.install.replace("{packages}", packages)
    }
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
    let row = std::iter::once(id.as_str())
        .chain(like.split_whitespace())
        .find_map(|name| table.iter().find(|row| row.ids.iter().any(|known| known == name)));
    Ok(row.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_found_by_id_and_by_likeness() {
        let row = of("ID=debian\nVERSION_ID=\"13\"\n").unwrap().unwrap();
        assert!(row.install("caddy").ends_with(" caddy"));
        let row = of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").unwrap().unwrap();
        assert!(row.install.starts_with("apt-get"));
        assert!(of("ID=plan9\n").unwrap().is_none());
        assert!(of("").unwrap().is_none());
    }
}
