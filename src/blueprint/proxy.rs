//! Phase `proxy`: our site in the host's Caddy, opened last of all.

use super::{Steps, needed, user_id};
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::facts::Facts;
use crate::resource::Resource;
use crate::resource::caddy_loaded::CaddyLoaded;
use crate::resource::caddyfile::Caddyfile;
use crate::resource::directory::{Directory, Wanted};
use crate::resource::file::{File, Trial};
use crate::resource::served::Served;
use crate::settings::Settings;
use minijinja::context;

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    let proxy = needed(&facts.proxy, "Caddy")?;
    let values = context! {
        domain => settings.domain.value.as_str(),
        tls => settings.tls.value.as_str(),
        acme_email => settings.acme_email.value.as_ref().map(|email| email.as_str()),
        http_port => settings.http_port,
    };
    let site = File {
        path: proxy.site.clone(),
        text: render("caddy/site.caddyfile", Syntax::Caddyfile, &values)?,
        wanted: Wanted::root(0o644),
        trial: Trial::Caddy(proxy.caddy.clone()),
    };
    let site_id = site.id();
    if let (Some(_), Some(dir)) = (&proxy.import, proxy.site.parent()) {
        steps.add(Directory {
            path: dir.to_owned(),
            wanted: Wanted::root(0o755),
            owner: user_id(settings),
        });
    }
    // The site first: Caddy then judges the import with what it brings.
    steps.add(site);
    steps.add(Caddyfile { proxy: proxy.clone(), domain: settings.domain.value.clone() });
    steps.add(CaddyLoaded { proxy: proxy.clone(), site: site_id.clone() });
    steps.add(Served {
        proxy: proxy.clone(),
        domain: settings.domain.value.clone(),
        tls: settings.tls.value,
        site: site_id,
    });
    Ok(())
}
