//! The host's PostgreSQL: asked as its administrator through `psql`, and logged in to as the role
//! itself over the socket.

use crate::error::{Cause, Failure, Result};
use crate::host::accounts::Account;
use crate::host::memo::About;
use crate::host::output::Output;
use crate::host::run::{Cmd, find};
use crate::host::{Reader, Writer};
use crate::secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A running server, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The operating system user that owns it, and its administrator.
    pub owner: Account,
    /// Folder of its socket.
    pub socket_dir: PathBuf,
    /// Port, which is part of the socket's name.
    pub port: u16,
    /// `server_version_num`, as in 170012.
    pub version: u32,
    /// Its pg_hba.conf.
    pub hba_file: PathBuf,
    /// Its folder.
    pub data_dir: PathBuf,
    /// The systemd unit of the instance.
    pub unit: Option<String>,
    /// Is it a standby, which takes no changes?
    pub standby: bool,
}

impl Server {
    /// Major version.
    pub fn major(&self) -> u32 {
        self.version / 10_000
    }
}

#[derive(Deserialize)]
struct Answer {
    version: u32,
    hba_file: PathBuf,
    data_dir: PathBuf,
    pid: u32,
    standby: bool,
}

/// How a login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// In.
    Accepted,
    /// Refused or not answered, in the server's words.
    Refused(String),
}

/// Why there is no server to ask.
pub const NOBODY: &str = "none listens on a Unix socket in a folder of its own (/run/postgresql)";

/// What to do where a server is there and does not run.
pub const START: &str = "systemctl start postgresql; pg_lsclusters shows each one on Debian";

pub(super) fn socket(dir: &Path, port: u16) -> PathBuf {
    dir.join(format!(".s.PGSQL.{port}"))
}

// The sockets that PostgreSQL listens on, as the kernel lists them; the usual port first.
fn listening() -> Result<Vec<(PathBuf, u16)>> {
    let list = "/proc/net/unix";
    let text =
        std::fs::read_to_string(list).map_err(|error| Failure::new("reading", list, error))?;
    let mut found = sockets(&text);
    // A name that is not absolute is one of somebody's own making.
    found.retain(|(dir, _)| dir.is_absolute());
    found.sort_by_key(|(dir, port)| (!usual(dir), *port != USUAL_PORT, *port));
    Ok(found)
}

fn usual(dir: &Path) -> bool {
    ["/run/postgresql", "/var/run/postgresql"].iter().any(|known| dir == Path::new(known))
}

const USUAL_PORT: u16 = 5432;
/// Whose servers are, in every distribution.
const OWNER: &str = "postgres";
/// SYS_UID_MAX of login.defs(5), as every distribution has it.
const LAST_SYSTEM_USER: u32 = 999;

// Num RefCount Protocol Flags Type St Inode Path; flag 00010000: it listens.
fn sockets(text: &str) -> Vec<(PathBuf, u16)> {
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = fields.filter_map(|fields| match fields.as_slice() {
        [_, _, _, "00010000", _, _, _, path] => {
            let path = Path::new(path);
            let port = path.file_name()?.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok()?;
            Some((path.parent()?.to_owned(), port))
        }
        _ => None,
    });
    found.collect()
}

pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<Option<T>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| Failure::new("reading the answer of", "PostgreSQL", error.to_string()))
}

pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => refusal.message().to_owned(),
        None => error.to_string(),
    }
}

/// Even a very large database is analyzed, created or dropped by then.
const AT_LENGTH: Duration = Duration::from_secs(6 * 3600);

fn psql(server: &Server, database: &str) -> Cmd {
    Cmd::new("psql")
        .user(&server.owner)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"])
        .args(["-p", &server.port.to_string(), "-h"])
        .arg(&server.socket_dir)
        .next("is PostgreSQL running? systemctl list-units 'postgresql*'")
}

impl Reader {
    // Whose server it is. Anybody can listen under such a name, and would be told what is the server's
    // alone: it has to be a system user's, in a folder where only that one or root makes names. In other
    // folders than the usual ones any service could make one: there it is PostgreSQL's own user's.
    fn trusted_owner(&self, dir: &Path, port: u16) -> Result<Option<Account>> {
        let (Some(folder), Some(file)) = (self.stat(dir)?, self.stat(&socket(dir, port))?) else {
            return Ok(None);
        };
        let uid = file.perms.uid;
        let own_folder = folder.perms.uid == 0 || folder.perms.uid == uid;
        let closed = folder.perms.mode & 0o002 == 0;
        let system = uid != 0 && uid <= LAST_SYSTEM_USER;
        if !(own_folder && closed && system) {
            return Ok(None);
        }
        let owner = self.account(&uid.to_string())?;
        Ok(owner.filter(|owner| usual(dir) || owner.name == OWNER))
    }

    // The client alone is there on many hosts.
    fn has_server(&self) -> bool {
        let own = |dir: &str, rest: &str| {
            let names = self.names_in(Path::new(dir)).unwrap_or_default();
            names.iter().any(|name| self.exists(&format!("{dir}/{name}/{rest}")))
        };
        find("postgres").is_some()
            || own("/usr/lib/postgresql", "bin/postgres")
            || own("/usr", "bin/postgres")
    }

