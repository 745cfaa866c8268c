//! What a backup says of itself. The shape is a promise, numbered by `format`.

use super::owner::{Maps, Owner};
use crate::error::{Exit, Failure, Result};
use crate::settings::input::{DatabaseAuth, UserNamespace};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Number of the shape that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Bytes: a million files are described in less.
pub const LARGEST: u64 = 512 << 20;
/// Name of the file.
pub const NAME: &str = "manifest.json";

/// Size and SHA-256 of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Bytes.
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

/// A file of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// As it lies there.
    pub stored: Sum,
    /// What it holds, decrypted and unpacked.
    pub holds: Sum,
}

/// The authentik that was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentik {
    /// The version that the settings say.
    pub version: String,
    /// The newest version that has migrated the database.
    pub migrated_by: Option<String>,
    /// The image, without tag.
    pub image: String,
    /// Its digest.
    pub digest: Option<String>,
}

/// The database that was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgresql {
    /// `server_version_num`.
    pub version: u32,
    /// Name of the database.
    pub database: String,
    /// Role that owns it.
    pub role: String,
    /// Encoding, in PostgreSQL's words.
    pub encoding: String,
    /// Locale provider: `b` builtin, `c` libc, `i` ICU.
    pub provider: String,
    /// Locale.
    pub locale: Option<String>,
    /// Size in bytes, as the server counts it.
    pub bytes: u64,
    /// Extensions and their versions.
    pub extensions: BTreeMap<String, String>,
    /// Schemas.
    pub schemas: Vec<String>,
    /// Rows of each table, at the very moment of the dump.
    pub rows: BTreeMap<String, u64>,
}

/// A folder that files are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRow {
    /// Its name here, which paths in the archives begin with.
    pub name: String,
    /// Where it was.
    pub path: PathBuf,
}

/// What a name in a tree was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Tree and path, divided by slashes.
    pub path: String,
    /// What it is.
    pub kind: RowKind,
    /// Owner.
    pub owner: Owner,
    /// Group.
    pub group: Owner,
    /// Permission bits, in octal.
    pub mode: String,
    /// Last change of the content: seconds and nanoseconds since 1970 (UTC).
    pub modified: (i64, u32),
    /// Bytes and SHA-256 of a file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Sum>,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
}

impl FileRow {
    /// Name of the tree that it is of.
    pub fn tree(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Permission bits.
    pub fn bits(&self) -> u32 {
        u32::from_str_radix(&self.mode, 8).unwrap_or(0o600)
    }
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of this shape.
    pub format: u32,
    /// Name of the backup.
    pub id: String,
    /// When it was begun.
    pub time: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Version of the program that made it.
    pub program: String,
    /// Name of the host.
    pub host: String,
    /// The public name.
    pub domain: String,
    /// The service user.
    pub user: String,
    /// What somebody called it.
    pub tag: Option<String>,
    /// Did authentik stand still while it was made?
    pub quiesced: bool,
    /// authentik.
    pub authentik: Authentik,
    /// What the image's user was on the host.
    pub user_namespace: UserNamespace,
    /// Whose the numbers in access lists are.
    #[serde(default)]
    pub maps: Option<Maps>,
    /// How authentik logged in to PostgreSQL.
    pub database_auth: DatabaseAuth,
    /// The database.
    pub postgresql: Postgresql,
    /// Who can decrypt it; nobody needs to where this is empty.
    pub recipients: Vec<String>,
    /// The files of the backup.
    pub parts: Vec<Part>,
    /// Where the trees were.
    pub trees: Vec<TreeRow>,
    /// What could not be backed up as it should.
    pub warnings: Vec<String>,
    /// What is in the archives.
    pub files: Vec<FileRow>,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// With [`Exit::Damaged`] if it is broken, or [`Exit::Unfit`] if a newer version wrote it.
    pub fn parse(text: &[u8], shown: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let broken = |error: serde_json::Error| super::damaged(shown, error.to_string());
        if text.len() as u64 > LARGEST {
            return Err(super::damaged(shown, "it is larger than any backup's"));
        }
        let Format { format } = serde_json::from_slice(text).map_err(broken)?;
        if format > FORMAT {
            let why = format!("it has the format {format}, and this version knows {FORMAT}");
            let failure = Failure::new("reading the backup", shown, why);
            return Err(failure
                .next("use a newer authentik-install: authentik-install --version")
                .exit(Exit::Unfit));
        }
        serde_json::from_slice(text).map_err(broken)
    }

    /// The part whose name begins so.
    pub fn part(&self, start: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name.starts_with(start))
    }

    /// Bytes on disk.
    pub fn stored(&self) -> u64 {
        self.parts.iter().map(|part| part.stored.bytes).sum()
    }
}
