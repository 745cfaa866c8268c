//! Public keys that backups are encrypted to.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

name! {
    /// A public key: age's own (`age1…`), or that of an SSH key pair (`ssh-ed25519 …`, `ssh-rsa …`).
    Recipient
}

impl Recipient {
    /// The key, for age.
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn key(&self) -> Result<Box<dyn age::Recipient + Send + Sync>, String> {
        if self.0.starts_with("ssh-") {
            let key = self.0.parse::<age::ssh::Recipient>();
            return key.map(|key| Box::new(key) as _).map_err(|why| format!("{why:?}"));
        }
        let key = self.0.parse::<age::x25519::Recipient>();
        key.map(|key| Box::new(key) as _).map_err(str::to_owned)
    }
}

impl FromStr for Recipient {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let recipient = Recipient(text.to_owned());
        match recipient.key() {
            Ok(_) => Ok(recipient),
            Err(_) if text.starts_with("AGE-SECRET-KEY-") => {
                Err("that is a private key: it belongs on another machine".into())
            }
            Err(_) => Err(format!(
                "'{}' is not a public key of age (age1…) or SSH (ssh-ed25519 …, ssh-rsa …)",
                text.escape_debug()
            )),
        }
    }
}

name! {
    /// A repository of restic's, in its words: `sftp:backup@nas:/authentik`, `s3:…`, `/mnt/nas/authentik`.
    Repository
}

impl FromStr for Repository {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        // A password may hold any character, the slash that ends a host among them.
        let user = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        match user {
            Some((user, _)) if user.contains(':') => Err(
                "there is a password in it: put RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD into \
                 environment_file"
                    .into(),
            ),
            _ if text.is_empty() || text.starts_with('-') || !text.chars().all(plain) => {
                Err(format!("'{}' is no repository of restic's", text.escape_debug()))
            }
            _ => Ok(Repository(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_alone() {
        for good in [
            "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN alice@rust",
        ] {
            assert!(good.parse::<Recipient>().is_ok(), "{good}");
        }
        let private = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert!(private.parse::<Recipient>().unwrap_err().contains("private key"));
        for bad in ["age1x", "ssh-foo x", "", "hello"] {
            assert!(bad.parse::<Recipient>().is_err(), "{bad}");
        }
    }

    #[test]
    fn repositories_without_passwords() {
        for good in [
            "sftp:backup@nas:/a",
            "/mnt/nas/a",
            "rest:https://backup@nas:8000/a",
            "s3:s3.example.com/a",
        ] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        let told = "rest:https://me:Planted@nas/a".parse::<Repository>().unwrap_err();
        assert!(told.contains("environment_file") && !told.contains("Planted"), "{told}");
        assert!("rest:https://me:Pl/anted@nas/a".parse::<Repository>().is_err());
        for bad in ["", "a b", "--repo", "a\nb"] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }
}
