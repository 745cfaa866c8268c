//! A part of a backup: a stream that is hashed, compressed, encrypted where that is wanted, and
//! hashed again on its way to the disk; and the same way back.

use super::behind::Behind;
use super::manifest::{Part, Sum};
use crate::error::{Failure, Result};
use crate::host::files::hex;
use crate::names::Recipient;
use age::stream::{StreamReader, StreamWriter};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use zstd::zstd_safe::CParameter;

/// How hard zstd tries. Most files are pictures, which nothing packs further; a dump loses a tenth, and
/// the next level takes twice the time.
const LEVEL: i32 = 1;
/// What one thread takes at a time; its own choice would take four times the memory.
const PIECE: u32 = 2 << 20;
/// Beside the thread that reads and hashes.
const WORKERS: u32 = 2;
/// As much as stays near a core between being read, hashed and packed.
const BUFFER: usize = 128 << 10;

/// Counts and hashes what goes through.
pub(super) struct Hashing<T> {
    inner: T,
    hasher: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    pub fn new(inner: T) -> Self {
        Hashing { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// What went through, and who it came from or went to.
    pub fn end(self) -> (Sum, T) {
        let sha256 = hex(&self.hasher.finalize());
        (Sum { bytes: self.bytes, sha256 }, self.inner)
    }

    fn note(&mut self, seen: &[u8]) {
        self.hasher.update(seen);
        self.bytes += seen.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.note(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// On its way to the disk, hashed.
type Out<W> = Behind<Hashing<W>>;

/// Encrypted or as it is.
enum Sealed<W: Write + Send + 'static> {
    No(Out<W>),
    Yes(StreamWriter<Out<W>>),
}

impl<W: Write + Send + 'static> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sealed::No(inner) => inner.write(bytes),
            Sealed::Yes(inner) => inner.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sealed::No(inner) => inner.flush(),
            Sealed::Yes(inner) => inner.flush(),
        }
    }
}

/// A part that is being written.
pub(super) struct Sink<W: Write + Send + 'static> {
    name: String,
    packer: zstd::Encoder<'static, Sealed<W>>,
    holds: Behind<Hashing<io::Sink>>,
}

impl<W: Write + Send + 'static> Sink<W> {
    /// Begins a part; with recipients nobody but them can read it.
    ///
    /// # Errors
    /// If the disk is full, or a recipient is none.
    pub fn new(name: &str, out: W, recipients: &[Recipient]) -> Result<Self> {
        let fail = |error: io::Error| Failure::new("writing", name, error);
        let out = Behind::new(Hashing::new(out)).map_err(fail)?;
        let keys =
            recipients.iter().map(Recipient::key).collect::<std::result::Result<Vec<_>, _>>();
        let keys = keys.map_err(|why| Failure::new("encrypting", name, why))?;
        let sealed = match age::Encryptor::with_recipients(keys.iter().map(|key| &**key as _)) {
            Err(_) if recipients.is_empty() => Sealed::No(out),
            // Never in the clear what was to be encrypted.
            Err(error) => return Err(Failure::new("encrypting", name, error.to_string())),
            Ok(encryptor) => Sealed::Yes(encryptor.wrap_output(out).map_err(fail)?),
        };
        let mut packer = zstd::Encoder::new(sealed, LEVEL).map_err(fail)?;
        // A flipped bit and a cut end are errors then, also to `zstd -t`.
        packer.include_checksum(true).map_err(fail)?;
        packer.multithread(WORKERS).map_err(fail)?;
        packer.set_parameter(CParameter::JobSize(PIECE)).map_err(fail)?;
        let holds = Behind::new(Hashing::new(io::sink())).map_err(fail)?;
        Ok(Sink { name: name.to_owned(), packer, holds })
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn end(self) -> Result<(Part, W)> {
        let fail = |error: io::Error| Failure::new("writing", &self.name, error);
        let (holds, _) = self.holds.end().map_err(fail)?.end();
        let out = match self.packer.finish().map_err(fail)? {
            Sealed::No(out) => out,
            Sealed::Yes(stream) => stream.finish().map_err(fail)?,
        };
        let (stored, out) = out.end().map_err(fail)?.end();
        Ok((Part { name: self.name, stored, holds }, out))
    }
}

impl<W: Write + Send + 'static> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let packed = self.packer.write(bytes)?;
        self.holds.write_all(bytes.get(..packed).unwrap_or_default())?;
        Ok(packed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.packer.flush()
    }
}

