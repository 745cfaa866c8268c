//! The machine around the services: what kind it is, its clock, its names and its firewall.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::memo::About;
use crate::host::run::{Cmd, find};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// A name server that does not answer keeps a resolver waiting for ten seconds and more.
const LOOKUP: Duration = Duration::from_secs(4);

impl Reader {
    /// The name that this machine has for itself.
    pub fn host_name(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// The kind of container that this is, in systemd's words; `None` on a machine of its own.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn container_kind(&self) -> Result<Option<String>> {
        let output =
            Cmd::new("systemd-detect-virt").arg("--container").asks(About::Machine).output(self)?;
        let kind = output.out.trim();
        Ok(Some(kind.to_owned()).filter(|kind| kind != "none" && !kind.is_empty()))
    }

    /// Does SELinux enforce its policy?
    pub fn selinux_enforces(&self) -> bool {
        std::fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|on| on.trim() == "1")
    }

    /// Is the clock kept by a time server?
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn clock_is_kept(&self) -> Result<bool> {
        // systemd's own time client leaves this; asking for it starts a service.
        if self.exists("/run/systemd/timesync/synchronized") {
            return Ok(true);
        }
        let args = ["show", "-p", "NTPSynchronized", "--value"];
        Ok(Cmd::new("timedatectl").args(args).asks(About::Machine).run(self)?.trim() == "yes")
    }

    /// The addresses that a name has; none if it is not known.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>> {
        let output = Cmd::new("getent")
            .args(["ahosts", name])
            .deadline(LOOKUP)
            .asks(About::Machine)
            .output(self)?;
        let first =
            output.out.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
        let mut found: Vec<IpAddr> = first.collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The addresses of this machine.
    ///
    /// # Errors
    /// If they cannot be asked.
    pub fn own_addresses(&self) -> Result<Vec<IpAddr>> {
        let text = Cmd::new("ip").args(["-j", "addr"]).asks(About::Machine).run(self)?;
        let links: Vec<Value> = serde_json::from_str(&text)
            .map_err(|error| Failure::new("reading the answer of", "ip", error.to_string()))?;
        let infos = links.iter().filter_map(|link| link.get("addr_info")?.as_array()).flatten();
        Ok(infos.filter_map(|info| info.get("local")?.as_str()?.parse().ok()).collect())
    }

    /// Does a packet filter keep newcomers from this TCP port? By what nftables holds, which every
    /// front end of it fills; `None` where there is no `nft`.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn port_is_filtered(&self, port: u16) -> Result<Option<bool>> {
        if find("nft").is_none() {
            return Ok(None);
        }
        let text =
            Cmd::new("nft").args(["-j", "list", "ruleset"]).asks(About::Machine).run(self)?;
        let rules: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new("reading the answer of", "nft", error.to_string()))?;
        Ok(Some(is_filtered(&rules, port)))
    }
}

// A chain at the input whose policy, or whose last rule without a condition, is no; and no rule
// anywhere that names the port.
fn is_filtered(ruleset: &Value, port: u16) -> bool {
    let items = || ruleset.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let chains = items().filter_map(|item| item.get("chain"));
    let rules = || items().filter_map(|item| item.get("rule"));
    let closed =
        chains.filter(|chain| chain.get("hook").is_some_and(|hook| hook == "input")).any(|chain| {
            let own = rules().filter(|rule| {
                rule.get("chain") == chain.get("name") && rule.get("table") == chain.get("table")
            });
            let last = own.reduce(|_, rule| rule).and_then(|rule| rule.get("expr")?.as_array());
            chain.get("policy").is_some_and(|policy| policy == "drop")
                || last.is_some_and(|parts| says_no(parts))
        });
    closed && !rules().any(|rule| names_port(rule, port))
}

fn says_no(parts: &[Value]) -> bool {
    let conditional = parts.iter().any(|part| part.get("match").is_some());
    !conditional
        && parts.iter().any(|part| part.get("drop").is_some() || part.get("reject").is_some())
}

fn names_port(value: &Value, port: u16) -> bool {
    let is = |value: &Value| value.as_u64() == Some(port.into());
    match value {
        Value::Object(map) => match map.get("range").and_then(Value::as_array).map(Vec::as_slice) {
            Some([from, to]) => {
                let within = |low: u64, high: u64| (low..=high).contains(&u64::from(port));
                from.as_u64().zip(to.as_u64()).is_some_and(|(low, high)| within(low, high))
            }
            _ => map.iter().any(|(key, inner)| {
                key != "handle" && key != "packets" && key != "bytes" && names_port(inner, port)
            }),
        },
        Value::Array(list) => list.iter().any(|inner| names_port(inner, port)),
        other => is(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As `nft -j list ruleset` prints it.
    fn ruleset(policy: &str, port: Value) -> Value {
        serde_json::json!({"nftables": [
            {"metainfo": {"json_schema_version": 1}},
            {"chain": {"family": "inet", "table": "f", "name": "input", "handle": 443, "type": "filter",
                "hook": "input", "prio": 0, "policy": policy}},
            {"rule": {"family": "inet", "table": "f", "chain": "input", "handle": 80, "expr": [
                {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": port}},
                {"accept": null}]}},
        ]})
    }

    #[test]
    fn a_closed_door_is_seen() {
        assert!(is_filtered(&ruleset("drop", 22.into()), 443));
        assert!(is_filtered(&ruleset("drop", 22.into()), 80), "a handle is no port");
        assert!(!is_filtered(&ruleset("drop", serde_json::json!({"set": [22, 443]})), 443));
        assert!(!is_filtered(&ruleset("drop", serde_json::json!({"range": [400, 500]})), 443));
        assert!(!is_filtered(&ruleset("accept", 22.into()), 443));
    }
}
