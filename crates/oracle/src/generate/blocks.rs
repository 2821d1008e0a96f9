//! `ipBlock`s: around pods, nodes and outside hosts, whole families, and what is taken away from them.

use std::net::IpAddr;

use ipnet::IpNet;
use palisade_engine::model::{Family, IpBlock};

use super::{
    addresses::outside,
    cluster::World,
    edges::{block_of, from_number, to_number},
    pods::with_address,
    random::Rng,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// 0.0.0.0/0 or ::/0.
    Everything,
    /// Much: a half of everything, or all that is private.
    Wide,
    Pod,
    PodPrefix,
    Node,
    Outside,
}

/// A random `ipBlock`.
pub(crate) fn ip_block(rng: &mut Rng, world: &World) -> IpBlock {
    // Now and then of a family that the cluster may not have.
    let family = if rng.chance(8) { rng.one_of(Family::ALL) } else { world.family(rng) };
    let kind = rng.weighted([
        (12, Kind::Everything),
        (8, Kind::Wide),
        (17, Kind::Pod),
        (28, Kind::PodPrefix),
        (11, Kind::Node),
        (24, Kind::Outside),
    ]);
    let cidr = cidr(rng, world, family, kind);
    let except = excepts(rng, world, &cidr);
    IpBlock { cidr, except, at: None, cidr_at: None, except_at: Vec::new() }
}

fn cidr(rng: &mut Rng, world: &World, family: Family, kind: Kind) -> IpNet {
    let fallback = outside(rng, family);
    let v4 = family == Family::V4;
    let (address, length) = match kind {
        Kind::Everything => (fallback, 0),
        Kind::Wide if v4 => {
            rng.one_of([(IpAddr::from([10, 0, 0, 0]), 8), (IpAddr::from([128, 0, 0, 0]), 1), (fallback, 16)])
        }
        Kind::Wide => rng.one_of([(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 0]), 8), (fallback, 3), (fallback, 32)]),
        Kind::Pod => (pod_address(rng, world, family).unwrap_or(fallback), full(family)),
        Kind::PodPrefix => {
            let address = pod_address(rng, world, family).unwrap_or(fallback);
            let lengths = if v4 { [16, 23, 24, 28, 29, 30, 31] } else { [48, 63, 64, 120, 124, 126, 127] };
            (address, rng.one_of(lengths))
        }
        Kind::Node => {
            let address = node_address(rng, world, family).unwrap_or(fallback);
            let lengths = if v4 { [16, 24, 29, 31, 32] } else { [48, 64, 124, 127, 128] };
            (address, rng.one_of(lengths))
        }
        Kind::Outside => {
            // Seldom so small that a random host is never in it, nor so large that its edges are
            // not hosts.
            let lengths = if v4 { [24, 25, 26, 27, 28, 30, 32] } else { [48, 63, 64, 121, 124, 126, 128] };
            (fallback, rng.one_of(lengths))
        }
    };
    block_of(address, length)
}

/// What is taken away: each of it within the block, and smaller (the API server insists).
fn excepts(rng: &mut Rng, world: &World, cidr: &IpNet) -> Vec<IpNet> {
    let family = Family::of(cidr.addr());
    if cidr.prefix_len() == full(family) {
        return Vec::new();
    }
    let count = rng.weighted([(58, 0), (28, 1), (14, 2)]);
    let mut except: Vec<IpNet> = Vec::new();
    for _ in 0..count {
        let length = if rng.chance(35) {
            full(family)
        } else {
            let longest = usize::from(full(family)).min(usize::from(cidr.prefix_len()) + 12);
            u8::try_from(rng.between(usize::from(cidr.prefix_len()) + 1, longest)).unwrap_or(full(family))
        };
        let block = block_of(inside(rng, world, cidr), length);
        if !except.contains(&block) {
            except.push(block);
        }
    }
    if covers_everything(cidr, &except) {
        // The oracle does not see that such a block is empty when the address is not known.
        except.pop();
    }
    except
}

/// An address of the block: somebody's if possible, so that the exception matters.
fn inside(rng: &mut Rng, world: &World, cidr: &IpNet) -> IpAddr {
    let family = Family::of(cidr.addr());
    for _ in 0..4 {
        let somebody = match rng.below(10) {
            0..=5 => pod_address(rng, world, family),
            6..=7 => node_address(rng, world, family),
            _ => Some(outside(rng, family)),
        };
        if let Some(address) = somebody.filter(|address| cidr.contains(address)) {
            return address;
        }
    }
    let (network, bits) = to_number(cidr.addr());
    let hosts = u128::MAX.checked_shr(128 - u32::from(bits - cidr.prefix_len())).unwrap_or(0);
    from_number(network | (rng.bits() & hosts), family).unwrap_or(cidr.addr())
}

/// Whether nothing of the block is left: of two exceptions, both halves.
fn covers_everything(cidr: &IpNet, except: &[IpNet]) -> bool {
    except.len() == 2 && except.iter().all(|part| part.prefix_len() == cidr.prefix_len() + 1)
}

fn pod_address(rng: &mut Rng, world: &World, family: Family) -> Option<IpAddr> {
    let addresses: Vec<IpAddr> = with_address(world).iter().filter_map(|pod| pod.addresses.of(family)).collect();
    rng.pick(&addresses).copied()
}

fn node_address(rng: &mut Rng, world: &World, family: Family) -> Option<IpAddr> {
    let addresses = world.nodes.iter().flat_map(|node| &node.addresses).copied();
    let addresses: Vec<IpAddr> = addresses.filter(|address| Family::of(*address) == family).collect();
    rng.pick(&addresses).copied()
}

/// The length of a prefix that is one address.
fn full(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}
