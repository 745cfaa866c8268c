//! Caddy runs what its Caddyfile says.

use crate::error::Result;
use crate::event::Sink;
use crate::facts::proxy::Proxy;
use crate::host::caddy::UNIT;
use crate::host::systemd::Manager;
use crate::host::{Reader, Writer};
use crate::names::Domain;
use crate::resource::caddyfile::serves;
use crate::resource::{Id, Planned, Resource, Seen, Standing, Verdict};

/// The running configuration is the written one.
#[derive(Debug)]
pub struct CaddyLoaded {
    /// Caddy, and where our site belongs in it.
    pub proxy: Proxy,
    /// The resource of our site's file.
    pub site: Id,
    /// The public name.
    pub domain: Domain,
    /// Is our site to be served? If not, Caddy only has to forget it.
    pub served: bool,
}

/// `systemctl reload caddy`
#[derive(Debug)]
pub struct Reload;

impl Resource for CaddyLoaded {
    type Found = bool;
    type Act = Reload;

    fn id(&self) -> Id {
        Id::new("loaded", "caddy.service")
    }

    fn aim(&self) -> String {
        "reload Caddy (no connection is dropped)".into()
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<bool>> {
        if !self.served {
            // One that does not run serves nothing; it reads the Caddyfile when it starts.
            if host.unit(Manager::System, UNIT)?.main_pid == 0 {
                return Ok(Seen::Now(true));
            }
            // What somebody else looks after, and cannot be asked, is not for us to reload.
            let Ok(written) = host.caddy_adapt(&self.proxy.caddy) else {
                return Ok(Seen::Now(true));
            };
            let Ok(running) = host.caddy_running(&written) else { return Ok(Seen::Now(true)) };
            let name = self.domain.host();
            return Ok(Seen::Now(!serves(&running, name) || serves(&written, name)));
        }
        if host.stat(&self.proxy.site)?.is_none() {
            return Ok(Seen::After(self.site.clone()));
        }
        let written = host.caddy_adapt(&self.proxy.caddy)?;
        Ok(Seen::Now(host.caddy_running(&written)? == written))
    }

    fn diff(&self, found: &bool, _: &Standing) -> Verdict<Reload> {
        if *found {
            return Verdict::Converged;
        }
        Verdict::of(vec![Planned::run(Reload, self.aim())])
    }

    fn apply(&self, host: &Writer<'_>, _: &Reload, _: &dyn Sink) -> Result<()> {
        host.caddy_reload()
    }
}
