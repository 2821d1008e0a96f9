//! Networks in CIDR notation (`k8s.io/apimachinery/pkg/util/validation`, as of Kubernetes 1.36).
//!
//! Servers up to 1.35 took host bits, leading zeros and IPv4-mapped networks with a warning, so the
//! error says what such a network was read as.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// Why a text is not a network that the API server takes, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CidrError {
    /// The second half of the message: "has bits set after its prefix".
    pub(crate) wrong: String,
    /// What to write, when that can be known.
    pub(crate) fix: Option<String>,
    /// The network that was meant, when that can be known.
    pub(crate) write: Option<IpNet>,
    /// Whether a mask in place of the length says the same.
    pub(crate) is_mask: bool,
    /// What servers up to 1.35 took it for, with a warning.
    pub(crate) once: Option<IpNet>,
}

/// Reads a network; its bits after the prefix are zero.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<IpNet, CidrError> {
    let wrong = |wrong: &str| CidrError { wrong: wrong.to_owned(), fix: None, write: None, is_mask: false, once: None };
    let fail = |what: &str, fix: Option<String>| Err(CidrError { fix, ..wrong(what) });
    let meant = |what: &str, write: Option<IpNet>| {
        let fix = write.map(|network| format!("write `{network}`"));
        CidrError { fix, write, ..wrong(what) }
    };
    let once = |what: &str, once: Option<IpNet>, words: &str| {
        let fix = once.map(|network| format!("{words} `{network}`"));
        Err(CidrError { fix, write: once, once, ..wrong(what) })
    };
    let trimmed = text.trim();
    if trimmed != text {
        return Err(meant("has spaces around it", parse(trimmed).ok()));
    }
    let Some((address, length)) = text.split_once('/') else {
        let error = meant("has no `/` with a prefix length", text.parse::<IpAddr>().ok().map(IpNet::from));
        return Err(CidrError { fix: error.fix.or_else(example), ..error });
    };
    if text.contains('%') {
        return fail("has a zone, which a network cannot have", example());
    }
    let zeros = (length.len() > 1 && length.starts_with('0')) || (!address.contains(':') && has_leading_zeros(address));
    let address = if zeros { without_zeros(address) } else { address.parse().ok() };
    let Some(ip) = address else {
        return fail("is not a network in CIDR notation", example());
    };
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let Some(length) = length.parse::<u8>().ok().filter(|length| digits && *length <= most) else {
        if let Ok(mask) = length.parse::<Ipv4Addr>()
            && let IpAddr::V4(v4) = ip
            && let Ok(network) = Ipv4Net::with_netmask(v4, mask)
        {
            let error = meant("has a mask instead of a prefix length", Some(IpNet::V4(network.trunc())));
            return Err(CidrError { is_mask: true, ..error });
        }
        return fail(&format!("needs a prefix length from 0 to {most} after the `/`"), example());
    };
    let Ok(network) = IpNet::new(ip, length) else {
        return fail("is not a network in CIDR notation", example());
    };
    let canonical = network.trunc();
    if mapped {
        let fix = match ip {
            IpAddr::V6(v6) if length >= 96 => v6.to_ipv4_mapped().and_then(|v4| Ipv4Net::new(v4, length - 96).ok()),
            _ => None,
        };
        return once("is an IPv4 network written as IPv6", fix.map(|network| IpNet::V4(network.trunc())), "write");
    }
    if zeros {
        return once("has leading zeros", Some(canonical), "write");
    }
    if network.addr() != canonical.addr() {
        return once("has bits set after its prefix", Some(canonical), "the network is");
    }
    Ok(canonical)
}

fn example() -> Option<String> {
    Some("write for example `10.9.8.0/24`".to_owned())
}

fn has_leading_zeros(address: &str) -> bool {
    address.split('.').any(|octet| octet.len() > 1 && octet.starts_with('0'))
}

/// The address that older servers read: zeros in front mean nothing (not octal, as in C).
fn without_zeros(address: &str) -> Option<IpAddr> {
    if address.contains(':') {
        return address.parse().ok();
    }
    let octets: Vec<&str> = address
        .split('.')
        .map(|octet| match octet.trim_start_matches('0') {
            "" if !octet.is_empty() => "0",
            rest => rest,
        })
        .collect();
    octets.join(".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_networks_are_canonical() {
        for (text, shown) in [
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.0.0.1/32", "10.0.0.1/32"),
            ("::/0", "::/0"),
            ("2001:0db8:0000:0000:0000:0000:0000:0000/32", "2001:db8::/32"),
        ] {
            assert_eq!(parse(text).map(|network| network.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn bad_networks_say_what_to_write() {
        for (text, fix) in [
            ("10.1.2.3/8", "the network is `10.0.0.0/8`"),
            ("2001:db8::1/32", "the network is `2001:db8::/32`"),
            ("010.000.000.000/8", "write `10.0.0.0/8`"),
            ("10.0.0.0/08", "write `10.0.0.0/8`"),
            ("10.0.0.1", "write `10.0.0.1/32`"),
            ("10.0.0.0/255.0.0.0", "write `10.0.0.0/8`"),
            (" 10.0.0.0/8 ", "write `10.0.0.0/8`"),
            ("::ffff:10.0.0.0/104", "write `10.0.0.0/8`"),
        ] {
            assert_eq!(parse(text).unwrap_err().fix.as_deref(), Some(fix), "{text}");
        }
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/33",
            "10.0.0/24",
            "10.0.0.1-10.0.0.9",
            "fe80::1%eth0/64",
            "2001:db8::/129",
            "nope",
            "10.0.0.0/8/8",
            "a.b.c.d/8",
            "0.0.0/0",
            "00/0",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
