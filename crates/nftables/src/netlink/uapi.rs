//! Numbers of the kernel interface, by the headers they are from. Only those used here.

/// `linux/netlink.h`.
pub(super) mod netlink {
    pub(crate) const ERROR: u16 = 2;
    pub(crate) const DONE: u16 = 3;

    pub(crate) const REQUEST: u16 = 0x001;
    pub(crate) const ACK: u16 = 0x004;
    /// Of an answer: the dump was disturbed by a change.
    pub(crate) const DUMP_INTR: u16 = 0x010;
    pub(crate) const DUMP: u16 = 0x300;
    /// Of a request that makes something: an error when it is there already.
    pub(crate) const EXCL: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
    /// Of an error: attributes follow.
    pub(crate) const ACK_TLVS: u16 = 0x200;

    /// NLMSGERR_ATTR_MSG: the kernel's words.
    pub(crate) const ERROR_TEXT: u16 = 1;
    /// NLMSGERR_ATTR_OFFS: where in the request the cause is.
    pub(crate) const ERROR_OFFSET: u16 = 2;

    /// NLA_F_NESTED: a flag in an attribute's type.
    pub(crate) const NESTED: u16 = 0x8000;
    /// The bits of an attribute's type that are not flags.
    pub(crate) const TYPE_MASK: u16 = 0x3fff;
}

/// `linux/netfilter/nfnetlink.h`.
pub(super) mod nfnetlink {
    /// NFNL_SUBSYS_NFTABLES.
    pub(crate) const NFTABLES: u16 = 10;
    pub(crate) const BATCH_BEGIN: u16 = 16;
    pub(crate) const BATCH_END: u16 = 17;
    /// NFPROTO_UNSPEC.
    pub(crate) const UNSPECIFIED: u8 = 0;
    /// NFPROTO_INET: a table that sees both families.
    pub(crate) const INET: u8 = 1;
}

/// `enum nf_tables_msg_types`.
pub(super) mod request {
    pub(crate) const NEW_TABLE: u16 = 0;
    pub(crate) const GET_TABLE: u16 = 1;
    pub(crate) const DELETE_TABLE: u16 = 2;
    pub(crate) const NEW_CHAIN: u16 = 3;
    pub(crate) const GET_CHAIN: u16 = 4;
    pub(crate) const DELETE_CHAIN: u16 = 5;
    pub(crate) const NEW_RULE: u16 = 6;
    pub(crate) const GET_RULE: u16 = 7;
    pub(crate) const DELETE_RULE: u16 = 8;
    pub(crate) const NEW_SET: u16 = 9;
    pub(crate) const GET_SET: u16 = 10;
    pub(crate) const DELETE_SET: u16 = 11;
    pub(crate) const NEW_ELEMENT: u16 = 12;
    pub(crate) const GET_ELEMENT: u16 = 13;
    pub(crate) const DELETE_ELEMENT: u16 = 14;
    pub(crate) const GET_GENERATION: u16 = 16;
}

/// `NFTA_GEN_*`.
pub(super) mod generation {
    pub(crate) const ID: u16 = 1;
}

/// `NFTA_TABLE_*`.
pub(super) mod table {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const FLAGS: u16 = 2;
    /// NFT_TABLE_F_DORMANT: the table's chains see no packets.
    pub(crate) const DORMANT: u32 = 1;
}

/// `NFTA_CHAIN_*` and `NFTA_HOOK_*`.
pub(super) mod chain {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 3;
    pub(crate) const HOOK: u16 = 4;
    pub(crate) const POLICY: u16 = 5;
    pub(crate) const TYPE: u16 = 7;
    pub(crate) const HOOK_NUMBER: u16 = 1;
    pub(crate) const HOOK_PRIORITY: u16 = 2;
    /// NF_INET_FORWARD.
    pub(crate) const FORWARD: u32 = 2;
    /// nft's `priority filter`.
    pub(crate) const PRIORITY_FILTER: i32 = 0;
    /// NF_ACCEPT.
    pub(crate) const POLICY_ACCEPT: u32 = 1;
}

/// `NFTA_RULE_*`.
pub(super) mod rule {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
    pub(crate) const EXPRESSIONS: u16 = 4;
    pub(crate) const USERDATA: u16 = 7;
    /// NFTNL_UDATA_RULE_COMMENT.
    pub(crate) const COMMENT: u8 = 0;
}

