//! The host's PostgreSQL: asked as its administrator through `psql`, and logged in to as the role
//! itself over the socket.

use crate::error::{Cause, Failure, Result};
use crate::host::accounts::Account;
use crate::host::memo::About;
use crate::host::openat::as_user;
use crate::host::run::{Cmd, Output, find};
use crate::host::{Reader, Writer};
use crate::secret::Secret;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

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
pub const NOBODY: &str = "none listens on a Unix socket";

fn socket(dir: &Path, port: u16) -> PathBuf {
    dir.join(format!(".s.PGSQL.{port}"))
}

// The sockets that PostgreSQL listens on, as the kernel lists them; the usual port first.
fn listening() -> Result<Vec<(PathBuf, u16)>> {
    let list = "/proc/net/unix";
    let text =
        std::fs::read_to_string(list).map_err(|error| Failure::new("reading", list, error))?;
    let mut found = sockets(&text);
    found.sort_by_key(|(_, port)| (*port != USUAL_PORT, *port));
    Ok(found)
}

const USUAL_PORT: u16 = 5432;

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

fn json<T: DeserializeOwned>(text: &str) -> Result<Option<T>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| Failure::new("reading the answer of", "PostgreSQL", error.to_string()))
}

fn in_words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => refusal.message().to_owned(),
        None => error.to_string(),
    }
}

fn psql(owner: &Account, database: &str) -> Cmd {
    Cmd::new("psql")
        .user(owner)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"])
        .next("is PostgreSQL running? systemctl list-units 'postgresql*'")
}

impl Reader {
    /// The running server, or `None` where there is no `psql`. Of several that of the usual port,
    /// or else of the lowest.
    ///
    /// # Errors
    /// If none runs, or it does not answer.
    pub fn postgres(&self) -> Result<Option<Server>> {
        if find("psql").is_none() {
            return Ok(None);
        }
        let Some((socket_dir, port)) = listening()?.into_iter().next() else {
            return Err(Failure::new("looking for", "PostgreSQL", NOBODY)
                .next("systemctl list-units 'postgresql*'"));
        };
        // Debian's is still named below /var/run, which is a link.
        let socket_dir = self.canonical(&socket_dir);
        let path = socket(&socket_dir, port);
        let owner = self.stat(&path)?.map(|meta| meta.perms.uid.to_string());
        let Some(owner) = owner.map(|uid| self.account(&uid)).transpose()?.flatten() else {
            return Err(Failure::new("looking for the owner of", path.display(), "it has none"));
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

    // Connected as the user that owns the server, whom it knows without a password: a `psql` for
    // each question would take ten times as long.
    fn ask(&self, server: &Server, database: &str, sql: &str) -> Result<String> {
        let path = socket(&server.socket_dir, server.port);
        let fail = |cause: String| {
            Failure::new("asking PostgreSQL at", path.display(), cause)
                .next("is PostgreSQL running? systemctl list-units 'postgresql*'")
        };
        let stream = as_user(&server.owner, || {
            connect(&path).map_err(|errno| match errno {
                Errno::AGAIN => fail("it takes no more connections, or does not run on".into()),
                errno => fail(errno.to_string()),
            })
        })?;
        let mut config = tokio_postgres::Config::new();
        config.dbname(database).user(&server.owner.name).application_name("authentik-install");
        let work = async {
            let stream = tokio::net::UnixStream::from_std(stream)
                .map_err(|error| fail(error.to_string()))?;
            let said = |error: tokio_postgres::Error| fail(in_words(&error));
            let connected = config.connect_raw(stream, tokio_postgres::NoTls).await;
            let (client, connection) = match connected {
                Err(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                    return Ok(String::new());
                }
                other => other.map_err(said)?,
            };
            let driver = tokio::spawn(connection);
            let read_only = format!("SET default_transaction_read_only = on; {sql}");
            let answer = client.simple_query(&read_only).await.map_err(said);
            driver.abort();
            let rows = answer?;
            let first = rows.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            Ok(first.unwrap_or_default().to_owned())
        };
        let limit = self.patience(Duration::from_secs(30));
        self.runtime()
            .block_on(async { tokio::time::timeout(limit, work).await })
            .unwrap_or_else(|_| Err(fail(Cause::Deadline(limit).to_string())))
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

// Never waits: a server that is stopped would let the queue of its socket run full.
fn connect(path: &Path) -> rustix::io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd.into())
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
        psql(&server.owner, database)
            .stdin_text(sql)
            .changes_only(&[About::Database])
            .run(self)
            .map(drop)
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
