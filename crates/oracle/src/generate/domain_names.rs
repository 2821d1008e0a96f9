//! Domain names of rules, and what some of them resolve to.

use palisade_engine::model::{DomainName, Resolved};

use super::{addresses::outside, cluster::World, random::Rng};

const NAMES: [&str; 5] =
    ["api.example.com", "*.example.com", "www.example.net", "*.example.net", "db.bank.svc.cluster.local"];

/// What is told of, besides the names of rules: one below a pattern.
const TOLD: [&str; 5] =
    ["api.example.com", "www.example.net", "*.example.net", "a.b.example.com", "db.bank.svc.cluster.local"];

/// The names of one peer.
pub(crate) fn names(rng: &mut Rng) -> Vec<DomainName> {
    let count = rng.weighted([(70, 1), (30, 2)]);
    let mut names: Vec<DomainName> = (0..count).filter_map(|_| DomainName::parse(rng.one_of(NAMES)).ok()).collect();
    names.dedup();
    names
}

/// What is told of them: often nothing, at times the address of a pod.
pub(crate) fn resolved(rng: &mut Rng, world: &World) -> Vec<Resolved> {
    let count = rng.weighted([(30, 0), (30, 1), (25, 2), (15, 4)]);
    let told = |rng: &mut Rng| {
        let name = DomainName::parse(rng.one_of(TOLD)).ok()?;
        let family = world.family(rng);
        let pod = rng.pick(&world.pods).filter(|_| name.may_be_inside());
        let address = pod.and_then(|pod| pod.addresses.of(family)).unwrap_or_else(|| outside(rng, family));
        Some(Resolved { name, address })
    };
    (0..count).filter_map(|_| told(rng)).collect()
}