/// `NFTA_SET_*` and `enum nft_set_flags`.
pub(super) mod set {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const KEY_TYPE: u16 = 4;
    pub(crate) const KEY_LENGTH: u16 = 5;
    pub(crate) const DATA_TYPE: u16 = 6;
    pub(crate) const DATA_LENGTH: u16 = 7;
    pub(crate) const DESCRIPTION: u16 = 9;
    pub(crate) const ID: u16 = 10;
    /// In milliseconds.
    pub(crate) const TIMEOUT: u16 = 11;
    pub(crate) const USERDATA: u16 = 13;

    pub(crate) const INTERVAL: u32 = 0x04;
    pub(crate) const MAP: u32 = 0x08;
    /// NFT_SET_TIMEOUT.
    pub(crate) const TIMEOUT_FLAG: u32 = 0x10;
    /// NFT_SET_EVAL.
    pub(crate) const DYNAMIC: u32 = 0x20;
    pub(crate) const CONCAT: u32 = 0x80;

    /// NFT_DATA_VERDICT, as a set's data type.
    pub(crate) const VERDICT: u32 = 0xffff_ff00;
    /// sizeof(struct nft_verdict).
    pub(crate) const VERDICT_LENGTH: u32 = 16;
    pub(crate) const DESCRIPTION_SIZE: u16 = 1;
    pub(crate) const DESCRIPTION_CONCAT: u16 = 2;
    pub(crate) const FIELD_LENGTH: u16 = 1;
    /// NFTNL_UDATA_SET_COMMENT.
    pub(crate) const COMMENT: u8 = 7;
}

/// `NFTA_SET_ELEM_*`, `NFTA_SET_ELEM_LIST_*`, `NFTA_DATA_*`, `NFTA_VERDICT_*`.
pub(super) mod element {
    pub(crate) const LIST_TABLE: u16 = 1;
    pub(crate) const LIST_SET: u16 = 2;
    pub(crate) const LIST_ELEMENTS: u16 = 3;
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    /// In milliseconds.
    pub(crate) const TIMEOUT: u16 = 4;
    /// What is left of it, in milliseconds.
    pub(crate) const EXPIRATION: u16 = 5;
    pub(crate) const USERDATA: u16 = 6;
    pub(crate) const KEY_END: u16 = 10;
    /// NFTNL_UDATA_SET_ELEM_COMMENT.
    pub(crate) const COMMENT: u8 = 0;
    pub(crate) const INTERVAL_END: u32 = 1;

    pub(crate) const DATA_VALUE: u16 = 1;
    pub(crate) const DATA_VERDICT: u16 = 2;
    pub(crate) const VERDICT_CODE: u16 = 1;
    pub(crate) const VERDICT_CHAIN: u16 = 2;
}

/// NFTA_LIST_ELEM: each member of any list.
pub(super) const LIST_ELEMENT: u16 = 1;

/// `enum nft_verdicts`, and the two of `linux/netfilter.h`.
pub(super) mod verdict {
    pub(crate) const DROP: i32 = 0;
    pub(crate) const ACCEPT: i32 = 1;
    pub(crate) const JUMP: i32 = -3;
    pub(crate) const GOTO: i32 = -4;
    pub(crate) const RETURN: i32 = -5;
}

/// `NFTA_EXPR_*` and the attributes of each expression (`NFTA_META_*` and so on).
pub(super) mod expression {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const DATA: u16 = 2;

    pub(crate) const META_DREG: u16 = 1;
    pub(crate) const META_KEY: u16 = 2;
    pub(crate) const META_SREG: u16 = 3;
    pub(crate) const META_MARK: u32 = 3;
    pub(crate) const META_IIF: u32 = 4;
    pub(crate) const META_IIFNAME: u32 = 6;
    pub(crate) const META_NFPROTO: u32 = 15;
    pub(crate) const META_L4PROTO: u32 = 16;

    pub(crate) const CT_DREG: u16 = 1;
    pub(crate) const CT_KEY: u16 = 2;
    pub(crate) const CT_STATE: u32 = 0;
    pub(crate) const CT_DIRECTION: u32 = 1;
    pub(crate) const CT_MARK: u32 = 3;

