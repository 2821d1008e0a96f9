//! Two ends become flows: every pair, in every family that both have.

use anyhow::{Result, bail};
use palisade_engine::model::{Family, Flow, Side, Traffic};

use super::{Party, Resolver};

/// One flow that was asked about.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Who opens it.
    pub(crate) from: Party,
    /// Who receives it.
    pub(crate) to: Party,
    /// Its family, when an address tells.
    pub(crate) family: Option<Family>,
    /// Whether an end has no address yet, so that the family is only one it may come to have.
    pub(crate) assumed: bool,
    /// The flow; without a port asked about, its traffic means nothing.
    pub(crate) flow: Flow,
}

/// Every flow between some parties, or only those of one family.
pub(crate) fn cases(
    resolver: &Resolver<'_>,
    from: &[Party],
    to: &[Party],
    family: Option<Family>,
) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for from in from {
        for to in to {
            cases.extend(of_pair(resolver, from, to, family)?);
        }
    }
    Ok(cases)
}

fn of_pair(resolver: &Resolver<'_>, from: &Party, to: &Party, only: Option<Family>) -> Result<Vec<Case>> {
    for party in [from, to] {
        if let Some(pod) = party.pod().map(|pod| resolver.cluster.pod(pod)).filter(|pod| !pod.is_live()) {
            bail!("pod {} has ended ({:?}): it has no address any more", pod.id, pod.phase);
        }
    }
    let families = Family::ALL.into_iter().filter(|family| only.is_none_or(|only| only == *family));
    let sides = |family| Some((resolver.side(from, family)?, resolver.side(to, family)?));
    let found: Vec<(Family, (Side, Side))> = families.filter_map(|family| Some((family, sides(family)?))).collect();
    let traffic = to.traffic.unwrap_or(Traffic::Portless);
    let case = |family, (a, b): (Side, Side)| {
        let assumed = a.address.is_none() || b.address.is_none();
        let flow = Flow::new(a, b, traffic).ok()?;
        Some(Case { from: from.clone(), to: to.clone(), family, assumed, flow })
    };
    let complete = found.iter().filter(|(_, (a, b))| a.address.is_some() && b.address.is_some());
    let cases: Vec<Case> = complete.filter_map(|(family, sides)| case(Some(*family), *sides)).collect();
    if !cases.is_empty() {
        return Ok(cases);
    }
    // An end without any address: what its labels and ports decide.
    let addressless = |party: &Party| {
        let mut sides = Family::ALL.into_iter().filter_map(|family| resolver.side(party, family));
        !sides.any(|side| side.address.is_some())
    };
    if !addressless(from) && !addressless(to) {
        match only {
            Some(family) => bail!("{} and {} do not both have an {family} address", from.label, to.label),
            None => bail!("{} and {} have no IP family in common", from.label, to.label),
        }
    }
    let partial: Vec<Case> = found
        .iter()
        .filter(|(_, (a, b))| a.address.is_some() || b.address.is_some())
        .filter_map(|(family, sides)| case(Some(*family), *sides))
        .collect();
    if !partial.is_empty() {
        return Ok(partial);
    }
    Ok(found.iter().take(1).filter_map(|(_, sides)| case(None, *sides)).collect())
}
