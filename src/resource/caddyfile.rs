//! The Caddyfile means something, leaves our name free, and imports our site.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::facts::proxy::Proxy;
use crate::host::files::{FileNow, Put};
use crate::host::{Reader, Writer};
use crate::names::Domain;
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict, unified};
use crate::text::block::{self, Place};
use serde_json::Value;

/// The host's Caddyfile.
#[derive(Debug)]
pub struct Caddyfile {
    /// Caddy, and where our site belongs in it.
    pub proxy: Proxy,
    /// The name that our site answers to.
    pub domain: Domain,
}

/// How it is.
#[derive(Debug)]
pub struct Found {
    file: FileNow,
    text: String,
    /// Caddy's own words, if it does not understand the file.
    broken: Option<String>,
    /// `file:line` of somebody else's site of our name.
    taken: Option<String>,
    /// Caddy runs something else than the file says, and not because of us.
    diverged: bool,
    /// Caddy's own words, if the text with our line would mean nothing.
    refused: Option<String>,
}

/// The line goes in.
#[derive(Debug)]
pub struct Insert {
    old: FileNow,
    new: String,
}

impl Caddyfile {
    fn wanted(&self, text: &str) -> Option<String> {
        let line = self.proxy.import.as_deref()?;
        (block::content(text) != Some(vec![line]))
            .then(|| block::insert(text, &[line], Place::Last))
    }

    // The import of a folder that is still empty would pass anywhere, also inside somebody's site:
    // so it is tried with a site in its place.
    fn with_a_site(&self, text: &str) -> String {
        block::insert(text, &[&format!("{} {{", self.domain), "}"], Place::Last)
    }

    // Where our name is served already, as a person can find it.
    fn taken(&self, adapted: &Value, text: &str) -> Option<String> {
        if !serves(adapted, self.domain.host()) {
            return None;
        }
        let path = self.proxy.caddy.caddyfile.display();
        let line = text.lines().position(|line| {
            let line = line.split('#').next().unwrap_or_default().to_ascii_lowercase();
            line.contains(self.domain.host())
        });
        Some(match line {
            Some(at) => format!("{path}:{}", at + 1),
            None => format!("a file that {path} imports"),
        })
    }
}

/// The name of the host's Caddyfile as a resource.
pub fn id_of(proxy: &Proxy) -> Id {
    Id::new("caddyfile", proxy.caddy.caddyfile.display())
}

/// Does a configuration answer to this host name?
pub fn serves(config: &Value, domain: &str) -> bool {
    match config {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let named = key == "host"
                && value.as_array().is_some_and(|names| names.iter().any(|name| name == domain));
            named || serves(value, domain)
        }),
        Value::Array(list) => list.iter().any(|value| serves(value, domain)),
        _ => false,
    }
}

impl Resource for Caddyfile {
    type Found = Option<Found>;
    type Act = Insert;

    fn id(&self) -> Id {
        id_of(&self.proxy)
    }

    fn aim(&self) -> String {
        format!("let {} import our site's folder", self.proxy.caddy.caddyfile.display())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        let path = &self.proxy.caddy.caddyfile;
        let Some(file) = host.read(path)? else { return Ok(Seen::Now(None)) };
        let text = file.text()?;
        let caddy = &self.proxy.caddy;
        let adapted = host.caddy_adapt(caddy);
        let mut found =
            Found { file, text, broken: None, taken: None, diverged: false, refused: None };
        match adapted {
            Err(failure) => found.broken = Some(failure.summary()),
            Ok(adapted) if host.stat(&self.proxy.site)?.is_none() => {
                found.taken = self.taken(&adapted, &found.text);
                found.diverged = host.caddy_running(&adapted)? != adapted;
                // Only where the text can be judged apart from its folder.
                let alone = host.caddy_adapt_text(caddy, &found.text).is_ok();
                if alone && self.wanted(&found.text).is_some() {
                    found.refused = host
                        .caddy_adapt_text(caddy, &self.with_a_site(&found.text))
                        .err()
                        .map(|f| f.summary());
                }
            }
            // It is going to be of another name, which somebody else has.
            Ok(adapted) => {
                if let Some(site) = host.read(&self.proxy.site)?
                    && let Ok(own) = host.caddy_adapt_text(caddy, &site.text()?)
                    && !serves(&own, self.domain.host())
                {
                    found.taken = self.taken(&adapted, &found.text);
                }
            }
        }
        Ok(Seen::Now(Some(found)))
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Insert> {
        let path = self.proxy.caddy.caddyfile.display().to_string();
        let Some(found) = found else {
            return Verdict::foreign(
                format!("{path}, which Caddy's unit names, does not exist"),
                format!("create it, empty sites are fine: printf '# sites\\n' >{path}"),
            );
        };
        if let Some(words) = &found.broken {
            return Verdict::foreign(
                format!("{path} is broken: {words}"),
                format!("correct it, then: caddy adapt --config {path}"),
            );
        }
        if let Some(place) = &found.taken {
            return Verdict::foreign(
                format!("{} is served already, by {place}", self.domain),
                format!("remove that site or choose another --domain: {place}"),
            );
        }
        if found.diverged {
            return Verdict::foreign(
                format!("Caddy runs another configuration than {path}"),
                "make them one first: systemctl reload caddy",
            );
        }
        if let Some(words) = &found.refused {
            return Verdict::foreign(
                format!("{path} cannot take an import line: {words}"),
                format!("put braces around its site, as in: example.com {{ … }} ({path})"),
            );
        }
        let Some(new) = self.wanted(&found.text) else { return Verdict::Converged };
        if let Some(refusal) = super::refuse_fixed(&self.proxy.caddy.caddyfile, &found.file) {
            return refusal;
        }
        let diff = unified(&path, &found.text, &new);
        let act = Insert { old: found.file.clone(), new };
        Verdict::of(vec![
            Planned::create(act, format!("let {path} import our site's folder")).with_diff(diff),
        ])
    }

    fn apply(&self, host: &Writer<'_>, act: &Insert, _: &dyn Sink) -> Result<()> {
        let path = &self.proxy.caddy.caddyfile;
        let perms = act.old.meta.perms;
        host.put(path, act.new.as_bytes(), perms, Put::Replace)?;
        if let Err(failure) = host.caddy_adapt(&self.proxy.caddy) {
            host.put(path, &act.old.bytes, perms, Put::Replace)?;
            return Err(Failure::new("changing", path.display(), failure.summary())
                .next(format!("the old {} is back; put braces around its sites", path.display())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_served_name_is_found_at_any_depth() {
        let config = json!({"apps": {"http": {"servers": {"srv0": {"routes": [
            {"match": [{"host": ["auth.example.com"]}], "handle": []}]}}}}});
        assert!(serves(&config, "auth.example.com"));
        assert!(!serves(&config, "other.example.com"));
        assert!(!serves(&json!({"x": "auth.example.com"}), "auth.example.com"));
    }
}