/// Copies a stream, with a large buffer, and calls `between` after each piece.
pub(super) fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    mut between: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<u64> {
    let (mut buffer, mut bytes) = (vec![0_u8; BUFFER], 0);
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(bytes);
        };
        to.write_all(piece)?;
        bytes += read as u64;
        between(read as u64)?;
    }
}

type Opened = BufReader<File>;

enum Unsealed {
    No(Opened),
    Yes(Box<StreamReader<Opened>>),
}

impl Read for Unsealed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Unsealed::No(inner) => inner.read(buffer),
            Unsealed::Yes(inner) => inner.read(buffer),
        }
    }
}

/// A part that is being read.
pub(super) struct Source {
    name: String,
    unpacker: Hashing<zstd::Decoder<'static, BufReader<Unsealed>>>,
}

impl Source {
    /// Opens a part.
    ///
    /// # Errors
    /// If it is encrypted and none of the identities fits, or it is no such thing.
    pub fn new(
        name: &str,
        file: File,
        identities: &[Box<dyn age::Identity + Send + Sync>],
    ) -> Result<Self> {
        let damaged = |why: String| super::damaged(name, why);
        let opened = BufReader::with_capacity(BUFFER, file);
        let unsealed = match name.ends_with(".age") {
            false => Unsealed::No(opened),
            true => {
                let decryptor =
                    age::Decryptor::new(opened).map_err(|error| damaged(error.to_string()))?;
                let keys = identities.iter().map(|key| &**key as &dyn age::Identity);
                let stream = decryptor.decrypt(keys).map_err(|error| super::no_key(name, error))?;
                Unsealed::Yes(Box::new(stream))
            }
        };
        let unpacker = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, unsealed))
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Source { name: name.to_owned(), unpacker: Hashing::new(unpacker) })
    }

    /// Reads what is left, and refuses what is not what the manifest says of the part.
    ///
    /// # Errors
    /// If it is cut or broken, or holds something else.
    pub fn end_as(mut self, part: &Part, go_on: impl Fn(u64) -> io::Result<()>) -> Result<()> {
        let damaged = |error: io::Error| super::damaged(&self.name, error.to_string());
        copy(&mut self.unpacker, &mut io::sink(), &go_on).map_err(damaged)?;
        let (holds, unpacker) = self.unpacker.end();
        // Only at its very end is an encrypted stream known to be whole.
        copy(&mut unpacker.finish(), &mut io::sink(), &go_on).map_err(damaged)?;
        match holds == part.holds {
            true => Ok(()),
            false => Err(super::damaged(&self.name, "it holds something else")),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.unpacker.read(buffer)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make what the code must find")]
mod tests {
    use super::*;

    fn round(recipients: &[Recipient], identities: &[Box<dyn age::Identity + Send + Sync>]) {
        let name = if recipients.is_empty() { "x.zst" } else { "x.zst.age" };
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let text: Vec<u8> = (0..1_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut sink = Sink::new(name, File::create(&path).unwrap(), recipients).unwrap();
        copy(&mut text.as_slice(), &mut sink, |_| Ok(())).unwrap();
        let (part, _) = sink.end().unwrap();
        assert_eq!(part.holds.bytes, 4_000_000);
        assert_eq!(part.stored.bytes, std::fs::metadata(&path).unwrap().len());
        let mut back = Vec::new();
        let mut source = Source::new(name, File::open(&path).unwrap(), identities).unwrap();
        source.read_to_end(&mut back).unwrap();
        source.end_as(&part, |_| Ok(())).unwrap();
        assert_eq!(back, text);
        let other = Part { holds: Sum::default(), ..part.clone() };
        let source = Source::new(name, File::open(&path).unwrap(), identities).unwrap();
        assert!(source.end_as(&other, |_| Ok(())).is_err());
        // Cut, it is an error, not an end.
        let half = std::fs::read(&path).unwrap();
        std::fs::write(&path, &half[..half.len() - 5]).unwrap();
        let source = Source::new(name, File::open(&path).unwrap(), identities).unwrap();
        assert!(source.end_as(&part, |_| Ok(())).is_err());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_goes_in_comes_out() {
        round(&[], &[]);
        let key = age::x25519::Identity::generate();
        let recipient: Recipient = key.to_public().to_string().parse().unwrap();
        round(&[recipient], &[Box::new(key)]);
    }
}
