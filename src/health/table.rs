//! The checks, in the order in which they are told.

use super::Severity::{Critical, Warning};
use super::{Check, Context, Group, Severity};
use super::{accounts, backups, database, files, machine, web, workload};
use crate::checks::Finding;
use crate::error::Result;

const fn check(
    (id, proves): (&'static str, &'static str),
    (group, severity): (Group, Severity),
    run: fn(&Context) -> Result<Finding>,
) -> Check {
    Check { id, group, severity, proves, running: false, slow: false, run }
}

const fn running(check: Check) -> Check {
    Check { running: true, ..check }
}

const fn slow(check: Check) -> Check {
    Check { slow: true, ..check }
}

use Group::{Accounts, Backups, Cache, Database, Files, Host, Secrets, Web, Workload};

/// All of them. Whether each file and unit is as the settings say is told by the resources.
pub(super) const CHECKS: &[Check] = &[
    check(
        ("account", "the service user is there and has not expired"),
        (Accounts, Critical),
        accounts::usable,
    ),
    check(
        ("units-loaded", "the user manager has read the unit files that are there"),
        (Files, Critical),
        files::loaded,
    ),
    check(
        ("image-digest", "the image is the one that the units name by its digest"),
        (Files, Critical),
        files::digest,
    ),
    running(check(
        ("secrets-server", "the server can read every secret that its settings name"),
        (Secrets, Critical),
        files::secrets_server,
    )),
    running(check(
        ("secrets-worker", "the worker can read every secret that its settings name"),
        (Secrets, Critical),
        files::secrets_worker,
    )),
    check(
        ("postgresql", "PostgreSQL runs and answers on its socket"),
        (Database, Critical),
        database::up,
    ),
    check(
        ("hba-errors", "PostgreSQL understands every line of pg_hba.conf"),
        (Database, Critical),
        database::hba_errors,
    ),
    check(
        ("database-schema", "the database was migrated by the version that is installed"),
        (Database, Critical),
        database::schema,
    ),
    check(
        ("database-encoding", "the database keeps UTF-8"),
        (Database, Critical),
        database::encoding,
    ),
    check(
        ("database-collation", "text is sorted by the rules that the indexes were built with"),
        (Database, Warning),
        database::collation,
    ),
    check(
        ("database-connections", "PostgreSQL has connections left"),
        (Database, Critical),
        database::connections,
    ),
    check(
        ("database-locks", "nobody waits long for a lock"),
        (Database, Critical),
        database::locks,
    ),
    check(
        ("database-size", "the database has not grown out of hand"),
        (Database, Warning),
        database::size,
    ),
    check(
        ("cache", "Valkey answers, and keeps what it is given"),
        (Cache, Critical),
        workload::cache,
    ),
    running(check(
        ("cache-socket", "the containers see the very socket that Valkey listens on"),
        (Cache, Critical),
        workload::cache_socket,
    )),
    running(check(
        ("server", "the server's container runs and is healthy"),
        (Workload, Critical),
        workload::server,
    )),
    running(check(
        ("worker", "the worker's container runs and is healthy"),
        (Workload, Critical),
        workload::worker,
    )),
    check(
        ("restarts", "the containers were not started again and again"),
        (Workload, Warning),
        workload::restarts,
    ),
    check(
        ("out-of-memory", "the kernel has killed nothing of it for want of memory"),
        (Workload, Warning),
        workload::oom,
    ),
    running(check(
        ("server-ready", "the server is ready, asked on 127.0.0.1"),
        (Workload, Critical),
        workload::ready,
    )),
    running(check(
        ("server-port", "the port is answered by the server, not by the worker beside it"),
        (Workload, Critical),
        workload::port,
    )),
    running(check(
        ("login-page", "the login page is there and has something on it"),
        (Workload, Critical),
        workload::login_page,
    )),
    running(check(
        ("worker-alive", "the worker has told the database of itself within 90 s"),
        (Workload, Critical),
        workload::worker_alive,
    )),
    running(check(
        ("shared-memory", "/dev/shm of the pod has room"),
        (Workload, Critical),
        workload::shm,
    )),
    running(check(
        ("temporary-files", "the folders for temporary files have room"),
        (Workload, Critical),
        workload::tmp,
    )),
    running(check(
        ("file-descriptors", "the containers are far from their limit of open files"),
        (Workload, Warning),
        workload::descriptors,
    )),
    running(check(
        ("media", "uploads go to the media folder of the host, and can be written"),
        (Workload, Critical),
        workload::media,
    )),
    check(("caddy", "Caddy runs"), (Web, Critical), web::caddy),
    running(check(
        ("https", "authentik answers by HTTPS under the public name"),
        (Web, Critical),
        web::https,
    )),
    check(
        ("certificate", "name and chain of the certificate are good"),
        (Web, Critical),
        web::certificate,
    ),
    check(
        ("certificate-time", "the certificate is good for some time yet"),
        (Web, Critical),
        web::certificate_time,
    ),
    check(("redirect", "plain HTTP leads to HTTPS"), (Web, Critical), web::redirect),
    running(check(
        ("https-links", "authentik takes its own address for https"),
        (Web, Critical),
        web::links,
    )),
    running(check(
        ("client-address", "authentik believes the proxy who the client is"),
        (Web, Critical),
        web::client_address,
    )),
    running(check(("websocket", "WebSockets come through"), (Web, Critical), web::websocket)),
    running(check(
        ("headers", "the headers that protect browsers are there, and none that opens them"),
        (Web, Warning),
        web::headers,
    )),
    check(("disk", "every file system of ours has room"), (Host, Critical), machine::disk),
    check(
        ("inodes", "every file system of ours can take more files"),
        (Host, Critical),
        machine::inodes,
    ),
    check(("memory-free", "memory is left"), (Host, Warning), machine::memory),
    check(("reboot", "no restart of the host is pending"), (Host, Warning), machine::reboot),
    check(
        ("failed-units", "no unit that authentik needs has failed"),
        (Host, Critical),
        machine::failed_units,
    ),
    slow(check(
        ("release", "the installed version is known to be good and still mended"),
        (Host, Warning),
        machine::release,
    )),
    check(
        ("backup-age", "the newest good backup is younger than two periods"),
        (Backups, Critical),
        backups::age,
    ),
    check(
        ("backup-whole", "no backup is known to be damaged"),
        (Backups, Critical),
        backups::whole,
    ),
    check(
        ("backup-run", "the last run of the timer ended well"),
        (Backups, Critical),
        backups::run,
    ),
    check(
        ("backup-space", "there is room for the next backup"),
        (Backups, Critical),
        backups::space,
    ),
    check(
        ("backup-offsite", "the newest good backup has a copy on another machine"),
        (Backups, Warning),
        backups::offsite,
    ),
    check(("restore", "no restore was stopped half-way"), (Backups, Critical), backups::restore),
    check(
        ("backup-proof", "a backup was restored and compared lately"),
        (Backups, Warning),
        backups::proof,
    ),
];
