//! What is so on this machine: read, never changed. The one thing that is tried is tried in a network
//! namespace of its own.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use palisade_engine::{PolicyProgram, model::Cluster};
use palisade_linux::{netns::NetNs, transparent::Diverted};
use palisade_manifest::{ReadOptions, read_text};
use palisade_nftables::{
    difference::Difference,
    held::Held,
    netlink::Kernel,
    plan::{Options, plan},
};

/// Everything that findings are made from; `None` is what could not be found out.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `6.1.0-28-amd64`
    pub(super) kernel: Option<String>,
    /// Whether this process has CAP_NET_ADMIN.
    pub(super) net_admin: Option<bool>,
    /// How long it took to load a whole ruleset in a namespace of its own, or why it did not.
    pub(super) ruleset: Option<Result<Duration, String>>,
    /// Whether answers of name servers can be held, tried in a namespace of its own, or why not.
    pub(super) names: Option<Result<(), String>>,
    /// Whether somebody here listens at port 53 of UDP at every address.
    pub(super) resolver: bool,
    /// Chains and sets of our table here; `None` inside: there is none.
    pub(super) table: Option<Option<(usize, usize)>>,
    /// The names of other tables, when `nft` could tell.
    pub(super) tables: Option<Vec<String>>,
    /// Whether packets are forwarded: IPv4, IPv6.
    pub(super) forwarding: [Option<bool>; 2],
    /// Bridges that have ports.
    pub(super) bridges: Vec<String>,
    /// Whether bridged packets pass the forward hook: IPv4, IPv6; `None`: br_netfilter is not loaded.
    pub(super) bridged: [Option<bool>; 2],
    /// Services of IPVS.
    pub(super) ipvs: usize,
    /// Connections known and the most there can be.
    pub(super) conntrack: Option<(u64, u64)>,
    /// Whether the clock is before the time at which this program was built.
    pub(super) clock_is_behind: Option<bool>,
}

impl Facts {
    /// Looks.
    pub(super) fn gather() -> Self {
        let sysctl = |key: &str| fs::read_to_string(Path::new("/proc/sys").join(key)).ok();
        let flag = |key: &str| sysctl(key).map(|value| value.trim() == "1");
        let number = |key: &str| sysctl(key).and_then(|value| value.trim().parse::<u64>().ok());
        Self {
            kernel: sysctl("kernel/osrelease").map(|release| release.trim().to_owned()),
            net_admin: net_admin(),
            ruleset: Some(load_in_a_namespace()),
            names: Some(hold_in_a_namespace()),
            resolver: ["/proc/net/udp", "/proc/net/udp6"].iter().any(|table| has_resolver(table)),
            table: own_table(),
            tables: other_tables(),
            forwarding: [flag("net/ipv4/ip_forward"), flag("net/ipv6/conf/all/forwarding")],
            bridges: bridges(),
            bridged: [flag("net/bridge/bridge-nf-call-iptables"), flag("net/bridge/bridge-nf-call-ip6tables")],
            ipvs: ipvs(),
            conntrack: number("net/netfilter/nf_conntrack_count").zip(number("net/netfilter/nf_conntrack_max")),
            clock_is_behind: clock_is_behind(),
        }
    }
}

/// CAP_NET_ADMIN is bit 12 of the effective set (capabilities(7), `/proc/self/status`).
fn net_admin() -> Option<bool> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    Some(u64::from_str_radix(line.trim(), 16).ok()? >> 12 & 1 == 1)
}

/// How many virtual services IPVS has here.
pub(super) fn ipvs() -> usize {
    fs::read_to_string("/proc/net/ip_vs").map_or(0, |text| ipvs_services(&text))
}

/// A virtual service is a line that begins with its protocol.
fn ipvs_services(text: &str) -> usize {
    text.lines().filter(|line| ["TCP ", "UDP ", "SCTP ", "FWM "].iter().any(|start| line.starts_with(start))).count()
}

