//! The host's Caddy: its unit, its Caddyfile, and the configuration it runs.

use crate::error::{Exit, Failure, Result};
use crate::host::accounts::Account;
use crate::host::memo::About;
use crate::host::programs::first_version;
use crate::host::run::{Cmd, find};
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A running Caddy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caddy {
    /// The user it runs as.
    pub user: Account,
    /// The Caddyfile that its unit names.
    pub caddyfile: PathBuf,
}

/// Its systemd unit.
pub const UNIT: &str = "caddy.service";
// More files than any Caddyfile imports.
const MOST_FILES: usize = 256;

impl Reader {
    /// The version of the `caddy` program; `None` if it is not installed.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn caddy_version(&self) -> Result<Option<String>> {
        if find("caddy").is_none() {
            return Ok(None);
        }
        // Asked as root even this makes a folder (.step) in root's home.
        let nobody = match nix::unistd::Uid::effective().is_root() {
            true => self.account("nobody")?,
            false => None,
        };
        let cmd = Cmd::new("caddy").arg("version");
        let text = match &nobody {
            Some(account) => cmd.user(account).asks(About::Machine).run(self)?,
            None => cmd.asks(About::Machine).run(self)?,
        };
        Ok(Some(first_version(&text).unwrap_or_else(|| "of unknown version".into())))
    }

    /// Caddy as its unit describes it, or `None` if there is no such unit.
    ///
    /// # Errors
    /// If systemd cannot be asked, or the unit reads no Caddyfile.
    pub fn caddy(&self) -> Result<Option<Caddy>> {
        let unit = self.unit_properties(UNIT, ("LoadState,User,ExecStart", About::Proxy))?;
        let text = |key: &str| unit.get(key).map_or("", String::as_str);
        if text("LoadState") != "loaded" || find("caddy").is_none() {
            return Ok(None);
        }
        let name = Some(text("User")).filter(|user| !user.is_empty()).unwrap_or("root");
        let Some(user) = self.account(name)? else { return Ok(None) };
        let words: Vec<&str> = text("ExecStart").split_whitespace().collect();
        let named = words.windows(2).find_map(|pair| match pair {
            ["--config" | "-c", path] => Some(*path),
            _ => None,
        });
        match named {
            Some(path) => Ok(Some(Caddy { user, caddyfile: path.into() })),
            None => Err(Failure::new("reading the unit", UNIT, "it names no Caddyfile (--config)")
                .next("systemctl cat caddy.service")
                .exit(Exit::Unfit)),
        }
    }

    /// The configuration that a Caddyfile on disk means.
    ///
    /// # Errors
    /// With Caddy's own words, file and line, if it means nothing.
    pub fn caddy_adapt(&self, caddy: &Caddy) -> Result<Value> {
        adapted(self.adapt(caddy)?.arg(&caddy.caddyfile).asks(About::Proxy).run(self))
    }

    /// The configuration that a text means, if it were the Caddyfile. Relative imports in it are
    /// not found this way.
    ///
    /// # Errors
    /// With Caddy's own words if it means nothing.
    pub fn caddy_adapt_text(&self, caddy: &Caddy, text: &str) -> Result<Value> {
        let file = memory_file(text)?;
        adapted(self.adapt(caddy)?.arg("/dev/stdin").stdin_file(file).looks_anew().run(self))
    }

    // As the user that Caddy runs as: as root it would leave a folder in root's home behind.
    fn adapt(&self, caddy: &Caddy) -> Result<Cmd> {
        let args = ["adapt", "--adapter", "caddyfile", "--config"];
        let mut cmd = Cmd::new("caddy").user(&caddy.user).args(args);
        for (name, value) in self.caddy_variables(caddy)? {
            cmd = cmd.env(&name, value);
        }
        Ok(cmd)
    }

    // Those that the Caddyfile and what it imports name, as Caddy has them. It could write others into its
    // own memory, such as those that the loader of a program obeys: no name is taken from there.
    fn caddy_variables(&self, caddy: &Caddy) -> Result<Vec<(String, String)>> {
        let mut names = Vec::new();
        let (mut seen, mut next) = (BTreeSet::new(), vec![caddy.caddyfile.clone()]);
        while let Some(path) = next.pop() {
            if seen.len() >= MOST_FILES || !seen.insert(path.clone()) {
                continue;
            }
            // What cannot be read here is told by Caddy, which reads it itself.
            let Ok(Some(file)) = self.read(&path) else { continue };
            let Ok(text) = file.text() else { continue };
            names.extend(variables(&text));
            let folder = path.parent().unwrap_or(Path::new("/"));
            next.extend(imports(&text).flat_map(|pattern| self.matches(&folder.join(pattern))));
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let unit = self.unit_properties(UNIT, ("MainPID", About::Proxy))?;
        let pid = unit.get("MainPID").map_or("0", String::as_str);
        let known = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let known = String::from_utf8_lossy(&known);
        let pairs = known.split('\0').filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(name, _)| names.iter().any(|wanted| wanted == name));
        Ok(named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    // The files that a pattern with a star in its last part means.
    fn matches(&self, pattern: &Path) -> Vec<PathBuf> {
        let (folder, name) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()));
        let (Some(folder), Some((head, tail))) =
            (folder, name.and_then(|name| name.split_once('*')))
        else {
            return vec![pattern.to_owned()];
        };
        let long = head.len() + tail.len();
        let fits =
            |name: &String| name.len() >= long && name.starts_with(head) && name.ends_with(tail);
        let names = self.names_in(folder).unwrap_or_default().into_iter().filter(fits);
        names.map(|name| folder.join(name)).collect()
    }

    /// The configuration that Caddy runs, from its admin endpoint.
    ///
    /// # Errors
    /// If the endpoint does not answer.
    pub fn caddy_running(&self, adapted: &Value) -> Result<Value> {
        let listen =
            adapted.pointer("/admin/listen").and_then(Value::as_str).unwrap_or("localhost:2019");
        let fail = |why: String| {
            Failure::new("asking Caddy's admin endpoint", listen, why)
                .next("systemctl restart caddy.service; systemctl status caddy.service")
        };
        let restart = "then: systemctl restart caddy.service";
        if adapted.pointer("/admin/disabled") == Some(&Value::Bool(true)) {
            let next = format!("take 'admin off' out of the Caddyfile, {restart}");
            return Err(fail("it is switched off".into()).next(next));
        }
        let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let Some(port) = port.filter(|_| !listen.starts_with("unix/")) else {
            let next =
                format!("write 'admin localhost:2019' into the Caddyfile's first block, {restart}");
            return Err(fail("only one on a local TCP port is used".into()).next(next));
        };
        let answer = super::http::Client::local(self, port).get("/config/").map_err(fail)?;
        serde_json::from_str(&answer.body).map_err(|error| fail(error.to_string()))
    }

    /// The root certificate of Caddy's own authority, once it has made one.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn caddy_root(&self, caddy: &Caddy) -> Result<Option<Vec<u8>>> {
        let path = caddy.user.home.join(".local/share/caddy/pki/authorities/local/root.crt");
        Ok(self.read_as(&caddy.user, &path)?.map(|file| file.bytes))
    }
}

