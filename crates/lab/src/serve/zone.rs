//! The names of a cluster, and the answers of its resolver (RFC 1035), by hand: two types of question.
//!
//! ```text
//! SERVICE.NS.svc.cluster.local          its addresses; of a headless one, those of its pods
//! POD.SERVICE.NS.svc.cluster.local      a pod of a headless Service
//! 10-244-1-7.NS.pod.cluster.local       a pod, by its address
//! POD.NS.svc.cluster.local              a pod, where no Service has the name: no cluster does this
//! what --resolve tells of               the addresses that it tells, and no others; `*.NAME` is all below it
//! anything.com, .org, .net, .io, .dev   a host outside: the lab has no internet, and texts want one
//! ```

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use palisade_engine::model::{Cluster, Family, ServiceType};

use crate::services;

/// What the names of a cluster end with.
pub(crate) const DOMAIN: &str = "cluster.local";
/// The last parts of names that are hosts outside.
const OUTSIDE: [&str; 6] = ["com", "org", "net", "io", "dev", "example"];
/// Who they are.
const OUTSIDE_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9))];

/// The longest answer over UDP, in bytes (RFC 1035, 4.2.1; no EDNS here).
pub(super) const DATAGRAM: usize = 512;
/// Seconds that an answer may be kept: none, for the next `apply` may change it.
const KEEP: u32 = 0;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
const NO_SUCH_NAME: u8 = 3;
const NOT_IMPLEMENTED: u8 = 4;

/// All names.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// In lower case, without the last dot.
    names: HashMap<String, Record>,
}

#[derive(Clone, Debug)]
enum Record {
    Addresses(Vec<IpAddr>),
    Alias(String),
}

impl Zone {
    /// The names of a cluster.
    pub fn of(cluster: &Cluster) -> Self {
        let mut names = HashMap::new();
        for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network) {
            let namespace = &pod.id.namespace;
            let all: Vec<IpAddr> = pod.addresses.iter().collect();
            for address in &all {
                let dashed = address.to_string().replace(['.', ':'], "-");
                names.insert(format!("{dashed}.{namespace}.pod.{DOMAIN}"), Record::Addresses(vec![*address]));
            }
            names.insert(format!("{}.{namespace}.svc.{DOMAIN}", pod.id.name), Record::Addresses(all));
        }
        for service in cluster.services() {
            let name = format!("{}.{}.svc.{DOMAIN}", service.id.name, service.id.namespace);
            if let Some(alias) = &service.external_name {
                names.insert(name, Record::Alias(alias.trim_end_matches('.').to_lowercase()));
                continue;
            }
            if service.kind != ServiceType::Headless {
                names.insert(name, Record::Addresses(service.addresses.clone()));
                continue;
            }
            let pods = services::pods_of(cluster, service);
            let address = |id, family| cluster.side_of_pod(id, family)?.address;
            for id in &pods {
                let own = Family::ALL.into_iter().filter_map(|family| address(*id, family)).collect();
                names.insert(format!("{}.{name}", cluster.pod(*id).id.name), Record::Addresses(own));
            }
            let all = Family::ALL.into_iter().flat_map(|family| pods.iter().filter_map(move |id| address(*id, family)));
            names.insert(name, Record::Addresses(all.collect()));
        }
        let mut told: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for one in cluster.resolved() {
            told.entry(one.name.to_string()).or_default().push(one.address.to_canonical());
        }
        names.extend(told.into_iter().map(|(name, addresses)| (name, Record::Addresses(addresses))));
        Self { names }
    }

    /// What is known of a name: by itself, or by the nearest pattern that holds it.
    fn find(&self, name: &str) -> Option<&Record> {
        let dots = name.match_indices('.').map(|(dot, _)| dot);
        let mut patterns = dots.filter_map(|dot| self.names.get(&format!("*{}", name.get(dot..)?)));
        self.names.get(name).or_else(|| patterns.next())
    }

    /// The answer to a question, of at most `limit` bytes; nothing when it is none.
    pub fn answer(&self, question: &[u8], limit: usize) -> Option<Vec<u8>> {
        let [id0, id1, flags, _, 0, 1, ..] = *question else { return None };
        if flags & 0x80 != 0 {
            return None;
        }
        let (name, after) = name(question, 12)?;
        let kind = u16::from_be_bytes(*question.get(after..)?.first_chunk()?);
        let class = u16::from_be_bytes(*question.get(after + 2..)?.first_chunk()?);
        let asked = question.get(12..after + 4)?;

        // QR, the question's opcode and RD, AA; then RA and the code.
        let mut answer = vec![id0, id1, 0x84 | (flags & 0x79), 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
        answer.extend_from_slice(asked);
        let code =
            if flags & 0x78 != 0 || class != INTERNET { NOT_IMPLEMENTED } else { self.write(&name, kind, &mut answer) };
        if let Some(byte) = answer.get_mut(3) {
            *byte |= code;
        }
        if answer.len() > limit {
            // Cut, and said so: the same again over TCP.
            answer.truncate(12 + asked.len());
            if let Some(count) = answer.get_mut(6..8) {
                count.fill(0);
            }
            if let Some(byte) = answer.get_mut(2) {
                *byte |= 0x02;
            }
        }
        Some(answer)
    }

    /// Adds what is known of a name, and returns the code.
    fn write(&self, name: &str, kind: u16, answer: &mut Vec<u8>) -> u8 {
        let mut count: u16 = 0;
        let mut current = name.to_owned();
        let outside = Record::Addresses(OUTSIDE_ADDRESSES.to_vec());
        // An alias of an alias, at most: a circle ends too.
        for _ in 0..8 {
            let is_outside = current.rsplit_once('.').is_some_and(|(_, last)| OUTSIDE.contains(&last));
            match self.find(&current).or(is_outside.then_some(&outside)) {
                None if count == 0 => return NO_SUCH_NAME,
                None => break,
                Some(Record::Alias(to)) => {
                    record(answer, &current, CNAME, &encoded(to));
                    count += 1;
                    current.clone_from(to);
                }
                Some(Record::Addresses(addresses)) => {
                    for address in addresses {
                        match (address, kind) {
                            (IpAddr::V4(v4), A) => record(answer, &current, A, &v4.octets()),
                            (IpAddr::V6(v6), AAAA) => record(answer, &current, AAAA, &v6.octets()),
                            _ => continue,
                        }
                        count += 1;
                    }
                    break;
                }
            }
        }
        if let Some(place) = answer.get_mut(6..).and_then(|bytes| bytes.first_chunk_mut()) {
            *place = count.to_be_bytes();
        }
        0
    }
}