fn bridges() -> Vec<String> {
    let Ok(links) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    let with_ports = links
        .flatten()
        .filter(|link| fs::read_dir(link.path().join("brif")).is_ok_and(|mut ports| ports.next().is_some()));
    let mut names: Vec<String> = with_ports.map(|link| link.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn own_table() -> Option<Option<(usize, usize)>> {
    let snapshot = Kernel::open().ok()?.snapshot().ok()?;
    Some(snapshot.exists.then_some((snapshot.chains.len(), snapshot.sets.len())))
}

fn other_tables() -> Option<Vec<String>> {
    let output = Command::new("nft").args(["list", "tables"]).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.strip_prefix("table "));
    Some(names.filter(|name| *name != "inet palisade").map(str::to_owned).collect())
}

/// The program's own file was made at some time, and now is not before that.
fn clock_is_behind() -> Option<bool> {
    let built = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    Some(SystemTime::now() < built)
}

/// A ruleset with everything that ours have: maps, sets, intervals, logging, the check of the source.
fn load_in_a_namespace() -> Result<Duration, String> {
    let cluster = sample().ok_or("the sample cluster cannot be read")?;
    let node = cluster.find_node("node").ok_or("the sample cluster has no node")?;
    let options = Options { pod_interfaces: vec!["veth".to_owned()], ..Options::default() };
    let planned = plan(&cluster, &PolicyProgram::compile(&cluster), node, &options);
    let namespace = NetNs::create("palisade-doctor").map_err(|error| error.to_string())?;
    let loaded = namespace.run(|| {
        let begin = Instant::now();
        let mut kernel = Kernel::open().map_err(|error| error.to_string())?;
        kernel.apply(&Difference::between(None, &planned.ruleset)).map_err(|error| error.to_string())?;
        Ok(begin.elapsed())
    });
    loaded.map_err(|error| error.to_string())?
}

/// What domain names need: `tproxy` and transparent sockets.
fn hold_in_a_namespace() -> Result<(), String> {
    let namespace = NetNs::create("palisade-doctor").map_err(|error| error.to_string())?;
    let held = namespace.run(|| {
        let port = Diverted::open().map_err(|error| format!("transparent sockets: {error}"))?.port();
        let pods = [IpAddr::from([198, 51, 100, 1])].into();
        let mut kernel = Kernel::open().map_err(|error| error.to_string())?;
        kernel.hold(Some(&Held { pods, port })).map_err(|error| error.to_string())
    });
    held.map_err(|error| error.to_string())?
}

/// A table of the kernel's UDP sockets: the second field is the address and port, in hexadecimal.
fn has_resolver(table: &str) -> bool {
    fs::read_to_string(table).is_ok_and(|text| listens_everywhere(&text))
}

fn listens_everywhere(text: &str) -> bool {
    let local = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let is_any =
        |at: String| at.split_once(':').is_some_and(|(ip, port)| port == "0035" && ip.bytes().all(|c| c == b'0'));
    text.lines().filter_map(local).any(is_any)
}

fn sample() -> Option<Cluster> {
    let reading = read_text("sample", include_str!("sample.yaml"), &ReadOptions::default());
    reading.inventory.into_cluster().ok().filter(|_| reading.diagnostics.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_ipvs_are_counted() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> \
                    RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  0A600001:01BB rr\n  -> 0AF40003:192B \
                    Masq    1      0          0\nUDP  0A60000A:0035 rr\n";
        assert_eq!(ipvs_services(text), 2);
        assert_eq!(ipvs_services("IP Virtual Server version 1.2.1 (size=4096)\n"), 0);
    }

    #[test]
    fn a_resolver_at_every_address_is_seen() {
        let head = "  sl  local_address rem_address   st\n";
        let line = |local: &str| format!("{head} 1234: {local} 00000000:0000 07\n");
        assert!(listens_everywhere(&line("00000000:0035")));
        assert!(listens_everywhere(&line("00000000000000000000000000000000:0035")));
        assert!(!listens_everywhere(&line("3500007F:0035")) && !listens_everywhere(&line("00000000:14E9")));
    }

    #[test]
    fn the_sample_has_what_a_node_needs() {
        let cluster = sample().unwrap();
        assert!(cluster.find_node("node").is_some() && cluster.policies().len() == 2);
    }
}