impl Writer<'_> {
    /// Makes Caddy take its Caddyfile, without dropping a connection.
    ///
    /// # Errors
    /// If it refuses it; it then goes on with the old one.
    pub fn caddy_reload(&self) -> Result<()> {
        self.unit_job(Manager::System, "reload", &[UNIT], Duration::from_secs(60))
    }
}

// What a Caddyfile imports: files, or snippets of its own, which are no files.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|first| *first == "import").and(words.next())
    })
}

// Names of the variables that a Caddyfile takes values from: {$NAME} or {$NAME:default}.
fn variables(text: &str) -> Vec<String> {
    let rests = text.split("{$").skip(1);
    let names = rests.filter_map(|rest| rest.split([':', '}']).next());
    let is_name = |name: &&str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(letter) && !name.starts_with("LD_")
    };
    names.filter(is_name).map(str::to_owned).collect()
}

// A pipe of root's could not be opened by name as another user; a file in memory can.
fn memory_file(text: &str) -> Result<File> {
    let fail = |error: std::io::Error| Failure::new("preparing a trial for", "caddy", error);
    let fd = rustix::fs::memfd_create("caddyfile", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|errno| fail(errno.into()))?;
    let mut file = File::from(fd);
    file.write_all(text.as_bytes()).and_then(|()| file.rewind()).map_err(fail)?;
    Ok(file)
}

fn adapted(answer: Result<String>) -> Result<Value> {
    let text = answer?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new("reading the answer of", "caddy adapt", error.to_string()))
}
