//! Writing in a thread of its own, so that neither a hash nor a disk keeps the next bytes waiting.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Bytes that are handed over at once.
const PIECE: usize = 128 << 10;
/// Pieces that may wait; with the two in hand they are all the memory that this takes.
const WAITING: usize = 8;

/// Takes bytes, and has another thread write them, in their order.
pub(super) struct Behind<W> {
    filling: Vec<u8>,
    pieces: Option<SyncSender<Vec<u8>>>,
    emptied: Receiver<Vec<u8>>,
    /// Nothing once it has told why it ended early.
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Behind<W> {
    /// Has `out` written behind.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn new(out: W) -> io::Result<Self> {
        let (pieces, waiting) = sync_channel(WAITING);
        let (back, emptied) = channel();
        let thread = Builder::new().spawn(move || write_all(out, &waiting, &back))?;
        let filling = Vec::with_capacity(PIECE);
        Ok(Behind { filling, pieces: Some(pieces), emptied, thread: Some(thread) })
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// That of the writer, if it could not take all of it.
    pub fn end(mut self) -> io::Result<W> {
        self.hand_over()?;
        self.joined()
    }

    // A full disk is told at the next piece, or at the end.
    fn hand_over(&mut self) -> io::Result<()> {
        let next = self.emptied.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        let piece = std::mem::replace(&mut self.filling, next);
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok());
        match sent {
            true => Ok(()),
            false => self.joined().and(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn joined(&mut self) -> io::Result<W> {
        self.pieces = None;
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or_else(|| Err(io::Error::other("the thread that writes ended early")))
    }
}

impl<W: Write + Send + 'static> Write for Behind<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filling.len() >= PIECE {
            self.hand_over()?;
        }
        let piece = bytes.get(..PIECE - self.filling.len()).unwrap_or(bytes);
        self.filling.extend_from_slice(piece);
        Ok(piece.len())
    }

    /// What comes in is handed over when there is enough of it, and at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all<W: Write>(
    mut out: W,
    pieces: &Receiver<Vec<u8>>,
    back: &Sender<Vec<u8>>,
) -> io::Result<W> {
    for mut piece in pieces {
        out.write_all(&piece)?;
        piece.clear();
        // Nobody fills it again once the last bytes have come.
        let _ = back.send(piece);
    }
    out.flush()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_written_in_order() {
        let text: Vec<u8> = (0..PIECE * WAITING * 3).map(|n| (n / 1000) as u8).collect();
        let mut behind = Behind::new(Vec::new()).unwrap();
        text.chunks(100_001).for_each(|part| behind.write_all(part).unwrap());
        assert!(behind.end().unwrap() == text);
    }

    #[derive(Debug)]
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_told_by_its_name() {
        let mut behind = Behind::new(Full).unwrap();
        let written = (0..WAITING + 3).try_for_each(|_| behind.write_all(&[0; PIECE]));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let mut behind = Behind::new(Full).unwrap();
        behind.write_all(b"little").unwrap();
        assert_eq!(behind.end().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
