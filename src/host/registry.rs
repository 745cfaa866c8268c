//! A registry, asked by the OCI Distribution API which tags it has.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::http::{Answer, Client};
use crate::names::{ImageName, Version};
use crate::secret::Secret;
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
/// So many numbers in a row that are not there end the search: now and then one is left out.
const GAP: u32 = 3;
/// No line has more patches: a registry that has every one of them says nothing.
const MOST: u32 = 60;
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

struct Registry {
    client: Client,
    repository: String,
    token: Option<Secret>,
}

impl Reader {
    /// The newest patch of the same line that a registry has; the given one if there is none newer.
    ///
    /// Tags are asked for one by one: a list of all of them is thousands long.
    ///
    /// # Errors
    /// If the registry does not answer, or wants to know who asks.
    pub fn newest_patch(&self, image: &ImageName, version: &Version) -> Result<Version> {
        let fail = |why: String| Failure::new("asking the registry for", image, why);
        let (line, mut number) = (version.line(), patch(version));
        let mut registry = Registry::of(self, image);
        let (mut newest, mut missed) = (version.clone(), 0);
        while missed < GAP {
            number += 1;
            if number > MOST {
                return Err(fail(format!(
                    "it claims to have {line}.{MOST}, as it would any other"
                )));
            }
            let Ok(next) = format!("{line}.{number}").parse::<Version>() else { break };
            match registry.has(next.as_str()).map_err(fail)? {
                true => (newest, missed) = (next, 0),
                false => missed += 1,
            }
        }
        Ok(newest)
    }
}

fn patch(version: &Version) -> u32 {
    let last = version.as_str().rsplit('.').next();
    last.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Registry {
    fn of(host: &Reader, image: &ImageName) -> Self {
        let (name, repository) = image.as_str().split_once('/').unwrap_or_default();
        // Docker's registry answers under another name than its images have.
        let at = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let loopback = at.split(':').next().is_some_and(|host| host == "localhost");
        let scheme = if loopback { "http" } else { "https" };
        let base = Secret::new(format!("{scheme}://{at}"));
        let client = Client::anywhere(host, &base, LIMIT);
        Registry { client, repository: repository.to_owned(), token: None }
    }

    fn has(&mut self, tag: &str) -> std::result::Result<bool, String> {
        let mut answer = self.ask(tag)?;
        if answer.status == 401 && self.token.is_none() {
            self.token = Some(self.fetch_token(answer.header("www-authenticate"))?);
            answer = self.ask(tag)?;
        }
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            401 | 403 => Err("it wants to know who asks".into()),
            status => Err(format!("status {status}")),
        }
    }

    fn ask(&self, tag: &str) -> std::result::Result<Answer, String> {
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let bearer = self.token.as_ref().map(|token| format!("Bearer {}", token.expose()));
        let mut headers = vec![("accept", MANIFESTS)];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        self.client.head(&path, &headers)
    }

    // Also what everybody may have is given to bearers of a token alone, which everybody gets.
    fn fetch_token(&self, challenge: &str) -> std::result::Result<Secret, String> {
        let wants_login = || "it wants to know who asks".to_owned();
        let realm = parameter(challenge, "realm")
            .filter(|_| challenge.to_ascii_lowercase().starts_with("bearer "));
        let mut url = realm.ok_or_else(wants_login)?.to_owned();
        let mut separator = '?';
        for name in ["service", "scope"] {
            if let Some(value) = parameter(challenge, name) {
                let value = percent_encoding::utf8_percent_encode(
                    value,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                url.push_str(&format!("{separator}{name}={value}"));
                separator = '&';
            }
        }
        let answer = self.client.get_at(&url)?;
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|name| said.get(name)?.as_str());
        token.map(|token| Secret::new(token.to_owned())).ok_or_else(wants_login)
    }
}

// RFC 9110, 11.2: name="value", parted by commas.
fn parameter<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_of_a_registry_is_read() {
        let said = "Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\",scope=\"repository:a/b:pull\"";
        assert_eq!(parameter(said, "realm"), Some("https://ghcr.io/token"));
        assert_eq!(parameter(said, "scope"), Some("repository:a/b:pull"));
        assert_eq!(parameter(said, "error"), None);
        assert_eq!(patch(&"2026.8.13".parse().unwrap()), 13);
    }
}
