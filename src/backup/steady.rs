//! A file whose bytes go to the disk while more of them come, so that the wait at its end is short.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The disk is told of a file's bytes whenever so many have come.
const PIECE: u64 = 32 << 20;

/// The file, and the thread that waits for the disk.
pub(super) struct Steady {
    file: File,
    since: u64,
    wake: SyncSender<()>,
    waiting: JoinHandle<io::Result<()>>,
}

impl Steady {
    /// # Errors
    /// If the file has no second handle.
    pub fn new(file: File) -> io::Result<Self> {
        let other = file.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let wait = move || woken.iter().try_for_each(|()| other.sync_data());
        Ok(Steady { file, since: 0, wake, waiting: std::thread::spawn(wait) })
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// If any of it could not be written there: the kernel tells that once, to whoever asks first.
    pub fn end(self) -> io::Result<()> {
        drop(self.wake);
        let lost = || io::Error::other("the thread that waited for the disk ended early");
        self.waiting.join().unwrap_or_else(|_| Err(lost()))?;
        self.file.sync_all()
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since += written as u64;
        if self.since >= PIECE {
            self.since = 0;
            // While it still waits for the last piece it will take this one along.
            let _ = self.wake.try_send(());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make what the code must find")]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_there_at_the_end() {
        let path = std::env::temp_dir().join(format!("steady-{}", std::process::id()));
        let mut steady = Steady::new(File::create(&path).unwrap()).unwrap();
        for piece in 0..9_u8 {
            steady.write_all(&vec![piece; 9 << 20]).unwrap();
        }
        steady.end().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes.len(), 81 << 20);
        assert!((0..9_u8).all(|piece| bytes[usize::from(piece) * (9 << 20)] == piece));
    }

    #[test]
    fn what_the_disk_does_not_take_is_told() {
        // A device that refuses each byte.
        let mut steady = Steady::new(File::create("/dev/full").unwrap()).unwrap();
        assert!(steady.write_all(b"x").is_err());
    }
}
