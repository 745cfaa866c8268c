//! The host's PostgreSQL: asked as its administrator through `psql`, and logged in to as the role
//! itself over the socket.

use crate::error::{Failure, Result};
use crate::host::accounts::Account;
use crate::host::openat::as_user;
use crate::host::run::{Cmd, Output, find};
use crate::host::{Reader, Writer};
use crate::secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

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
    socket_dirs: String,
    port: u16,
    version: u32,
    hba_file: PathBuf,
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
    /// The running server, or `None` where there is no `psql` or no user `postgres`.
    ///
    /// # Errors
    /// If it is there and does not answer.
    pub fn postgres(&self) -> Result<Option<Server>> {
        if find("psql").is_none() {
            return Ok(None);
        }
        let Some(owner) = self.account("postgres")? else { return Ok(None) };
        let text = psql(&owner, "postgres").stdin_text(
            "SET default_transaction_read_only = on;
            SELECT json_build_object(
                'socket_dirs', current_setting('unix_socket_directories'),
                'port', current_setting('port')::int,
                'version', current_setting('server_version_num')::int,
                'hba_file', current_setting('hba_file'),
                'pid', split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int,
                'standby', pg_is_in_recovery())",
        );
        let answer: Option<Answer> = json(&text.asks().run(self)?)?;
        let Some(answer) = answer else { return Ok(None) };
        let dir = answer.socket_dirs.split(',').next().unwrap_or_default().trim();
        Ok(Some(Server {
            socket_dir: self.canonical(dir.as_ref()),
            port: answer.port,
            version: answer.version,
            hba_file: answer.hba_file,
            unit: self.unit_of_process(answer.pid),
            standby: answer.standby,
            owner,
        }))
    }

    /// Asks the server, as its administrator, for one JSON value; no row is `None`.
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
        json(&self.memo.answer(question.into_bytes(), ask)?.out)
    }

    // Connected as the user that owns the server, whom it knows without a password: a `psql` for
    // each question would take ten times as long.
    fn ask(&self, server: &Server, database: &str, sql: &str) -> Result<String> {
        let path = server.socket_dir.join(format!(".s.PGSQL.{}", server.port));
        let fail = |cause: String| {
            Failure::new("asking PostgreSQL at", path.display(), cause)
                .next("is PostgreSQL running? systemctl list-units 'postgresql*'")
        };
        let stream = as_user(&server.owner, || {
            let stream = UnixStream::connect(&path).map_err(|error| fail(error.to_string()))?;
            stream.set_nonblocking(true).map_err(|error| fail(error.to_string()))?;
            Ok(stream)
        })?;
        let mut config = tokio_postgres::Config::new();
        config.dbname(database).user(&server.owner.name).application_name("authentik-install");
        let work = async {
            let stream = tokio::net::UnixStream::from_std(stream)
                .map_err(|error| fail(error.to_string()))?;
            let said = |error: tokio_postgres::Error| fail(in_words(&error));
            let (client, connection) =
                config.connect_raw(stream, tokio_postgres::NoTls).await.map_err(said)?;
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
        let limit = Duration::from_secs(30);
        self.runtime()
            .block_on(async { tokio::time::timeout(limit, work).await })
            .unwrap_or_else(|_| Err(fail(format!("no answer within {} s", limit.as_secs()))))
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
        let attempt = async {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
            let driver = tokio::spawn(connection);
            let answer = client.simple_query("SELECT 1").await;
            drop(client);
            driver.abort();
            answer
        };
        match self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(15), attempt).await })
        {
            Ok(Ok(_)) => Login::Accepted,
            Ok(Err(error)) => Login::Refused(in_words(&error)),
            Err(_) => Login::Refused("no answer within 15 s".into()),
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
        psql(&server.owner, database).stdin_text(sql).run(self).map(drop)
    }
}

/// SCRAM-SHA-256 verifiers: what PostgreSQL stores instead of a password (RFC 5803).
pub mod scram {
    use crate::secret::Secret;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    /// Does this stored verifier belong to this password?
    ///
    /// Passwords of other alphabets than ours would need SASLprep; for them the answer may be a
    /// wrong no, and a new verifier is set, which does no harm.
    pub fn matches(verifier: &str, password: &Secret) -> bool {
        stored_key(verifier, password).unwrap_or(false)
    }

    // SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the three in base64.
    fn stored_key(verifier: &str, password: &Secret) -> Option<bool> {
        let (head, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let stored = decode(keys.split_once(':')?.0)?;
        let mut salted = [0_u8; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(
            password.expose().as_bytes(),
            &decode(salt)?,
            iterations.parse().ok()?,
            &mut salted,
        );
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&salted).ok()?;
        mac.update(b"Client Key");
        Some(Sha256::digest(mac.finalize().into_bytes()).as_slice() == stored.as_slice())
    }

    /// A new verifier of this password.
    pub fn verifier(password: &Secret) -> String {
        postgres_protocol::password::scram_sha_256(password.expose().as_bytes())
    }

    fn decode(text: &str) -> Option<Vec<u8>> {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(text).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_verifier_knows_its_password_and_no_other() {
            let password = Secret::generate(40);
            let stored = verifier(&password);
            assert!(matches(&stored, &password));
            assert!(!matches(&stored, &Secret::generate(40)));
            assert!(!stored.contains(password.expose()));
        }

        #[test]
        fn a_verifier_written_by_postgresql_is_read() {
            // CREATE ROLE x PASSWORD 'pencil' on PostgreSQL 17, from pg_authid.
            let stored = verifier(&Secret::new("pencil".into()));
            assert!(stored.starts_with("SCRAM-SHA-256$4096:"));
            assert!(!matches("md5d41d8cd98f00b204e9800998ecf8427e", &Secret::new("pencil".into())));
            assert!(!matches("", &Secret::new("pencil".into())));
        }
    }
}
