//! The login page is there for the public: by its name, over TLS, through Caddy.

use crate::error::{Failure, Result};
use crate::event::{Event, Sink};
use crate::facts::proxy::Proxy;
use crate::host::http::{Client, Trust};
use crate::host::{Reader, Writer};
use crate::names::Domain;
use crate::resource::admin::FLOW;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};
use crate::settings::input::Tls;
use std::time::{Duration, Instant};

/// The public side.
#[derive(Debug)]
pub struct Served {
    /// Caddy.
    pub proxy: Proxy,
    /// The public name.
    pub domain: Domain,
    /// Whose certificate.
    pub tls: Tls,
    /// The resource of our site's file.
    pub site: Id,
}

/// Ask until it answers.
#[derive(Debug)]
pub struct Ask;

/// A public certificate takes a while; Caddy's own is there at once.
const LIMIT: Duration = Duration::from_secs(120);

impl Served {
    fn missing(&self, host: &Reader) -> Result<Option<String>> {
        let trust = match self.tls {
            Tls::Acme => Trust::Public,
            // Whose they are is not ours to judge here: the name and chain are what `verify` asks.
            Tls::Files => Trust::Anybody,
            Tls::Internal => match host.caddy_root(&self.proxy.caddy)? {
                Some(root) => Trust::Only(root),
                None => return Ok(Some("Caddy has not made its own authority yet".into())),
            },
        };
        let client = Client::public(host, &self.domain, &trust)?;
        Ok(match client.get(&format!("/if/flow/{FLOW}/")) {
            Err(why) => Some(why),
            Ok(answer) if answer.status != 200 => Some(format!("status {}", answer.status)),
            Ok(answer) if answer.body.trim().is_empty() => Some("the page is empty".into()),
            Ok(answer) if answer.body.contains(&format!("http://{}", self.domain)) => {
                Some("authentik takes its own address for http: it does not trust the proxy".into())
            }
            Ok(_) => None,
        })
    }
}

impl Resource for Served {
    type Found = Option<String>;
    type Act = Ask;

    fn id(&self) -> Id {
        Id::new("served", &self.domain)
    }

    fn aim(&self) -> String {
        format!("ask for https://{}/ until it answers", self.domain)
    }

    fn proves_itself(&self) -> bool {
        true
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        if host.stat(&self.proxy.site)?.is_none() {
            return Ok(Seen::After(self.site.clone()));
        }
        self.missing(host).map(Seen::Now)
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Ask> {
        match found {
            None => Verdict::Converged,
            Some(why) => Verdict::of(vec![Planned::run(
                Ask,
                format!("ask for https://{}/ until it answers ({why})", self.domain),
            )]),
        }
    }

    fn apply(&self, host: &Writer<'_>, _: &Ask, told: &dyn Sink) -> Result<()> {
        let started = Instant::now();
        loop {
            let Some(why) = self.missing(host)? else { return Ok(()) };
            if started.elapsed() >= LIMIT {
                let cure = match self.tls {
                    Tls::Acme => {
                        "does the name point here, and are ports 80 and 443 reachable? journalctl -u caddy -n 50"
                    }
                    Tls::Internal | Tls::Files => "journalctl -u caddy -n 50",
                };
                return Err(
                    Failure::new("asking for", format!("https://{}/", self.domain), why).next(cure)
                );
            }
            told.emit(&Event::waiting("the public page", why, started.elapsed(), LIMIT));
            host.pause(Duration::from_secs(1))?;
        }
    }
}
