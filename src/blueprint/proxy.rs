//! Phase `proxy`: our site in the host's Caddy, opened last of all.

use super::{Steps, needed, user_id};
use crate::data::render::{Syntax, render};
use crate::error::Result;
use crate::facts::Facts;
use crate::facts::proxy::Proxy;
use crate::names::AbsPath;
use crate::resource::caddy_loaded::CaddyLoaded;
use crate::resource::caddyfile::Caddyfile;
use crate::resource::directory::{Directory, Wanted};
use crate::resource::file::{File, Trial};
use crate::resource::gone::Gone;
use crate::resource::import_gone::ImportGone;
use crate::resource::served::Served;
use crate::resource::{Id, Resource};
use crate::settings::Settings;
use minijinja::context;

pub(super) fn build(steps: &mut Steps, settings: &Settings, facts: &Facts) -> Result<()> {
    if !settings.proxy.enabled {
        withdraw(steps, settings, facts, false);
        return Ok(());
    }
    // A server that has never run has no administrator yet: nobody is to find it.
    if !settings.service.started && facts.installed.is_absent() {
        return Ok(());
    }
    let proxy = needed(&facts.proxy, "Caddy")?;
    let path = |path: &Option<AbsPath>| path.as_ref().map(|path| path.as_str().to_owned());
    let values = context! {
        domain => settings.domain.as_str(),
        tls => settings.proxy.tls.as_str(),
        acme_email => settings.proxy.acme_email.as_ref().map(|email| email.as_str()),
        certificate => path(&settings.proxy.certificate),
        key => path(&settings.proxy.key),
        http_port => settings.http_port.number(),
    };
    let site = File {
        path: proxy.site.clone(),
        text: render("caddy/site.caddyfile", Syntax::Caddyfile, &values)?,
        wanted: Wanted::root(0o644),
        trial: Trial::Caddy(proxy.caddy.clone()),
    };
    let site_id = site.id();
    if let (Some(_), Some(dir)) = (&proxy.import, proxy.site.parent()) {
        steps.add(Directory::new(dir, Wanted::root(0o755), user_id(settings)));
    }
    // The site first: Caddy then judges the import with what it brings.
    steps.add(site);
    steps.add(Caddyfile { proxy: proxy.clone(), domain: settings.domain.clone() });
    steps.add(loaded(proxy, settings, &site_id, true));
    if !settings.service.started {
        return Ok(());
    }
    steps.add(Served {
        proxy: proxy.clone(),
        domain: settings.domain.clone(),
        tls: settings.proxy.tls,
        site: site_id,
    });
    Ok(())
}

fn loaded(proxy: &Proxy, settings: &Settings, site: &Id, served: bool) -> CaddyLoaded {
    let domain = settings.domain.clone();
    CaddyLoaded { proxy: proxy.clone(), site: site.clone(), domain, served }
}

// What we had put into a Caddy that somebody else looks after now.
pub(super) fn withdraw(steps: &mut Steps, settings: &Settings, facts: &Facts, by_first_line: bool) {
    let Some(proxy) = facts.proxy.known() else { return };
    let why = "another proxy is used";
    let site = File::id_of(&proxy.site);
    steps.add(Gone { id: site.clone(), path: proxy.site.clone(), why, by_first_line });
    steps.add(ImportGone { proxy: proxy.clone() });
    if let Some(dir) = proxy.site.parent() {
        steps.add(Gone { id: Directory::id_of(dir), path: dir.to_owned(), why, by_first_line });
    }
    steps.add(loaded(proxy, settings, &site, false));
}
