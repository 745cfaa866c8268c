//! Archives: tar, compressed by zstd.

use crate::error::{Failure, Result};

/// An archive of small files, which root owns and nobody else may read.
///
/// # Errors
/// If a name does not do: a defect.
pub fn of_texts(folder: &str, texts: &[(String, String)], time: u64) -> Result<Vec<u8>> {
    let fail = |error: std::io::Error| Failure::new("packing", folder, error);
    let packer = zstd::Encoder::new(Vec::new(), 0).map_err(fail)?;
    let mut archive = tar::Builder::new(packer);
    for (name, text) in texts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(time);
        archive
            .append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())
            .map_err(fail)?;
    }
    archive.into_inner().and_then(zstd::Encoder::finish).map_err(fail)
}
