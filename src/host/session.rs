//! Connections to PostgreSQL, as the user that owns it, whom it knows without a password. A `psql` for
//! each question would take ten times as long.

use crate::error::{Cause, Failure, Result};
use crate::host::Reader;
use crate::host::openat::as_user;
use crate::host::postgres::{Server, in_words, json, socket};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Connections that nobody uses at the moment, by socket and database.
#[derive(Default)]
pub(in crate::host) struct Sessions(Mutex<BTreeMap<String, Vec<Client>>>);

impl Sessions {
    fn take(&self, name: &str) -> Option<Client> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.get_mut(name)?.pop().filter(|client| !client.is_closed())
    }

    fn keep(&self, name: String, client: Client) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(name).or_default().push(client);
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

/// A database held still: everything asked in it, and every dump of it, sees the same moment.
pub struct Session {
    /// The server.
    pub server: Server,
    /// The database.
    pub database: String,
    /// The name that others share the moment by, as long as this lives.
    pub snapshot: String,
    client: Client,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({} {})", self.database, self.snapshot)
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
/// Counting the rows of a large database takes its time; a lock that is held is told of by then.
const LONG: Duration = Duration::from_secs(3600);
const STILL: &str = "SET lock_timeout = '60s'; SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0; \
     BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT to_json(pg_export_snapshot())";

impl Reader {
    /// Asks one question; a database that does not exist answers nothing.
    pub(in crate::host) fn ask(
        &self,
        server: &Server,
        database: &str,
        sql: &str,
    ) -> Result<String> {
        let name = format!("{} {database}", socket(&server.socket_dir, server.port).display());
        // Both are one transaction.
        let read_only = format!("SET TRANSACTION READ ONLY; {sql}");
        let work = async {
            let client = match self.sessions.take(&name) {
                Some(client) => Some(client),
                None => open(server, database).await?,
            };
            let Some(client) = client else { return Ok(String::new()) };
            let answer = ask(&client, server, &read_only).await?;
            // A look that has to end soon asks much; a change must find nobody connected.
            if self.until.is_some() {
                self.sessions.keep(name.clone(), client);
            }
            Ok(answer)
        };
        self.in_time(server, self.patience(PATIENCE), work)
    }

    /// Holds a database still, as its administrator; `None` if there is no such database.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn hold_still(&self, server: &Server, database: &str) -> Result<Option<Session>> {
        let work = async {
            let Some(client) = open(server, database).await? else { return Ok(None) };
            let name: Option<String> = json(&ask(&client, server, STILL).await?)?;
            let (server, database) = (server.clone(), database.to_owned());
            Ok(name.map(|snapshot| Session { server, database, snapshot, client }))
        };
        self.in_time(server, PATIENCE, work)
    }

    /// Asks for one JSON value, as of the moment that the database is held at.
    ///
    /// # Errors
    /// If the server does not answer, or answers something of another shape.
    pub fn ask_still<T: DeserializeOwned>(&self, session: &Session, sql: &str) -> Result<T> {
        let Session { server, client, .. } = session;
        let text = self.in_time(server, LONG, ask(client, server, sql))?;
        json(&text)?.ok_or_else(|| failed(server, "it answered nothing".into()))
    }

    fn in_time<T>(
        &self,
        server: &Server,
        limit: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.runtime()
            .block_on(async { tokio::time::timeout(limit, work).await })
            .unwrap_or_else(|_| Err(failed(server, Cause::Deadline(limit).to_string())))
    }
}

fn failed(server: &Server, cause: String) -> Failure {
    let path = socket(&server.socket_dir, server.port);
    Failure::new("asking PostgreSQL at", path.display(), cause)
        .next("is PostgreSQL running? systemctl list-units 'postgresql*'")
}

async fn ask(client: &Client, server: &Server, sql: &str) -> Result<String> {
    let rows = client.simple_query(sql).await;
    let rows = rows.map_err(|error| failed(server, in_words(&error)))?;
    let first = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(first.unwrap_or_default().to_owned())
}

async fn open(server: &Server, database: &str) -> Result<Option<Client>> {
    let path = socket(&server.socket_dir, server.port);
    let stream = as_user(&server.owner, || {
        connect(&path).map_err(|errno| match errno {
            Errno::AGAIN => {
                failed(server, "it takes no more connections, or does not run on".into())
            }
            errno => failed(server, errno.to_string()),
        })
    })?;
    let stream = tokio::net::UnixStream::from_std(stream)
        .map_err(|error| failed(server, error.to_string()))?;
    let mut config = tokio_postgres::Config::new();
    config.dbname(database).user(&server.owner.name).application_name("authentik-install");
    match config.connect_raw(stream, tokio_postgres::NoTls).await {
        Ok((client, connection)) => {
            // It ends with the client.
            drop(tokio::spawn(connection));
            Ok(Some(client))
        }
        Err(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => Ok(None),
        Err(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => {
            Err(failed(server, in_words(&error)).next(
                "see who holds them: ps -u postgres -o args; end them, or raise max_connections in postgresql.conf",
            ))
        }
        Err(error) => Err(failed(server, in_words(&error))),
    }
}

// Never waits: a server that is stopped would let the queue of its socket run full.
fn connect(path: &Path) -> rustix::io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd.into())
}
