//! The host's Valkey (or Redis, which it grew out of): its unit, where it listens, and what it
//! answers.

use crate::error::{Failure, Result};
use crate::host::accounts::Account;
use crate::host::memo::About;
use crate::host::run::Cmd;
use crate::host::{Reader, Writer};
use crate::secret::Secret;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A Valkey, as its unit describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valkey {
    /// Its systemd unit.
    pub unit: String,
    /// The user that it runs as; its group owns the socket.
    pub user: Account,
    /// Name of that group.
    pub group: String,
    /// The command that its unit starts.
    pub command: String,
    /// The unit's own folder below /run; empty if it has none.
    pub runtime_dir: PathBuf,
    /// Unix sockets that it listens on.
    pub sockets: Vec<PathBuf>,
    /// TCP ports that it listens on, on a local address.
    pub ports: Vec<u16>,
}

impl Valkey {
    /// Where it can be asked: by its socket if it has one. `None`: it does not run.
    pub fn address(&self) -> Option<Address> {
        let socket = self.sockets.first().map(|path| Address::Socket(path.clone()));
        socket.or_else(|| self.ports.first().map(|port| Address::Port(*port)))
    }
}

/// Where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Its Unix socket.
    Socket(PathBuf),
    /// A TCP port on 127.0.0.1.
    Port(u16),
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Version.
    pub version: String,
    /// Numbers of the databases that hold keys.
    pub keyspace: Vec<u16>,
    /// How many databases it has; 16 where it does not say.
    pub databases: u16,
    /// Connections of others.
    pub others: u32,
    /// Users that somebody set up beside `default`.
    pub users: usize,
    /// What it does when its memory is full.
    pub policy: String,
}

/// Why it does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It wants a password, or another one.
    Password,
    /// In its own words.
    Other(String),
}

const TIMEOUT: Duration = Duration::from_secs(5);

impl Reader {
    /// The first of these units that is there, running or not.
    ///
    /// # Errors
    /// If systemd or the user database cannot be asked.
    pub fn valkey(&self, units: &[String]) -> Result<Option<Valkey>> {
        for unit in units {
            let names = "LoadState,MainPID,User,RuntimeDirectory,ExecStart";
            let found = self.unit_properties(unit, (names, About::Units))?;
            let text = |key: &str| found.get(key).map_or("", String::as_str);
            if text("LoadState") != "loaded" {
                continue;
            }
            let name = Some(text("User")).filter(|user| !user.is_empty()).unwrap_or("root");
            let Some(user) = self.account(name)? else { continue };
            let Some(group) = self.group(&user.gid.to_string())? else { continue };
            let (sockets, ports) = self.listens(text("MainPID"))?;
            return Ok(Some(Valkey {
                unit: unit.clone(),
                group: group.name,
                command: command(text("ExecStart")),
                runtime_dir: match text("RuntimeDirectory") {
                    "" => PathBuf::new(),
                    dir => Path::new("/run").join(dir),
                },
                user,
                sockets,
                ports,
            }));
        }
        Ok(None)
    }

    fn listens(&self, pid: &str) -> Result<(Vec<PathBuf>, Vec<u16>)> {
        if pid.is_empty() || pid == "0" {
            return Ok((Vec::new(), Vec::new()));
        }
        let owned = format!("pid={pid},");
        let text = self.listening()?;
        let own = text.lines().filter(|line| line.contains(&owned));
        let mut found = (Vec::new(), Vec::new());
        for address in own.filter_map(|line| line.split_whitespace().nth(4)) {
            match address.rsplit_once(':') {
                _ if address.starts_with('/') => found.0.push(address.into()),
                Some((_, port)) => found.1.extend(port.parse::<u16>()),
                None => {}
            }
        }
        found.1.sort_unstable();
        found.1.dedup();
        Ok(found)
    }