    /// The running server, or `None` where there is none to run. Of several that of the usual port,
    /// or else of the lowest.
    ///
    /// # Errors
    /// If none runs, or it does not answer.
    pub fn postgres(&self) -> Result<Option<Server>> {
        if find("psql").is_none() {
            return Ok(None);
        }
        let mut found = None;
        for (dir, port) in listening()? {
            // Debian's is still named below /var/run, which is a link.
            let dir = self.canonical(&dir);
            // One that cannot be looked at does not stand in the way of the others.
            if let Ok(Some(owner)) = self.trusted_owner(&dir, port) {
                found = Some((dir, port, owner));
                break;
            }
        }
        let Some((socket_dir, port, owner)) = found else {
            if !self.has_server() {
                return Ok(None);
            }
            return Err(Failure::new("looking for", "PostgreSQL", NOBODY)
                .next("systemctl list-units 'postgresql*'"));
        };
        let (unit, hba_file, data_dir) = (None, PathBuf::new(), PathBuf::new());
        let unknown = Server {
            owner,
            socket_dir,
            port,
            version: 0,
            hba_file,
            data_dir,
            unit,
            standby: false,
        };
        let sql = "SELECT json_build_object(
            'version', current_setting('server_version_num')::int,
            'hba_file', current_setting('hba_file'),
            'data_dir', current_setting('data_directory'),
            'pid', split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int,
            'standby', pg_is_in_recovery())";
        let answer: Option<Answer> = self.query(&unknown, "postgres", sql)?;
        Ok(answer.map(|answer| Server {
            version: answer.version,
            hba_file: answer.hba_file,
            data_dir: answer.data_dir,
            unit: self.unit_of_process(answer.pid),
            standby: answer.standby,
            ..unknown
        }))
    }

    /// Asks the server, as its administrator, for one JSON value; no row is `None`, and so is a
    /// database that does not exist.
    ///
    /// # Errors
    /// If it does not answer, or answers something of another shape.
    pub fn query<T: DeserializeOwned>(
        &self,
        server: &Server,
        database: &str,
        sql: &str,
    ) -> Result<Option<T>> {
        let question =
            format!("sql {} {} {database} {sql}", server.socket_dir.display(), server.port);
        let ask = || self.ask(server, database, sql).map(Output::said);
        json(&self.memo.answer((About::Database, question.into_bytes()), ask)?.out)
    }

    /// Is there such a table, in a database that exists?
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn has_table(&self, server: &Server, database: &str, table: &str) -> Result<bool> {
        let sql = format!("SELECT to_json(to_regclass('{table}') IS NOT NULL)");
        Ok(self.query(server, database, &sql)? == Some(true))
    }

    /// Logs in as a role over the socket, as authentik will.
    pub fn login(&self, server: &Server, database: &str, role: &str, password: &Secret) -> Login {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&server.socket_dir)
            .port(server.port)
            .dbname(database)
            .user(role)
            .password(password.expose())
            .application_name("authentik-install")
            .connect_timeout(Duration::from_secs(10));
        let limit = self.patience(Duration::from_secs(15));
        let attempt = async {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
            let driver = tokio::spawn(connection);
            let answer = client.simple_query("SELECT 1").await;
            drop(client);
            driver.abort();
            answer
        };
        match self.runtime.block_on(async { tokio::time::timeout(limit, attempt).await }) {
            Ok(Ok(_)) => Login::Accepted,
            Ok(Err(error)) => Login::Refused(in_words(&error)),
            Err(_) => Login::Refused(Cause::Deadline(limit).to_string()),
        }
    }
}

impl Reader {
    /// Logs in over the socket as a system user, without a password.
    ///
    /// # Errors
    /// If `psql` cannot be run.
    pub fn login_as(
        &self,
        server: &Server,
        account: &Account,
        database: &str,
        role: &str,
    ) -> Result<Login> {
        let output = Cmd::new("psql")
            .user(account)
            .args(["-X", "-q", "-A", "-t", "-w", "-c", "SELECT 1", "-U", role, "-d", database])
            .args(["-p", &server.port.to_string(), "-h"])
            .arg(&server.socket_dir)
            .looks_anew()
            .output(self)?;
        Ok(match output.code {
            Some(0) => Login::Accepted,
            _ => Login::Refused(output.err.trim().to_owned()),
        })
    }
}

impl Writer<'_> {
    /// Runs SQL as the administrator. The text goes in by standard input, never as an argument.
    ///
    /// # Errors
    /// At the first statement that fails.
    pub fn sql(&self, server: &Server, database: &str, sql: &str) -> Result<()> {
        psql(server, database).stdin_text(sql).changes_only(&[About::Database]).run(self).map(drop)
    }

    /// The same for what takes longer the larger a database is.
    ///
    /// # Errors
    /// At the first statement that fails.
    pub fn sql_at_length(&self, server: &Server, database: &str, sql: &str) -> Result<()> {
        let cmd = psql(server, database).deadline(AT_LENGTH);
        cmd.stdin_text(sql).changes_only(&[About::Database]).run(self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_as_the_kernel_lists_them() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 23 /run/postgresql/.s.PGSQL.5433\n\
            0: 00000003 00000000 00000000 0001 03 24 /run/postgresql/.s.PGSQL.5432\n\
            0: 00000003 00000000 00000000 0001 03 25\n";
        assert_eq!(sockets(text), [(PathBuf::from("/run/postgresql"), 5433)]);
    }
}
