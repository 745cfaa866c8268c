//! Releases of this program: asked for, compared with what was signed, and put in its place.

use crate::error::{Exit, Failure, Result};
use crate::host::files::{Perms, hex};
use crate::host::http::Client;
use crate::host::openat::{Trust, failure, parent_of, split};
use crate::host::run::Cmd;
use crate::host::{Reader, Writer};
use minisign_verify::{PublicKey, Signature};
use rustix::fs::{AtFlags, fsync, linkat, renameat, unlinkat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A slow line takes its time.
const LIMIT: Duration = Duration::from_secs(900);
/// Bytes; no release is that large.
const LARGEST: u64 = 64 << 20;

/// Where releases are.
#[derive(Debug)]
pub struct Site {
    client: Client,
    base: String,
}

/// Compares a text with its signature, and gives the comment that is signed with it.
///
/// # Errors
/// With [`Exit::Damaged`] if it is not what was signed by that key.
pub fn signed(text: &[u8], signature: &str, key: &str) -> Result<String> {
    let refused = |why: String| {
        Failure::new("comparing", "the signature of the releases", why)
            .next("do not use it; is somebody between this host and the releases?")
            .exit(Exit::Damaged)
    };
    let key = PublicKey::from_base64(key).map_err(|error| {
        Failure::new("reading", "the public key", error.to_string())
            .next("give the second line of minisign.pub")
            .exit(Exit::Usage)
    })?;
    let signature = Signature::decode(signature).map_err(|error| refused(error.to_string()))?;
    key.verify(text, &signature, false).map_err(|error| refused(error.to_string()))?;
    Ok(signature.trusted_comment().to_owned())
}

impl Site {
    /// Releases below `base`. Plain HTTP is for a server on this very machine.
    ///
    /// # Errors
    /// With [`Exit::Usage`] if it is not HTTPS.
    pub fn of(host: &Reader, base: &str) -> Result<Self> {
        let own = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        let is_own = own.iter().any(|start| base.starts_with(start));
        if base.contains('@') || !(is_own || base.starts_with("https://")) {
            return Err(Failure::new("asking for releases at", base, "it is not https")
                .next("give --base-url https://…, without a user in it")
                .exit(Exit::Usage));
        }
        let base = format!("{}/latest/download", base.trim_end_matches('/'));
        Ok(Site { client: Client::releases(host, &base, !is_own, LIMIT), base })
    }

    /// A small file of the newest release.
    ///
    /// # Errors
    /// If it does not come.
    pub fn text(&self, name: &str) -> Result<String> {
        let answer = self.client.get(&format!("/{name}")).map_err(|why| self.fail(name, why))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(self.fail(name, format!("status {status}"))),
        }
    }

    fn fail(&self, name: &str, why: String) -> Failure {
        let url = format!("{}/{name}", self.base);
        Failure::new("downloading", &url, why).next(format!("curl -I {url}"))
    }

    // Into a file, and its SHA-256.
    fn download(&self, name: &str, host: &Reader, file: &mut File) -> Result<String> {
        let fail = |why: String| self.fail(name, why);
        let mut body = self.client.stream(&format!("/{name}"), LARGEST).map_err(fail)?;
        let (mut sum, mut piece) = (Sha256::new(), vec![0_u8; 64 << 10]);
        loop {
            host.check_interrupt()?;
            let read = body.read(&mut piece).map_err(|error| fail(error.to_string()))?;
            let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
            sum.update(read);
            file.write_all(read).map_err(|error| fail(error.to_string()))?;
        }
        file.sync_all().map_err(|error| fail(error.to_string()))?;
        Ok(hex(&sum.finalize()))
    }
}

impl Reader {
    /// Where the program lies that runs.
    ///
    /// # Errors
    /// If that is not known.
    pub fn own_path(&self) -> Result<PathBuf> {
        std::env::current_exe()
            .map_err(|error| Failure::new("looking for", "the program that runs", error))
    }
}

impl Writer<'_> {
    /// Downloads the program beside the one that runs, tries it, and puts it in its place; the one before
    /// stays under its name with `.previous`.
    ///
    /// # Errors
    /// If it is not what the sums say, or does not run here as that version. What there was is untouched.
    pub fn replace_program(
        &self,
        site: &Site,
        (asset, sum): (&str, &str),
        (path, version): (&Path, &str),
    ) -> Result<()> {
        let (_, name) = split(path)?;
        let new = path.with_file_name(format!(".{}.new", name.display()));
        self.remove(&new)?;
        let made = self.create_file(&new).and_then(|mut file| {
            let found = site.download(asset, self, &mut file)?;
            if found != sum {
                let why = format!("its SHA-256 is {found}, not {sum}");
                return Err(Failure::new("downloading", asset, why)
                    .next("try again; if it stays so, do not use it")
                    .exit(Exit::Damaged));
            }
            // A file that is open for writing cannot be started.
            drop(file);
            self.set_perms(&new, Perms::root(0o755))?;
            self.try_program(&new, version)?;
            swap(&new, path)
        });
        made.map_err(|failure| failure.tidied(self.remove(&new)))
    }

    fn try_program(&self, new: &Path, version: &str) -> Result<()> {
        let program = new.display().to_string();
        let said = Cmd::new(&program).arg("--version").looks_anew().run(self)?;
        match said.split_whitespace().nth(1) == Some(version) {
            true => Ok(()),
            false => {
                let why = format!("it is {}, and {version} was signed", said.trim());
                Err(Failure::new("trying", program, why).exit(Exit::Damaged))
            }
        }
    }
}

fn swap(new: &Path, path: &Path) -> Result<()> {
    let (dir, name) = parent_of(path, Trust::RootOnly)?;
    let (_, new_name) = split(new)?;
    let previous = PathBuf::from(format!("{}.previous", name.display()));
    let fail = |errno| failure("replacing", path, errno);
    match unlinkat(&dir, &previous, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(fail(errno)),
    }
    linkat(&dir, name, &dir, &previous, AtFlags::empty()).map_err(fail)?;
    renameat(&dir, new_name, &dir, name).map_err(fail)?;
    fsync(&dir).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of a key that signs nothing but this.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
        wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

    #[test]
    fn a_signature_is_of_one_text_and_one_key() {
        assert!(signed(b"test", SIGNATURE, KEY).unwrap().contains("file:test"));
        assert_eq!(signed(b"tesT", SIGNATURE, KEY).unwrap_err().exit_code(), Exit::Damaged);
        assert_eq!(signed(b"test", "", KEY).unwrap_err().exit_code(), Exit::Damaged);
        assert_eq!(signed(b"test", SIGNATURE, "x").unwrap_err().exit_code(), Exit::Usage);
        let forged = SIGNATURE.replace("file:test", "file:tesT");
        assert!(signed(b"test", &forged, KEY).is_err());
    }
}
