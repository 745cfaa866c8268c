//! A database as a stream: out by `pg_dump`, in by `pg_restore`, both of the server's own major.
//!
//! An older client refuses the server; a newer one writes what the server itself would refuse.

use crate::error::{Failure, Result};
use crate::host::postgres::Server;
use crate::host::run::{Cmd, find};
use crate::host::session::Session;
use crate::host::{Reader, Writer};
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A database of any size is through by then.
const LIMIT: Duration = Duration::from_secs(6 * 3600);
/// A migration that holds its locks for longer ends the backup instead of hanging it.
const LOCK_WAIT: &str = "--lock-wait-timeout=60s";

fn client(server: &Server, name: &str) -> Result<String> {
    let major = server.major();
    let own = [
        format!("/usr/lib/postgresql/{major}/bin/{name}"),
        format!("/usr/pgsql-{major}/bin/{name}"),
    ];
    let in_path = || find(name).map(|path| path.display().to_string());
    own.into_iter().find(|path| find(path).is_some()).or_else(in_path).ok_or_else(|| {
        Failure::new(
            "looking for",
            name,
            format!("the client of PostgreSQL {major} is not installed"),
        )
        .next(format!("apt-get install postgresql-client-{major}"))
    })
}

fn command(server: &Server, name: &str) -> Result<Cmd> {
    let port = server.port.to_string();
    let socket = server.socket_dir.display().to_string();
    let cmd = Cmd::new(&client(server, name)?).user(&server.owner).deadline(LIMIT).interruptible();
    Ok(cmd.args(["--no-password", "--host", &socket, "--port", &port]))
}

fn pipe() -> Result<(PipeReader, PipeWriter)> {
    std::io::pipe().map_err(|error| Failure::new("making", "a pipe", error))
}

impl Reader {
    /// Hands a database to `take` as a stream in pg_dump's custom format, as it was when `session`
    /// began. Nothing may be kept of it before this has ended well.
    ///
    /// # Errors
    /// If pg_dump fails, or `take` does.
    pub fn dump<T: Send>(
        &self,
        session: &Session,
        take: impl FnOnce(PipeReader) -> Result<T> + Send,
    ) -> Result<T> {
        let (reader, writer) = pipe()?;
        let cmd = command(&session.server, "pg_dump")?
            .args(["--format=custom", "--compress=0", LOCK_WAIT])
            .arg(format!("--snapshot={}", session.snapshot).as_str())
            .args(["--dbname", &session.database])
            .stdout_file(File::from(OwnedFd::from(writer)))
            .looks_anew()
            .doing("dumping the database", &session.database)
            .next("is it being migrated? authentik-install logs server -n 50");
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| take(reader));
            let dumped = cmd.run(self);
            let taken = taken.join().unwrap_or_else(|_| Err(lost("reading the dump")));
            match (dumped, taken) {
                (Ok(_), taken) => taken,
                (Err(failure), Ok(_)) => Err(failure),
                // Whoever stopped reading knows better why than the one whose pipe broke; but a
                // stream that ended too early says nothing of why.
                (Err(failure), Err(taken)) => match taken.is_cut() {
                    true => Err(failure),
                    false => Err(taken),
                },
            }
        })
    }
}

impl Writer<'_> {
    /// Fills an empty database from a stream in pg_dump's custom format, in one transaction; `role`
    /// owns everything then. If it is to be `silent`, comments are left out.
    ///
    /// # Errors
    /// If pg_restore fails, or `give` does. The database holds nothing then.
    pub fn load_dump(
        &self,
        server: &Server,
        (database, role, silent): (&str, &str, bool),
        give: impl FnOnce(PipeWriter) -> Result<()> + Send,
    ) -> Result<()> {
        let (reader, writer) = pipe()?;
        let role = format!("--role={role}");
        let cmd = command(server, "pg_restore")?
            .args(["--exit-on-error", "--single-transaction", "--no-owner", "--no-acl", &role])
            .args(["--dbname", database])
            .args(silent.then_some("--no-comments"))
            .stdin_file(File::from(OwnedFd::from(reader)))
            .doing("restoring the dump into the database", database)
            .next("authentik-install backup verify --deep");
        std::thread::scope(|scope| {
            let given = scope.spawn(|| give(writer));
            let loaded = cmd.run(self);
            let given = given.join().unwrap_or_else(|_| Err(lost("reading the backup")));
            match (loaded, given) {
                (Ok(_), given) => given,
                // It broke off first, and its words say why; but what was wrong before it is worse.
                (Err(failure), Ok(())) => Err(failure),
                (Err(failure), Err(given)) => match given.is_broken_pipe() {
                    true => Err(failure),
                    false => Err(given),
                },
            }
        })
    }
}

fn lost(doing: &str) -> Failure {
    Failure::new(doing, "the stream", "the thread ended early")
}
