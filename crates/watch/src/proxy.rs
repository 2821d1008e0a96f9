//! The proxy that the environment asks for: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read as kubectl reads them.
//!
//! The client's own reading compares `NO_PROXY` with the proxy and not with the server, and sends requests
//! for this machine through the proxy too.

use std::{env, net::IpAddr};

use ipnet::IpNet;

/// The proxy for a server, when there is one.
pub(crate) fn of_environment(server: &str) -> Option<String> {
    let get = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    of(server, |name| get(&name.to_uppercase()).or_else(|| get(name)))
}

fn of(server: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (scheme, rest) = server.split_once("://")?;
    let proxy = variable(if scheme == "https" { "https_proxy" } else { "http_proxy" })?;
    let authority = rest.split('/').next().unwrap_or_default();
    let default = if scheme == "https" { "443" } else { "80" };
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(default)),
        None => authority.split_once(':').unwrap_or((authority, default)),
    };
    if is_direct(host, port, &variable("no_proxy").unwrap_or_default()) {
        return None;
    }
    Some(if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

fn is_direct(host: &str, port: &str, exceptions: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    exceptions.split([',', ' ']).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some(address) = address {
            let network = entry.parse::<IpNet>().is_ok_and(|network| network.contains(&address));
            return network || entry.parse() == Ok(address) || entry == format!("{host}:{port}");
        }
        let (name, of_port) = entry.split_once(':').map_or((entry.as_str(), None), |(name, port)| (name, Some(port)));
        if of_port.is_some_and(|of_port| of_port != port) {
            return false;
        }
        let name = name.strip_prefix('*').unwrap_or(name);
        match name.strip_prefix('.') {
            Some(domain) => host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')),
            None => host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.')),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(server: &str, exceptions: &str) -> Option<String> {
        of(server, |name| match name {
            "https_proxy" => Some("proxy:3128".to_owned()),
            "no_proxy" => Some(exceptions.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn the_proxy_of_the_scheme() {
        assert_eq!(asked("https://api.example.org:6443", ""), Some("http://proxy:3128".to_owned()));
        assert_eq!(asked("http://api.example.org", ""), None);
    }

    #[test]
    fn exceptions_are_about_the_server() {
        for (server, exceptions) in [
            ("https://127.0.0.1:6443", ""),
            ("https://localhost:6443/", ""),
            ("https://[::1]:6443", ""),
            ("https://10.1.2.3:6443", "example.org,10.0.0.0/8"),
            ("https://[fd00::7]:6443", "fd00::/8"),
            ("https://api.Example.org", "example.org"),
            ("https://api.example.org", ".example.org"),
            ("https://api.example.org", "*.example.org"),
            ("https://api.example.org:6443", "api.example.org:6443"),
            ("https://api.example.org", "*"),
        ] {
            assert_eq!(asked(server, exceptions), None, "{server} {exceptions}");
        }
        for (server, exceptions) in [
            ("https://example.org", ".example.org"),
            ("https://anexample.org", "example.org"),
            ("https://api.example.org:6443", "api.example.org:443"),
            ("https://11.1.2.3", "10.0.0.0/8"),
        ] {
            assert!(asked(server, exceptions).is_some(), "{server} {exceptions}");
        }
    }
}
