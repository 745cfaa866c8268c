//! Telling somebody outside: a program of the administrator's, or a web address.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::http::Client;
use crate::host::outside::Outside;
use crate::secret::Secret;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

impl Reader {
    /// Hands a document to a program, on its standard input.
    ///
    /// # Errors
    /// If others than root could change the program, or it ends with something else than 0.
    pub fn hand_to(&self, program: &Path, document: &str) -> Result<()> {
        let shown = program.display().to_string();
        let program = program.to_owned();
        let outside = Outside { program, input: document, limit: LIMIT, ..Outside::default() };
        self.run_outside(("telling", &shown), &outside).map(drop)
    }

    /// Posts a JSON document to the URL that a file holds. The URL is a secret: it is never told.
    ///
    /// # Errors
    /// If the file cannot be used, or the document is not taken.
    pub fn post_to(&self, url_file: &Path, document: &str) -> Result<()> {
        let fail = |why: String| Failure::new("posting to the URL in", url_file.display(), why);
        let file = self.read(url_file)?.ok_or_else(|| fail("there is no such file".into()))?;
        self.refuse_readable(url_file)?;
        let url = Secret::from_file_bytes(&file.bytes).map_err(fail)?;
        let answer = Client::anywhere(self, &url, LIMIT).post_text("", document);
        match answer.map_err(|why| fail(why.replace(url.expose(), "the URL")))?.status {
            200..=299 => Ok(()),
            status => Err(fail(format!("status {status}"))),
        }
    }
}
