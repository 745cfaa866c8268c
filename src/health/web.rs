//! The way in: what somebody with a browser meets.

use super::{Context, Measure};
use crate::checks::Finding;
use crate::error::{Failure, Result};
use crate::host::http::{Answer, Client, Trust};
use crate::host::systemd::Manager;
use crate::host::tls::Presented;
use crate::resource::admin::FLOW;
use crate::settings::input::Tls;
use std::net::Ipv4Addr;

const CADDY: &str = "journalctl -u caddy.service -n 50";
const DAY: i64 = 86_400;

impl Context {
    fn trust(&self) -> Result<Trust> {
        Ok(match self.settings.proxy.tls {
            Tls::Acme => Trust::Public,
            Tls::Files => Trust::Anybody,
            Tls::Internal => {
                let proxy = self.facts()?.proxy.known();
                let root = proxy.map(|proxy| self.host.caddy_root(&proxy.caddy)).transpose()?;
                let root = root.flatten();
                root.map(Trust::Only).ok_or_else(|| {
                    Failure::new("looking for", "the root certificate of Caddy", "there is none")
                        .next(CADDY)
                })?
            }
        })
    }

    // Each is asked for once, however many checks look at it.
    fn presented(&self) -> Result<Presented> {
        let ask = || self.host.certificate(&self.settings.domain, &self.trust()?);
        let asked = self.presented.get_or_init(|| ask().map_err(|failure| failure.summary()));
        let lost = |why: &String| Failure::new("looking at", "the certificate", why.as_str());
        asked.clone().map_err(|why| lost(&why).next(CADDY))
    }

    // Whose the certificate is, is judged by a check of its own.
    fn page(&self, path: &str) -> std::result::Result<Answer, String> {
        Client::public(&self.host, &self.settings.domain, &Trust::Anybody)
            .map_err(|failure| failure.summary())?
            .get(path)
    }

    fn login_page(&self) -> Result<&Answer> {
        let asked = self.login_page.get_or_init(|| self.page(&format!("/if/flow/{FLOW}/")));
        asked.as_ref().map_err(|why| {
            Failure::new("asking for", self.settings.url(), why.as_str()).next(CADDY)
        })
    }

    // Another proxy is somebody else's to look after.
    fn ours(&self, look: impl FnOnce() -> Result<Finding>) -> Result<Finding> {
        match self.settings.proxy.enabled {
            true => look(),
            false => Ok(Finding::ok("not looked at: another proxy is used")),
        }
    }
}

pub(super) fn caddy(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let unit = context.host.unit(Manager::System, crate::host::caddy::UNIT)?;
        Ok(match unit.active.as_str() {
            "active" | "reloading" => Finding::ok(unit.sub),
            state => {
                Finding::fail(format!("caddy.service is {state}"), "systemctl start caddy.service")
            }
        })
    })
}

pub(super) fn https(context: &Context) -> Result<Finding> {
    context.ours(|| {
        Ok(match context.page("/-/health/live/") {
            Ok(answer) if answer.is_authentiks() => {
                Finding::ok(format!("{} answers", context.settings.url()))
            }
            Ok(answer) => Finding::fail(format!("status {}", answer.status), CADDY),
            Err(why) => Finding::fail(why, CADDY),
        })
    })
}

pub(super) fn certificate(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let presented = context.presented()?;
        let domain = &context.settings.domain;
        Ok(match (presented.refused, context.settings.proxy.tls) {
            (None, _) => Finding::ok(format!("good for {domain}")),
            // A private authority is known to the clients, not always to this host.
            (Some(why), Tls::Files) if why.contains("UnknownIssuer") => Finding::warn(
                format!("this host does not know the authority that certifies {domain}"),
                "put its certificate into this host's own list of authorities",
            ),
            (Some(why), _) => Finding::fail(
                why,
                format!(
                    "openssl s_client -connect 127.0.0.1:{} -servername {domain} </dev/null",
                    domain.port()
                ),
            ),
        })
    })
}

