//! What the facts mean, and what to do.

use serde::Serialize;

use super::facts::Facts;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

/// Whether it stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    Works,
    /// It may be meant, and may be a mistake.
    Doubtful,
    Fails,
    Unknown,
}

/// Tables of others that enforce policies: two of them drop what either denies.
const OTHER_ENGINES: [&str; 5] = ["calico", "cilium", "antrea", "kube-router", "kube-network-policies"];

/// Every finding, in the order in which to mend.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut all = vec![permission(facts), kernel(facts), ruleset(facts), names(facts), table(facts), tables(facts)];
    all.extend([forwarding(facts), bridges(facts), ipvs(facts), conntrack(facts), clock(facts)]);
    all
}

fn finding(name: &'static str, state: State, found: impl Into<String>, mend: Option<&str>) -> Finding {
    Finding { name, state, found: found.into(), mend: mend.map(str::to_owned) }
}

fn permission(facts: &Facts) -> Finding {
    match facts.net_admin {
        Some(true) => finding("permission", State::Works, "CAP_NET_ADMIN", None),
        Some(false) => {
            let mend =
                "run it as root, or in a container with `capabilities: {add: [NET_ADMIN]}`; the lab needs neither";
            finding("permission", State::Fails, "no CAP_NET_ADMIN: nothing can be enforced by this process", Some(mend))
        }
        None => finding("permission", State::Unknown, "/proc/self/status tells no capabilities", None),
    }
}

fn kernel(facts: &Facts) -> Finding {
    match &facts.kernel {
        Some(release) => finding(
            "kernel",
            State::Works,
            format!("Linux {release}; whether it has what is needed is tried below"),
            None,
        ),
        None => finding("kernel", State::Unknown, "/proc/sys/kernel/osrelease cannot be read", None),
    }
}

fn ruleset(facts: &Facts) -> Finding {
    match &facts.ruleset {
        Some(Ok(time)) => {
            let found =
                format!("a sample loads, in a network namespace of its own, in {:.1} ms", time.as_secs_f64() * 1e3);
            finding("ruleset", State::Works, found, None)
        }
        Some(Err(why)) if facts.net_admin == Some(false) => {
            let mend = "run it as root: it tries in a network namespace of its own and changes nothing here";
            finding("ruleset", State::Unknown, format!("not tried: {why}"), Some(mend))
        }
        Some(Err(why)) => {
            let mend = "the kernel needs nf_tables with conntrack, fib, log and sets of intervals (CONFIG_NF_TABLES_INET, \
                        CONFIG_NFT_CT, CONFIG_NFT_FIB_INET, CONFIG_NFT_LOG): load or enable what is missing";
            finding("ruleset", State::Fails, why.clone(), Some(mend))
        }
        None => finding("ruleset", State::Unknown, "not tried", None),
    }
}

fn names(facts: &Facts) -> Finding {
    match &facts.names {
        Some(Ok(())) if facts.resolver => {
            let mend = "only policies with domainNames need it: let the name server of this node listen at its own \
                        addresses, not at all";
            let found = "somebody listens at UDP port 53 at every address: answers cannot be sent on to pods";
            finding("names", State::Doubtful, found, Some(mend))
        }
        Some(Ok(())) => finding("names", State::Works, "answers of name servers can be held", None),
        Some(Err(why)) if facts.net_admin == Some(false) => {
            finding("names", State::Unknown, format!("not tried: {why}"), Some("run it as root, as above"))
        }
        Some(Err(why)) => {
            let mend = "only policies with domainNames need it: CONFIG_NFT_TPROXY";
            finding("names", State::Doubtful, why.clone(), Some(mend))
        }
        None => finding("names", State::Unknown, "not tried", None),
    }
}

fn table(facts: &Facts) -> Finding {
    match facts.table {
        Some(Some((chains, sets))) => {
            finding("own table", State::Works, format!("inet palisade, {chains} chains, {sets} sets"), None)
        }
        Some(None) => finding("own table", State::Works, "none: nothing is enforced here", None),
        None => finding("own table", State::Unknown, "nftables cannot be asked", None),
    }
}

fn tables(facts: &Facts) -> Finding {
    let Some(tables) = &facts.tables else {
        return finding("other tables", State::Unknown, "`nft list tables` says nothing (is nft installed?)", None);
    };
    let others: Vec<&str> = tables
        .iter()
        .map(String::as_str)
        .filter(|table| OTHER_ENGINES.iter().any(|name| table.contains(name)))
        .collect();
    if others.is_empty() {
        return finding("other tables", State::Works, format!("{}, none of another policy engine", tables.len()), None);
    }
    let mend = "a packet must pass both; switch the other engine's policies off once this one is ready";
    finding("other tables", State::Doubtful, format!("another policy engine's: {}", others.join(", ")), Some(mend))
}

fn forwarding(facts: &Facts) -> Finding {
    let missing: Vec<&str> = [("IPv4", facts.forwarding[0]), ("IPv6", facts.forwarding[1])]
        .into_iter()
        .filter(|(_, on)| *on == Some(false))
        .map(|(family, _)| family)
        .collect();
    match (missing.as_slice(), facts.forwarding) {
        (_, [None, None]) => finding("forwarding", State::Unknown, "the sysctls cannot be read", None),
        ([], _) => finding("forwarding", State::Works, "on", None),
        (off, _) => {
            let mend = "a node forwards its pods' packets: sysctl net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 (a \
                        family that pods do not use may stay off)";
            finding("forwarding", State::Doubtful, format!("off for {}", off.join(" and ")), Some(mend))
        }
    }
}

