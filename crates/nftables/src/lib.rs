//! The nftables ruleset of a node: planned from a policy program, compared, and applied over netlink.
