//! The rules, one file each; their codes, ordered. 1xx: isolation, 2xx: selectors, 3xx: ports, 4xx:
//! addresses, 5xx: the whole set, 6xx: cluster-wide policies.

mod and_or;
mod contradictory_selector;
mod dns_over_udp_only;
mod duplicate_peer;
mod egress_without_dns;
mod equal_priorities;
mod host_network_selected;
mod ip_block_over_pods;
mod locked_out;
mod missing_description;
mod named_port_undefined;
mod namespace_name_label;
mod namespace_selector_matches_nothing;
mod no_default_deny;
mod odd_network;
mod one_family_internet;
mod one_sided_allow;
mod overlapping_ports;
mod pod_selector_matches_nothing;
mod pods_without_policy;
mod policy_selects_no_pod;
mod policy_types_by_default;
mod port_not_declared;
mod redundant_policy;
mod redundant_rule;
mod rules_of_unlisted_type;
mod service_address;
mod service_port;
mod shadowed_rule;
mod udp_port_as_tcp;
mod useless_except;
mod whole_internet_egress;

use crate::Lint;

/// Every rule, by code.
pub const REGISTRY: &[&Lint] = &[
    &rules_of_unlisted_type::LINT,
    &policy_types_by_default::LINT,
    &egress_without_dns::LINT,
    &dns_over_udp_only::LINT,
    &policy_selects_no_pod::LINT,
    &no_default_deny::LINT,
    &one_sided_allow::LINT,
    &namespace_selector_matches_nothing::LINT,
    &pod_selector_matches_nothing::LINT,
    &and_or::LINT,
    &namespace_name_label::LINT,
    &contradictory_selector::LINT,
    &duplicate_peer::LINT,
    &named_port_undefined::LINT,
    &service_port::LINT,
    &port_not_declared::LINT,
    &udp_port_as_tcp::LINT,
    &overlapping_ports::LINT,
    &ip_block_over_pods::LINT,
    &service_address::LINT,
    &one_family_internet::LINT,
    &useless_except::LINT,
    &whole_internet_egress::LINT,
    &odd_network::LINT,
    &redundant_rule::LINT,
    &redundant_policy::LINT,
    &host_network_selected::LINT,
    &pods_without_policy::LINT,
    &missing_description::LINT,
    &equal_priorities::LINT,
    &shadowed_rule::LINT,
    &locked_out::LINT,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::REGISTRY;

    #[test]
    fn codes_and_names_are_unique_and_in_order() {
        let codes: Vec<&str> = REGISTRY.iter().map(|lint| lint.code).collect();
        assert!(codes.is_sorted() && codes.iter().collect::<BTreeSet<_>>().len() == codes.len(), "{codes:?}");
        assert_eq!(REGISTRY.iter().map(|lint| lint.name).collect::<BTreeSet<_>>().len(), codes.len());
    }

    /// A code that changes is a broken promise: this list only grows.
    #[test]
    fn codes_stay_what_they_are() {
        let list: Vec<String> = REGISTRY.iter().map(|lint| format!("{} {}", lint.code, lint.name)).collect();
        assert_eq!(list.join("\n"), include_str!("codes.txt").trim_end());
    }
}
