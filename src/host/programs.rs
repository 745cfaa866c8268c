//! Programs that are installed, their versions, and who listens where.

use crate::error::Result;
use crate::host::Reader;
use crate::host::memo::About;
use crate::host::run::{Cmd, find};
use std::path::Path;
use std::time::Duration;

impl Reader {
    /// Is there a program of this name, in the system's folders or among Podman's helpers?
    pub fn has_program(&self, name: &str) -> bool {
        let helpers = ["/usr/libexec/podman", "/usr/lib/podman", "/usr/libexec/catatonit"];
        find(name).is_some() || helpers.iter().any(|dir| Path::new(dir).join(name).is_file())
    }

    /// Does a user's manager get a bus of its own here?
    pub fn has_user_bus(&self) -> bool {
        ["/usr/lib/systemd/user/dbus.socket", "/etc/systemd/user/dbus.socket"]
            .iter()
            .any(|path| Path::new(path).exists())
    }

    /// The first version number that a program prints; `None` if it is not installed.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn program_version(&self, program: &str, args: &[&str]) -> Result<Option<String>> {
        if find(program).is_none() {
            return Ok(None);
        }
        let text = Cmd::new(program).args(args.iter().copied()).asks(About::Machine).run(self)?;
        Ok(Some(first_version(&text).unwrap_or_else(|| "of unknown version".into())))
    }

    /// The first line that a program prints.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn first_line(&self, program: &str, args: &[&str]) -> Result<String> {
        let text = Cmd::new(program).args(args.iter().copied()).asks(About::Machine).run(self)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Does a program gain rights when it starts, by its setuid bit or a capability?
    pub fn is_privileged(&self, program: &str) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let Some(path) = find(program) else { return false };
        let setuid =
            std::fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o4000 != 0);
        setuid || rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64]).is_ok()
    }

    /// Bytes that the files of a folder hold, on its own file system. Links are not followed.
    ///
    /// # Errors
    /// If they cannot be counted in time.
    pub fn size_of(&self, path: &Path) -> Result<u64> {
        let text = Cmd::new("du").args(["-sxb", "--"]).arg(path).looks_anew().run(self)?;
        super::parse("counting the bytes in", &path.display().to_string(), {
            text.split_whitespace().next().unwrap_or_default()
        })
    }

    /// systemd's version.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn systemd_version(&self) -> Result<String> {
        let text = Cmd::new("systemctl").arg("--version").asks(About::Machine).run(self)?;
        Ok(text.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned())
    }

    /// Names of the programs that listen on a TCP port, on any address.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn listeners(&self, port: u16) -> Result<Vec<String>> {
        let end = format!(":{port}");
        let holds =
            |line: &&str| line.split_whitespace().nth(4).is_some_and(|at| at.ends_with(&end));
        let names = |text: &str| text.lines().filter(holds).map(listener).collect::<Vec<_>>();
        let mut found = names(&self.listening()?);
        // Behind a port of what is just starting or ending no process is seen for a moment.
        for _ in 0..10 {
            if !found.iter().any(|name| name == UNKNOWN) {
                break;
            }
            self.pause(Duration::from_millis(200))?;
            found = names(&listening().looks_anew().run(self)?);
        }
        Ok(found)
    }

    /// What listens on Unix and TCP sockets, a line each, with its process; the fifth word is the
    /// address.
    pub(in crate::host) fn listening(&self) -> Result<String> {
        listening().asks(About::Units).run(self)
    }
}

const UNKNOWN: &str = "an unknown program";

fn listening() -> Cmd {
    Cmd::new("ss").args(["-Hlxtnp"])
}

// users:(("caddy",pid=1,fd=7))
fn listener(line: &str) -> String {
    line.split_once("((\"")
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or(UNKNOWN)
        .to_owned()
}

pub(in crate::host) fn first_version(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || c == '=')
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(|word| word.trim_end_matches([',', ';']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_programs_print_them() {
        let cases = [
            ("podman version 5.4.2\n", "5.4.2"),
            ("crun version 1.21\ncommit: 10269840\n", "1.21"),
            ("2.6.2\n", "2.6.2"),
            ("v2.11.4 h1:abc=\n", "2.11.4"),
            ("Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0\n", "8.1.1"),
        ];
        for (text, version) in cases {
            assert_eq!(first_version(text).as_deref(), Some(version), "{text}");
        }
    }

    #[test]
    fn listeners_as_ss_prints_them() {
        let line = r#"tcp LISTEN 0 4096 *:443 *:* users:(("caddy",pid=153,fd=7))"#;
        assert_eq!(listener(line), "caddy");
        assert_eq!(listener("tcp LISTEN 0 4096 *:443 *:*"), "an unknown program");
    }
}
