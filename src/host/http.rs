//! HTTP as a client: to the server on 127.0.0.1, and through the proxy by its public name.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::names::Domain;
use crate::secret::Secret;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// All headers, names in lower case; values that are not text are left out.
    pub headers: BTreeMap<String, String>,
    /// The body, cut at 1 MiB.
    pub body: String,
}

impl Answer {
    /// Does it come from authentik's server? Its worker, which listens beside it, sets no such header.
    pub fn is_authentiks(&self) -> bool {
        self.headers.contains_key("x-powered-by")
    }

    /// The value of a header, empty if it has none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Whose certificates are good.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of the public authorities.
    Public,
    /// Those of one authority, by its root certificate in PEM.
    Only(Vec<u8>),
    /// Everybody's.
    Anybody,
}

/// A client that talks to one address, whatever name it asks for.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
}

#[derive(Debug)]
struct Fixed(SocketAddr);

impl Resolver for Fixed {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);

fn usual(host: &Reader) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .timeout_global(Some(host.patience(TIMEOUT)))
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects_will_error(false)
}

/// Where this machine answers for a public name: a name is asked for here whatever it resolves to; an
/// address is this machine's own.
pub(in crate::host) fn address_of(domain: &Domain) -> IpAddr {
    domain.address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

impl Client {
    /// Plain HTTP to a port on 127.0.0.1.
    pub fn local(host: &Reader, port: u16) -> Self {
        let config = usual(host).max_redirects(5).build();
        Client { agent: config.into(), base: format!("http://127.0.0.1:{port}") }
    }

    /// Plain HTTP to port 80 of this machine, by the public name.
    pub fn plain(host: &Reader, domain: &Domain) -> Self {
        let config = usual(host).max_redirects(0).build();
        let here = Fixed(SocketAddr::new(address_of(domain), 80));
        let agent = Agent::with_parts(config, DefaultConnector::default(), here);
        Client { agent, base: format!("http://{}", domain.host()) }
    }

    /// HTTPS to this machine by the public name.
    ///
    /// # Errors
    /// If the root is not a certificate.
    pub fn public(host: &Reader, domain: &Domain, trust: &Trust) -> Result<Self> {
        let tls = TlsConfig::builder();
        let tls = match trust {
            // Caddy may have another authority than the usual one, which this host knows.
            Trust::Public => tls.root_certs(roots(host)),
            Trust::Anybody => tls.disable_verification(true),
            Trust::Only(pem) => {
                let root = Certificate::from_pem(pem).map_err(|error| {
                    Failure::new("reading", "the root certificate of Caddy", error.to_string())
                })?;
                tls.root_certs(RootCerts::Specific(Arc::new(vec![root])))
            }
        };
        let config = usual(host).max_redirects(0).tls_config(tls.build()).build();
        let here = Fixed(SocketAddr::new(address_of(domain), domain.port()));
        let agent = Agent::with_parts(config, DefaultConnector::default(), here);
        Ok(Client { agent, base: format!("https://{domain}") })
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// In words, if there is no answer.
    pub fn get(&self, path: &str) -> std::result::Result<Answer, String> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        read(answer.map_err(|error| error.to_string())?)
    }

    /// Any address, as this host would ask for it: through its proxy, by the authorities it trusts.
    pub fn anywhere(host: &Reader, base: &Secret, limit: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(host.patience(limit)))
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots(host)).build())
            .build();
        Client { agent: config.into(), base: base.expose().to_owned() }
    }

    /// Where releases are. Redirects are followed; to plain HTTP only if that was asked for.
    pub fn releases(host: &Reader, base: &str, https_only: bool, limit: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(limit))
            .timeout_connect(Some(TIMEOUT))
            .http_status_as_error(false)
            .https_only(https_only)
            .tls_config(TlsConfig::builder().root_certs(roots(host)).build())
            .build();
        Client { agent: config.into(), base: base.to_owned() }
    }

    /// The body of a path, of at most so many bytes.
    ///
    /// # Errors
    /// In words, if there is none.
    pub fn stream(
        &self,
        path: &str,
        most: u64,
    ) -> std::result::Result<impl std::io::Read + use<>, String> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body().into_with_config().limit(most).reader()),
            status => Err(format!("status {status}")),
        }
    }

    /// Asks for the headers of a path alone.
    ///
    /// # Errors
    /// In words, if there is no answer.
    pub fn head(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> std::result::Result<Answer, String> {
        let mut asked = self.agent.head(format!("{}{path}", self.base));
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        read(asked.call().map_err(|error| error.to_string())?)
    }

    /// Asks for another address.
    ///
    /// # Errors
    /// In words, if there is no answer.
    pub fn get_at(&self, url: &str) -> std::result::Result<Answer, String> {
        read(self.agent.get(url).call().map_err(|error| error.to_string())?)
    }

    /// Posts text as JSON.
    ///
    /// # Errors
    /// In words, if there is no answer.
    pub fn post_text(&self, path: &str, text: &str) -> std::result::Result<Answer, String> {
        let asked = self.agent.post(format!("{}{path}", self.base));
        let answer = asked.header("content-type", "application/json").send(text);
        read(answer.map_err(|error| error.to_string())?)
    }

    fn post(&self, path: &str, body: &Value) -> std::result::Result<Answer, String> {
        let answer = self.agent.post(format!("{}{path}", self.base)).send_json(body);
        read(answer.map_err(|error| error.to_string())?)
    }

    /// Signs in through a flow as a browser would, and asks who that is.
    ///
    /// # Errors
    /// In words, with the flow's own message where it gave one.
    pub fn sign_in(
        &self,
        flow: &str,
        user: &str,
        password: &Secret,
    ) -> std::result::Result<(), String> {
        let path = format!("/api/v3/flows/executor/{flow}/?query=");
        let mut stage = challenge(&self.get(&path)?)?;
        for _ in 0..6 {
            let answer = match stage.get("component").and_then(Value::as_str) {
                Some("ak-stage-identification") => {
                    let mut body =
                        json!({"component": "ak-stage-identification", "uid_field": user});
                    let with_password = stage.get("password_fields").and_then(Value::as_bool);
                    if let (Some(true), Some(map)) = (with_password, body.as_object_mut()) {
                        map.insert("password".into(), password.expose().into());
                    }
                    body
                }
                Some("ak-stage-password") => {
                    json!({"component": "ak-stage-password", "password": password.expose()})
                }
                Some("xak-flow-redirect") => return self.am_i(user),
                Some("ak-stage-access-denied") => return Err("the flow denied access".into()),
                other => {
                    return Err(format!("the flow asks for {other:?}, which is not answered here"));
                }
            };
            stage = challenge(&self.post(&path, &answer)?)?;
            if let Some(errors) = stage.get("response_errors").filter(|errors| !errors.is_null()) {
                return Err(format!("the flow answered {errors}"));
            }
        }
        Err("the flow did not end".into())
    }

    fn am_i(&self, user: &str) -> std::result::Result<(), String> {
        let me = challenge(&self.get("/api/v3/core/users/me/")?)?;
        let text = |key: &str| me.pointer(&format!("/user/{key}")).cloned().unwrap_or(Value::Null);
        if text("username") != user {
            return Err(format!("signed in, but as {}", text("username")));
        }
        if text("is_superuser") != true {
            return Err(format!("{user} is not an administrator"));
        }
        Ok(())
    }
}

// The authorities that this host trusts.
fn roots(host: &Reader) -> RootCerts {
    match host.trusted_roots() {
        roots if roots.is_empty() => RootCerts::WebPki,
        roots => RootCerts::Specific(Arc::new(roots)),
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> std::result::Result<Answer, String> {
    let text = |value: &ureq::http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers: BTreeMap<String, String> = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
        .collect();
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(1 << 20).read_to_string();
    Ok(Answer { status, headers, body: body.map_err(|error| error.to_string())? })
}

fn challenge(answer: &Answer) -> std::result::Result<Value, String> {
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    serde_json::from_str(&answer.body).map_err(|_| "the answer is not JSON".to_owned())
}