fn record(answer: &mut Vec<u8>, name: &str, kind: u16, data: &[u8]) {
    answer.extend_from_slice(&encoded(name));
    answer.extend_from_slice(&kind.to_be_bytes());
    answer.extend_from_slice(&INTERNET.to_be_bytes());
    answer.extend_from_slice(&KEEP.to_be_bytes());
    answer.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    answer.extend_from_slice(data);
}

/// The labels of a name with their lengths; one that is too long for a label is cut.
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

/// The name at `at`, in lower case, and what is behind it. A question's name has no pointers.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length == 0 {
            return Some((labels.join("."), at + 1));
        }
        if length > 63 || labels.len() > 127 {
            return None;
        }
        let label = bytes.get(at + 1..at + 1 + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += 1 + length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        let addresses = |texts: &[&str]| Record::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect());
        let names = [
            ("web.prod.svc.cluster.local", addresses(&["10.96.0.11", "fd00::11"])),
            ("many.prod.svc.cluster.local", addresses(&["10.0.0.1"; 40])),
            ("alias.prod.svc.cluster.local", Record::Alias("web.prod.svc.cluster.local".to_owned())),
            ("circle.prod.svc.cluster.local", Record::Alias("circle.prod.svc.cluster.local".to_owned())),
            ("*.example.com", addresses(&["198.51.100.7"])),
            ("*.b.example.com", addresses(&["198.51.100.8"])),
            ("www.example.com", addresses(&["198.51.100.9"])),
        ];
        Zone { names: names.into_iter().map(|(name, record)| (name.to_owned(), record)).collect() }
    }

    fn ask(name: &str, kind: u16, limit: usize) -> Vec<u8> {
        let mut question = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend_from_slice(&encoded(name));
        question.extend_from_slice(&[kind.to_be_bytes(), INTERNET.to_be_bytes()].concat());
        zone().answer(&question, limit).unwrap()
    }

    /// The code, the count of answers, and the last bytes.
    fn said(answer: &[u8]) -> (u8, u8, Vec<u8>) {
        (answer[3] & 15, answer[7], answer[answer.len() - 4..].to_vec())
    }

    #[test]
    fn addresses_by_family_and_aliases() {
        assert_eq!(said(&ask("WEB.prod.svc.cluster.local", A, DATAGRAM)), (0, 1, vec![10, 96, 0, 11]));
        assert_eq!(said(&ask("web.prod.svc.cluster.local", AAAA, DATAGRAM)), (0, 1, vec![0, 0, 0, 0x11]));
        assert_eq!(said(&ask("alias.prod.svc.cluster.local", A, DATAGRAM)), (0, 2, vec![10, 96, 0, 11]));
        assert_eq!(said(&ask("google.com", A, DATAGRAM)), (0, 1, vec![203, 0, 113, 9]));
        for (told, last) in [("www.example.com", 9), ("a.example.com", 7), ("c.b.example.com", 8), ("b.example.com", 7)]
        {
            assert_eq!(said(&ask(told, A, DATAGRAM)), (0, 1, vec![198, 51, 100, last]), "{told}");
        }
        assert_eq!(ask("www.example.com", AAAA, DATAGRAM)[7], 0, "what is told of a name is all of it");
        assert_eq!(said(&ask("example.com", A, DATAGRAM)), (0, 1, vec![203, 0, 113, 9]), "a pattern is what is below");
        // The name is there, an address of that family or a record of that type is not.
        assert_eq!(&ask("many.prod.svc.cluster.local", AAAA, DATAGRAM)[3..8], [0x80, 0, 1, 0, 0]);
        for unknown in ["nobody.prod.svc.cluster.local", "google.com.prod.svc.cluster.local", "web", ""] {
            assert_eq!(said(&ask(unknown, A, DATAGRAM)).0, NO_SUCH_NAME, "{unknown}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_a_circle_ends() {
        let cut = ask("many.prod.svc.cluster.local", A, DATAGRAM);
        assert_eq!((cut[2] & 2, cut[7]), (2, 0));
        assert_eq!(ask("many.prod.svc.cluster.local", A, 65_535)[7], 40);
        assert_eq!(ask("circle.prod.svc.cluster.local", A, 65_535)[7], 8);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'w', b'e', b'b', 0, 0, 1, 0, 1];
        for length in 0..good.len() {
            assert!(zone().answer(&good[..length], DATAGRAM).is_none(), "{length}");
        }
        let mut answer = good;
        answer[2] |= 0x80;
        assert!(zone().answer(&answer, DATAGRAM).is_none(), "an answer is no question");
        for byte in 0..=255 {
            for at in 0..good.len() {
                let mut bytes = good;
                bytes[at] = byte;
                _ = zone().answer(&bytes, DATAGRAM);
            }
        }
    }
}
