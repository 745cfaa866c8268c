//! The way in from outside: Caddy, ports, name, firewall.

use super::{Context, Finding};
use crate::data::distro::{Need, at_least};
use crate::error::Result;
use crate::facts::proxy;
use crate::host::caddy;
use crate::host::systemd::Manager;
use std::net::IpAddr;

// 2.5.1 was the first to pass Host and X-Forwarded-* as authentik needs them without being told,
// and to take none of a client's own.
pub(super) fn caddy(context: &Context) -> Result<Finding> {
    let missing = |found: &str| context.missing(found, &[Need::Caddy], "Caddy");
    let Some(version) = context.host.caddy_version()? else {
        return Ok(missing("Caddy is not installed"));
    };
    if let Some(old) = too_old(&version) {
        return Ok(missing(&old));
    }
    let unit = context.host.unit(Manager::System, caddy::UNIT)?;
    if unit.active != "active" {
        return Ok(Finding::fail(
            format!("Caddy {version}, its service is {}", unit.active),
            "systemctl enable --now caddy.service",
        ));
    }
    // It then starts from what it saved by itself, whatever the Caddyfile says.
    if unit.exec_start.split_whitespace().any(|word| word == "--resume") {
        return Ok(Finding::fail(
            format!(
                "Caddy {version} is started with --resume, so the Caddyfile is not what it runs"
            ),
            "systemctl edit caddy.service, with ExecStart= and the command without --resume",
        ));
    }
    Ok(Finding::ok(format!("Caddy {version}, running")))
}

fn too_old(version: &str) -> Option<String> {
    (!at_least(version, &[2, 5, 1])).then(|| format!("Caddy {version}; 2.5.1 or newer is needed"))
}

pub(super) fn caddy_config(context: &Context) -> Result<Finding> {
    let Some(proxy) = proxy::look(&context.host)? else {
        return Ok(Finding::ok("no Caddy, no configuration"));
    };
    let file = proxy.caddy.caddyfile.display();
    let adapted = match context.host.caddy_adapt(&proxy.caddy) {
        Ok(adapted) => adapted,
        Err(failure) => {
            return Ok(Finding::fail(
                format!("{file}: {}", failure.cause()),
                format!("correct it, then: caddy validate --adapter caddyfile --config {file}"),
            ));
        }
    };
    Ok(match context.host.caddy_running(&adapted) {
        Ok(_) => Finding::ok(format!("{file} is valid, the admin endpoint answers")),
        Err(failure) => Finding::fail(
            format!("the admin endpoint does not answer: {}", failure.cause()),
            failure.next_step().unwrap_or("systemctl status caddy.service").to_owned(),
        ),
    })
}

pub(super) fn certificate(context: &Context) -> Result<Finding> {
    // Through links, as those of certbot are.
    let missing = context.subject.certificate.iter().find(|path| !path.is_file());
    Ok(match (missing, context.subject.certificate.len()) {
        (Some(path), _) => Finding::fail(
            format!("{}: there is no such file", path.display()),
            "put your certificate and key there, or let Caddy get one: --tls acme",
        ),
        (None, 0) => Finding::ok("none of one's own"),
        (None, _) => Finding::ok("certificate and key are there"),
    })
}

fn port(context: &Context, number: u16, owner: &str) -> Result<Finding> {
    let mut others: Vec<String> = context
        .host
        .listeners(number)?
        .into_iter()
        .filter(|program| !program.starts_with(owner))
        .collect();
    others.sort();
    others.dedup();
    if others.is_empty() {
        return Ok(Finding::ok(format!("port {number} is free, or {owner}'s")));
    }
    Ok(Finding::fail(
        format!("port {number} is taken by {}", others.join(", ")),
        format!("stop it, or move it to another port: ss -Hltnp 'sport = :{number}'"),
    ))
}

pub(super) fn port_80(context: &Context) -> Result<Finding> {
    port(context, 80, "caddy")
}

pub(super) fn port_public(context: &Context) -> Result<Finding> {
    port(context, context.subject.public_port, "caddy")
}

pub(super) fn port_own(context: &Context) -> Result<Finding> {
    let own = port(context, context.subject.http_port, "pasta")?;
    match context.subject.https_port {
        Some(https) if own.cure.is_none() => port(context, https, "pasta"),
        _ => Ok(own),
    }
}

pub(super) fn domain(context: &Context) -> Result<Finding> {
    let Some(domain) = &context.subject.domain else {
        return Ok(Finding::ok("no domain is chosen yet: give --domain to have it looked up"));
    };
    let host = domain.host();
    if domain.address().is_some() {
        return Ok(Finding::ok(format!("{host} is an address")));
    }
    let found = context.host.addresses_of(host)?;
    if found.is_empty() {
        return Ok(Finding::warn(
            format!("{host} is not known to the name service of this host"),
            format!("add an A or AAAA record for {host}"),
        ));
    }
    let own = context.host.own_addresses()?;
    let shown: Vec<String> = found.iter().map(IpAddr::to_string).collect();
    let shown = format!("{host} is {}", shown.join(", "));
    if found.iter().any(|address| own.contains(address)) {
        return Ok(Finding::ok(format!("{shown}, this host")));
    }
    Ok(Finding::warn(
        format!("{shown}, no address of this host; fine if that forwards here"),
        format!("correct the records of {host}, unless a router or load balancer is in front"),
    ))
}

pub(super) fn firewall(context: &Context) -> Result<Finding> {
    let mut closed = Vec::new();
    for number in [80, context.subject.public_port] {
        match context.host.port_is_filtered(number)? {
            None => return Ok(Finding::ok("no nftables here")),
            Some(true) => closed.push(number.to_string()),
            Some(false) => {}
        }
    }
    if closed.is_empty() {
        return Ok(Finding::ok(format!(
            "ports 80 and {} are not filtered",
            context.subject.public_port
        )));
    }
    Ok(Finding::warn(
        format!("the firewall of this host seems to close port {}", closed.join(" and ")),
        "open them: firewall-cmd --permanent --add-service={http,https}, ufw allow 80,443/tcp, or a rule of nft",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_caddy_is_refused() {
        assert!(too_old("2.5.0").is_some());
        assert!(too_old("1.0.5").is_some());
        assert!(too_old("2.5.1").is_none());
        assert!(too_old("2.11.4").is_none());
    }
}
