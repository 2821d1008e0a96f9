//! Which policies and namespaces say that they are enforced, or audited.

use palisade_engine::model::{Inventory, Mode};

use super::random::Rng;

/// Most say nothing; of those that do, more are audited.
fn mode(rng: &mut Rng) -> Option<Mode> {
    rng.weighted([(45, None), (40, Some(Mode::Audit)), (15, Some(Mode::Enforce))])
}

/// Gives each its mode.
pub(crate) fn spread(rng: &mut Rng, inventory: &mut Inventory) {
    inventory.namespaces.iter_mut().for_each(|namespace| namespace.mode = mode(rng));
    inventory.policies.iter_mut().for_each(|policy| policy.mode = mode(rng));
    inventory.cluster_policies.iter_mut().for_each(|policy| policy.mode = mode(rng));
}