    /// Asks a Valkey who it is and what it holds.
    ///
    /// # Errors
    /// If it does not answer, or wants a password.
    pub fn ask_valkey(
        &self,
        address: &Address,
        password: Option<&Secret>,
    ) -> std::result::Result<Answer, Refusal> {
        let mut talk = connect(address, password, 0)?;
        let mut info = |section: &str| -> std::result::Result<BTreeMap<String, String>, Refusal> {
            let text: String = redis::cmd("INFO").arg(section).query(&mut talk).map_err(refusal)?;
            let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
            Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        };
        let (server, memory) = (info("server")?, info("memory")?);
        let (clients, keys) = (info("clients")?, info("keyspace")?);
        let get = |map: &BTreeMap<String, String>, key| map.get(key).cloned().unwrap_or_default();
        // Both may be forbidden or renamed by its owner.
        let databases: Option<(String, String)> =
            redis::cmd("CONFIG").arg("GET").arg("databases").query(&mut talk).ok();
        let users: Vec<String> =
            redis::cmd("ACL").arg("USERS").query(&mut talk).unwrap_or_default();
        let version = get(&server, "valkey_version");
        Ok(Answer {
            version: if version.is_empty() { get(&server, "redis_version") } else { version },
            keyspace: keys.keys().filter_map(|key| key.strip_prefix("db")?.parse().ok()).collect(),
            databases: databases.and_then(|(_, count)| count.parse().ok()).unwrap_or(16),
            others: get(&clients, "connected_clients")
                .parse::<u32>()
                .unwrap_or(1)
                .saturating_sub(1),
            users: users.len().saturating_sub(1),
            policy: get(&memory, "maxmemory_policy"),
        })
    }
}

impl Writer<'_> {
    /// Empties one database of a Valkey.
    ///
    /// # Errors
    /// If it does not answer, or wants another password.
    pub fn empty_valkey(
        &self,
        address: &Address,
        password: Option<&Secret>,
        database: u16,
    ) -> std::result::Result<(), Refusal> {
        let mut talk = connect(address, password, database)?;
        redis::cmd("FLUSHDB").query(&mut talk).map_err(refusal)
    }

    /// Makes a symbolic link beside a socket, as the user that owns the folder.
    ///
    /// # Errors
    /// If that user cannot.
    pub fn link_as(&self, account: &Account, target: &str, link: &Path) -> Result<()> {
        Cmd::new("ln").user(account).args(["-sfn", "--", target]).arg(link).run(self).map(drop)
    }
}

fn connect(
    address: &Address,
    password: Option<&Secret>,
    database: u16,
) -> std::result::Result<redis::Connection, Refusal> {
    let address = match address {
        Address::Socket(path) => ConnectionAddr::Unix(path.clone()),
        Address::Port(port) => ConnectionAddr::Tcp("127.0.0.1".into(), *port),
    };
    let mut login = RedisConnectionInfo::default().set_db(database.into());
    if let Some(password) = password {
        login = login.set_password(password.expose());
    }
    let info = address.into_connection_info().map_err(refusal)?.set_redis_settings(login);
    let mut talk = Client::open(info)
        .and_then(|client| client.get_connection_with_timeout(TIMEOUT))
        .map_err(refusal)?;
    talk.set_read_timeout(Some(TIMEOUT)).map_err(refusal)?;
    redis::cmd("PING").query::<String>(&mut talk).map_err(refusal)?;
    Ok(talk)
}

fn refusal(error: redis::RedisError) -> Refusal {
    let said = error.to_string();
    let wants = ["NOAUTH", "WRONGPASS", "Authentication required", "invalid username-password"];
    // A password where none is set is one that it does not have.
    match wants.iter().any(|word| said.contains(word)) || said.contains("without any password") {
        true => Refusal::Password,
        false => Refusal::Other(said),
    }
}

// { path=/usr/bin/valkey-server ; argv[]=/usr/bin/valkey-server /etc/… ; ignore_errors=no ; … }
fn command(exec_start: &str) -> String {
    exec_start
        .split_once("argv[]=")
        .and_then(|(_, rest)| rest.split(" ; ").next())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Socket(path) => write!(f, "{}", path.display()),
            Address::Port(port) => write!(f, "127.0.0.1:{port}"),
        }
    }
}

impl Refusal {
    /// As a failure.
    pub fn failure(self, address: &Address) -> Failure {
        let why = match self {
            Refusal::Password => "it wants another password".to_owned(),
            Refusal::Other(said) => said,
        };
        Failure::new("asking Valkey at", address, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_unit() {
        let shown = "{ path=/usr/bin/valkey-server ; argv[]=/usr/bin/valkey-server /etc/valkey/valkey.conf \
            --supervised systemd --daemonize no ; ignore_errors=no ; start_time=[n/a] ; pid=0 }";
        assert_eq!(
            command(shown),
            "/usr/bin/valkey-server /etc/valkey/valkey.conf --supervised systemd --daemonize no"
        );
        assert_eq!(command(""), "");
    }
}