pub(super) fn certificate_time(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let Presented { not_before, not_after, .. } = context.presented()?;
        let help = "End of the certificate's time, in seconds since 1970.";
        let name = "certificate_not_after_timestamp_seconds";
        context.measure(Measure { name, help, of: None, value: not_after as f64 });
        let left = not_after - jiff::Timestamp::now().as_second();
        // Short-lived ones are renewed when a third of their time is left; less says it did not work.
        let (warn, fail) = match not_after - not_before {
            life if life < 30 * DAY => (life / 4, life / 8),
            _ => (21 * DAY, 7 * DAY),
        };
        let found = match left {
            ..0 => "it has run out".to_owned(),
            left if left < 2 * DAY => format!("{} hours are left", left / 3600),
            left => format!("{} days are left", left / DAY),
        };
        Ok(match left {
            left if left < fail => Finding::fail(found, CADDY),
            left if left < warn => Finding::warn(found, CADDY),
            _ => Finding::ok(found),
        })
    })
}

pub(super) fn redirect(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let domain = &context.settings.domain;
        if domain.port() != 443 {
            return Ok(Finding::ok("not looked at: HTTPS is not on its usual port"));
        }
        let wanted = format!("https://{}/", domain.host());
        Ok(match Client::plain(&context.host, domain).get("/") {
            Ok(answer) if answer.header("location").starts_with(&wanted) => {
                Finding::ok(format!("{} to {wanted}", answer.status))
            }
            Ok(answer) => Finding::fail(
                format!("status {}, leads to {:?}", answer.status, answer.header("location")),
                "is 'auto_https off' or a site for port 80 in the Caddyfile?",
            ),
            Err(why) => Finding::fail(why, CADDY),
        })
    })
}

pub(super) fn links(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let answer = context.login_page()?;
        let plain = format!("http://{}", context.settings.domain.host());
        Ok(match answer.body.contains(&plain) {
            true => Finding::fail(
                format!("the login page links to {plain}: authentik does not believe the proxy"),
                "authentik-install install",
            ),
            false => Finding::ok("none to http://"),
        })
    })
}

// The network of each connection to the server, against those that it was told to believe.
pub(super) fn client_address(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let process = context.process("authentik-server")?;
        // So that there is a connection to look at.
        let _ = context.login_page();
        let believed = process.environment()?.remove("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS");
        let believed = believed.unwrap_or_default();
        let networks: Vec<(u32, u32)> = believed.split(',').filter_map(network).collect();
        let stranger = process.clients(9000)?.into_iter().find(|address| {
            let bits = address.to_bits();
            !networks.iter().any(|(net, mask)| bits & mask == *net)
        });
        Ok(match stranger {
            None => Finding::ok("every connection is from a network that is believed"),
            Some(address) => Finding::fail(
                format!("a connection is from {address}, and only {believed} are believed: every client has that address"),
                "authentik-install install",
            ),
        })
    })
}

fn network(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = text.trim().split_once('/')?;
    let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
    Some((address.to_bits() & mask, mask))
}

pub(super) fn websocket(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let domain = &context.settings.domain;
        Ok(match context.host.websocket(domain, &context.trust()?, "/ws/client/")? {
            // Refused by authentik itself, since nobody is signed in.
            status @ (101 | 403) => Finding::ok(format!("status {status}")),
            status => Finding::fail(format!("status {status} instead of 101"), CADDY),
        })
    })
}

pub(super) fn headers(context: &Context) -> Result<Finding> {
    context.ours(|| {
        let answer = context.login_page()?;
        if !answer.is_authentiks() {
            return Ok(Finding::ok("not looked at: authentik does not answer"));
        }
        let needed = [
            "strict-transport-security",
            "x-content-type-options",
            "referrer-policy",
            "x-frame-options",
        ];
        let missing: Vec<&str> =
            needed.into_iter().filter(|name| answer.header(name).is_empty()).collect();
        if !missing.is_empty() {
            return Ok(Finding::warn(format!("missing: {}", missing.join(", ")), CADDY));
        }
        Ok(match answer.header("access-control-allow-origin") {
            "" => Finding::ok("all there"),
            origin => Finding::warn(
                format!("access-control-allow-origin: {origin} lets other sites read answers"),
                "take it out of the Caddyfile",
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(network("10.0.2.0/24"), Some((0x0a00_0200, 0xffff_ff00)));
        assert_eq!(network("0.0.0.0/0"), Some((0, 0)));
        assert_eq!(network("169.254.2.1/32").map(|(_, mask)| mask), Some(u32::MAX));
        assert_eq!(network("fe80::/10"), None);
    }
}
