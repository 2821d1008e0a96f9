//! Addresses of the outside as few prefixes.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// At most `most` prefixes that hold all addresses (at least one for each family). Prefixes that hold one of
/// `inside` are made only when nothing else is left; whether that was so is the second answer.
pub(crate) fn cover(addresses: &[IpAddr], most: usize, inside: &[IpNet]) -> (Vec<IpNet>, bool) {
    let mut nets = IpNet::aggregate(&addresses.iter().copied().map(IpNet::from).collect::<Vec<_>>());
    nets.sort();
    let mut covers_inside = false;
    while nets.len() > most.max(1) {
        let joined = nets.windows(2).enumerate().filter_map(|(at, pair)| match pair {
            [a, b] => Some((at, join(*a, *b)?)),
            _ => None,
        });
        let touches = |net: &IpNet| inside.iter().any(|other| net.contains(other) || other.contains(net));
        // The smallest network of those that hold no pod.
        let best = joined.map(|(at, net)| (touches(&net), net.max_prefix_len() - net.prefix_len(), at, net)).min();
        let Some((touched, _, at, net)) = best else { break };
        covers_inside |= touched;
        nets.remove(at);
        if let Some(place) = nets.get_mut(at) {
            *place = net;
        }
        nets = IpNet::aggregate(&nets);
        nets.sort();
    }
    (nets, covers_inside)
}

/// The smallest network that holds both; `None` for different families.
fn join(a: IpNet, b: IpNet) -> Option<IpNet> {
    match (a, b) {
        (IpNet::V4(a), IpNet::V4(b)) => {
            let same = (u32::from(a.network()) ^ u32::from(b.network())).leading_zeros();
            let length = u8::try_from(same).ok()?.min(a.prefix_len()).min(b.prefix_len());
            Some(IpNet::V4(Ipv4Net::new(a.network(), length).ok()?.trunc()))
        }
        (IpNet::V6(a), IpNet::V6(b)) => {
            let same = (u128::from(a.network()) ^ u128::from(b.network())).leading_zeros();
            let length = u8::try_from(same).ok()?.min(a.prefix_len()).min(b.prefix_len());
            Some(IpNet::V6(Ipv6Net::new(a.network(), length).ok()?.trunc()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_is_near_and_keeps_off_the_pods() {
        let addresses: Vec<IpAddr> = ["203.0.113.8", "203.0.113.9", "10.0.0.1", "10.2.0.1"]
            .map(|text| text.parse().unwrap_or(IpAddr::from([0; 4])))
            .into();
        let inside: Vec<IpNet> = "10.1.0.0/16".parse().into_iter().collect();
        let text = |most| {
            let (nets, inside) = cover(&addresses, most, &inside);
            (nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), inside)
        };
        assert_eq!(text(3), ("10.0.0.1/32 10.2.0.1/32 203.0.113.8/31".to_owned(), false));
        assert_eq!(text(2), ("10.0.0.0/14 203.0.113.8/31".to_owned(), true));
    }
}
