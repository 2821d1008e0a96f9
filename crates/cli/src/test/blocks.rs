//! Addresses as few `cidr`s, each with an `except` where that is shorter.

use ipnet::IpNet;
use palisade_engine::sets::PrefixSet;

/// A network, without some of it.
pub(super) struct Block {
    pub(super) cidr: IpNet,
    pub(super) except: Vec<IpNet>,
}

/// The blocks that make up a set, IPv4 first.
pub(super) fn of(set: &PrefixSet) -> Vec<Block> {
    let whole = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|all| all.parse::<IpNet>().ok());
    whole.flat_map(|all| within(all, set)).collect()
}

/// What of `cidr` is in a set: either it without the rest, or what its halves come to.
fn within(cidr: IpNet, set: &PrefixSet) -> Vec<Block> {
    let all: PrefixSet = std::iter::once(cidr).collect();
    let inside = set.intersection(&all);
    if inside.is_empty() {
        return Vec::new();
    }
    let except: Vec<IpNet> = all.difference(&inside).prefixes().collect();
    if except.is_empty() {
        return vec![Block { cidr, except }];
    }
    let halves = cidr.subnets(cidr.prefix_len() + 1).into_iter().flatten();
    let halves: Vec<Block> = halves.flat_map(|half| within(half, &inside)).collect();
    let cost: usize = halves.iter().map(|block| 1 + block.except.len()).sum();
    if 1 + except.len() < cost { vec![Block { cidr, except }] } else { halves }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_short_way_to_say_it() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(net);
        let blocks = of(&PrefixSet::block(net("0.0.0.0/0"), &private));
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].cidr, blocks[0].except.as_slice()), (net("0.0.0.0/0"), private.as_slice()));
        let set: PrefixSet = [net("203.0.113.0/25"), net("10.0.0.0/9"), net("2001:db8::/32")].into_iter().collect();
        let blocks = of(&set);
        assert!(blocks.iter().all(|block| block.except.is_empty()));
        assert_eq!(blocks.iter().map(|block| block.cidr).collect::<PrefixSet>(), set);
    }
}