fn bridges(facts: &Facts) -> Finding {
    if facts.bridges.is_empty() {
        return finding("bridges", State::Works, "none with ports", None);
    }
    let names = facts.bridges.join(", ");
    if facts.bridged == [Some(true), Some(true)] {
        return finding("bridges", State::Works, format!("{names}; bridged packets pass the rules"), None);
    }
    let found = match facts.bridged {
        [None, None] => format!("{names}; br_netfilter is not loaded, so packets between their pods pass no rules"),
        _ => format!("{names}; bridged packets pass no rules"),
    };
    let mend = "if pods are on these: modprobe br_netfilter; sysctl net.bridge.bridge-nf-call-iptables=1 \
                net.bridge.bridge-nf-call-ip6tables=1";
    finding("bridges", State::Fails, found, Some(mend))
}

fn ipvs(facts: &Facts) -> Finding {
    match facts.ipvs {
        0 => finding("IPVS", State::Works, "no services", None),
        services => {
            let mend = "IPVS does not pass the hook that the rules are at: run kube-proxy in mode nftables or iptables";
            finding("IPVS", State::Fails, format!("{services} services"), Some(mend))
        }
    }
}

fn conntrack(facts: &Facts) -> Finding {
    match facts.conntrack {
        Some((count, most)) if count.saturating_mul(10) >= most.saturating_mul(9) => {
            let mend = "new connections are dropped when it is full: raise net.netfilter.nf_conntrack_max";
            finding("conntrack", State::Doubtful, format!("{count} of {most} connections"), Some(mend))
        }
        Some((count, most)) => finding("conntrack", State::Works, format!("{count} of {most} connections"), None),
        None => finding("conntrack", State::Unknown, "not in use yet", None),
    }
}

fn clock(facts: &Facts) -> Finding {
    match facts.clock_is_behind {
        Some(true) => {
            let mend = "set the clock: certificates of the API server will not be valid yet";
            finding("clock", State::Fails, "before the time at which this program was made", Some(mend))
        }
        Some(false) => finding("clock", State::Works, "not before the time at which this program was made", None),
        None => finding("clock", State::Unknown, "cannot be compared", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            kernel: Some("6.18.0".to_owned()),
            net_admin: Some(true),
            ruleset: Some(Ok(std::time::Duration::from_millis(2))),
            names: Some(Ok(())),
            table: Some(None),
            tables: Some(Vec::new()),
            forwarding: [Some(true); 2],
            conntrack: Some((1, 100)),
            clock_is_behind: Some(false),
            ..Facts::default()
        }
    }

    fn state(facts: &Facts, name: &str) -> State {
        findings(facts).into_iter().find(|finding| finding.name == name).unwrap().state
    }

    #[test]
    fn a_healthy_node_works() {
        assert!(findings(&healthy()).iter().all(|finding| finding.state == State::Works && finding.mend.is_none()));
    }

    /// What is broken, what is said of it, and how it is broken.
    type Fault = (&'static str, State, fn(&mut Facts));

    #[test]
    fn each_fault_is_found_and_says_what_to_do() {
        let faults: [Fault; 11] = [
            ("permission", State::Fails, |facts| facts.net_admin = Some(false)),
            ("ruleset", State::Fails, |facts| facts.ruleset = Some(Err("no nf_tables".to_owned()))),
            ("names", State::Doubtful, |facts| facts.names = Some(Err("no tproxy".to_owned()))),
            ("names", State::Doubtful, |facts| facts.resolver = true),
            ("other tables", State::Doubtful, |facts| facts.tables = Some(vec!["inet calico".to_owned()])),
            ("forwarding", State::Doubtful, |facts| facts.forwarding = [Some(true), Some(false)]),
            ("bridges", State::Fails, |facts| facts.bridges = vec!["cni0".to_owned()]),
            ("bridges", State::Fails, |facts| {
                (facts.bridges, facts.bridged) = (vec!["cni0".to_owned()], [Some(true), Some(false)]);
            }),
            ("IPVS", State::Fails, |facts| facts.ipvs = 3),
            ("conntrack", State::Doubtful, |facts| facts.conntrack = Some((90, 100))),
            ("clock", State::Fails, |facts| facts.clock_is_behind = Some(true)),
        ];
        for (name, wanted, break_it) in faults {
            let mut facts = healthy();
            break_it(&mut facts);
            let found = findings(&facts).into_iter().find(|finding| finding.name == name).unwrap();
            assert_eq!(found.state, wanted, "{name}");
            assert!(found.mend.is_some(), "{name} says what to do");
        }
    }

    #[test]
    fn without_permission_the_ruleset_is_not_a_failure_of_its_own() {
        let facts = Facts { net_admin: Some(false), ruleset: Some(Err("EPERM".to_owned())), ..healthy() };
        assert_eq!(state(&facts, "ruleset"), State::Unknown);
    }
}