    pub(crate) const PAYLOAD_DREG: u16 = 1;
    pub(crate) const PAYLOAD_BASE: u16 = 2;
    pub(crate) const PAYLOAD_OFFSET: u16 = 3;
    pub(crate) const PAYLOAD_LENGTH: u16 = 4;
    pub(crate) const BASE_NETWORK: u32 = 1;
    pub(crate) const BASE_TRANSPORT: u32 = 2;

    pub(crate) const CMP_SREG: u16 = 1;
    pub(crate) const CMP_OP: u16 = 2;
    pub(crate) const CMP_DATA: u16 = 3;
    pub(crate) const CMP_EQ: u32 = 0;
    pub(crate) const CMP_NEQ: u32 = 1;
    pub(crate) const CMP_LTE: u32 = 3;
    pub(crate) const CMP_GTE: u32 = 5;

    pub(crate) const BITWISE_SREG: u16 = 1;
    pub(crate) const BITWISE_DREG: u16 = 2;
    pub(crate) const BITWISE_LENGTH: u16 = 3;
    pub(crate) const BITWISE_MASK: u16 = 4;
    pub(crate) const BITWISE_XOR: u16 = 5;
    pub(crate) const BITWISE_OP: u16 = 6;

    pub(crate) const LOOKUP_SET: u16 = 1;
    pub(crate) const LOOKUP_SREG: u16 = 2;
    pub(crate) const LOOKUP_DREG: u16 = 3;
    pub(crate) const LOOKUP_FLAGS: u16 = 5;
    /// NFT_LOOKUP_F_INV.
    pub(crate) const LOOKUP_INVERTED: u32 = 1;

    pub(crate) const IMMEDIATE_DREG: u16 = 1;
    pub(crate) const IMMEDIATE_DATA: u16 = 2;

    pub(crate) const DYNSET_SET: u16 = 1;
    pub(crate) const DYNSET_OP: u16 = 3;
    pub(crate) const DYNSET_SREG_KEY: u16 = 4;
    /// NFT_DYNSET_OP_ADD.
    pub(crate) const DYNSET_ADD: u32 = 0;

    pub(crate) const FIB_DREG: u16 = 1;
    pub(crate) const FIB_RESULT: u16 = 2;
    pub(crate) const FIB_FLAGS: u16 = 3;
    pub(crate) const FIB_OIF: u32 = 1;
    /// NFT_FIB_RESULT_ADDRTYPE, and NFTA_FIB_F_DADDR.
    pub(crate) const FIB_ADDRTYPE: u32 = 3;
    pub(crate) const FIB_DADDR: u32 = 0x02;
    /// NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT.
    pub(crate) const FIB_SADDR_IIF_PRESENT: u32 = 0x01 | 0x08 | 0x20;

    pub(crate) const NAT_TYPE: u16 = 1;
    pub(crate) const NAT_FAMILY: u16 = 2;
    pub(crate) const NAT_ADDRESS_MIN: u16 = 3;
    pub(crate) const NAT_PORT_MIN: u16 = 5;

    pub(crate) const TPROXY_FAMILY: u16 = 1;
    pub(crate) const TPROXY_ADDRESS: u16 = 2;
    pub(crate) const TPROXY_PORT: u16 = 3;

    pub(crate) const LIMIT_RATE: u16 = 1;
    pub(crate) const LIMIT_UNIT: u16 = 2;
    pub(crate) const LIMIT_BURST: u16 = 3;
    pub(crate) const LIMIT_TYPE: u16 = 4;
    pub(crate) const LIMIT_FLAGS: u16 = 5;

    pub(crate) const NUMGEN_DREG: u16 = 1;
    pub(crate) const NUMGEN_MODULUS: u16 = 2;
    pub(crate) const NUMGEN_TYPE: u16 = 3;
    pub(crate) const NUMGEN_OFFSET: u16 = 4;
    /// NFT_NG_RANDOM.
    pub(crate) const NUMGEN_RANDOM: u32 = 1;

    pub(crate) const COUNTER_BYTES: u16 = 1;
    pub(crate) const COUNTER_PACKETS: u16 = 2;

    pub(crate) const LOG_GROUP: u16 = 1;
    pub(crate) const LOG_PREFIX: u16 = 2;
    pub(crate) const LOG_SNAPLEN: u16 = 3;
    pub(crate) const LOG_QTHRESHOLD: u16 = 4;
}
