//! The way from a pod's addresses to the chains that judge it.

use std::net::IpAddr;

use palisade_engine::model::{Direction, Family};

use super::{
    map_name,
    names::named_chain,
    planner::{LocalPod, Planner, count, discount},
    profile::peer_end,
    self_name,
};
use crate::{
    draft::Draft,
    ruleset::{Chain, Expression, Key, Name, Rule, Verdict},
};

impl Planner {
    /// The maps lead from a pod's addresses to its chains. Returns those of its addresses.
    pub(super) fn direct(&mut self, pod: &LocalPod, draft: &mut Draft) -> Vec<Name> {
        let mut own = Vec::new();
        for address in pod.addresses.iter() {
            let family = Family::of(address);
            for (direction, key) in Direction::ALL.into_iter().zip(&pod.pieces) {
                let (map, element) = (map_name(direction, family), Key::Address(address));
                let Some(piece) = key.as_ref().and_then(|key| self.pieces.get(key)) else {
                    draft.remove_element(&map, element);
                    continue;
                };
                let mut chain = piece.chain.clone();
                if let Some(for_itself) = &piece.for_itself {
                    let rules;
                    (chain, rules) = own_chain(direction, address, chain, for_itself.clone());
                    if count(&mut self.chain_users, &chain) {
                        draft.put_chain(&chain, rules);
                    }
                    own.push(chain.clone());
                }
                draft.put_element(&map, element, Some(Verdict::Jump(chain)));
            }
            let (pairs, pair) = (self_name(family), Key::Pair(address, address));
            match pod.pieces.iter().any(Option::is_some) {
                true => draft.put_element(&pairs, pair, None),
                false => draft.remove_element(&pairs, pair),
            }
        }
        own
    }

    pub(super) fn remove_own(&mut self, chains: &[Name], draft: &mut Draft) {
        for name in chains {
            if discount(&mut self.chain_users, name) {
                draft.remove_chain(name);
            }
        }
    }
}

/// The chain of one address: what came back to it goes to the chain `for_itself`, all else to the other one. One
/// comparison, where the pair of addresses would have to be looked up.
fn own_chain(direction: Direction, address: IpAddr, chain: Name, for_itself: Name) -> (Name, Chain) {
    let [other, itself] = [chain, for_itself].map(|chain| Expression::Verdict(Verdict::Goto(chain)));
    let other = Rule::new([Expression::AddressIsNot(peer_end(direction), address), other]);
    named_chain("own", vec![other, Rule::new([itself]).comment("what came back to the pod itself")])
}

/// Nobody has the address any more.
pub(super) fn withdraw(address: IpAddr, pod: &LocalPod, draft: &mut Draft) {
    let family = Family::of(address);
    for (direction, key) in Direction::ALL.into_iter().zip(&pod.pieces) {
        if key.is_some() {
            draft.remove_element(&map_name(direction, family), Key::Address(address));
        }
    }
    draft.remove_element(&self_name(family), Key::Pair(address, address));
}
