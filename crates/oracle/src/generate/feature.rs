//! What must turn up in random scenarios: nothing is tested by chance alone. Found by `detect`, counted by a test.

macro_rules! features {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Something that random scenarios must have often enough.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature { $($(#[doc = $doc])* $name,)* }

        impl Feature {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

features! {
    /// An entry of `matchLabels`.
    MatchLabels,
    /// `In` with several values.
    InSeveral,
    /// `NotIn`.
    NotIn,
    /// `Exists`.
    Exists,
    /// `DoesNotExist`.
    DoesNotExist,
    /// A policy that selects all pods of its namespace.
    EmptySubject,
    /// A peer with an empty `podSelector` of the own namespace.
    EmptyPodSelector,
    /// A peer with an empty `namespaceSelector`.
    EmptyNamespaceSelector,
    /// A peer with a `namespaceSelector` alone.
    NamespaceSelectorAlone,
    /// A peer with a `podSelector` alone.
    PodSelectorAlone,
    /// A peer with both, neither of them empty.
    BothSelectors,
    /// A selector that asks for namespaces by name.
    NamespaceByName,
    /// A namespace that no object declares, only mentions.
    NamespaceOnlyMentioned,
    /// A rule with several peers.
    SeveralPeers,
    /// Several rules of one direction in one policy.
    SeveralRules,
    /// Several policies that isolate one pod in one direction.
    SeveralPolicies,
    /// A pod that some policy selects and none isolates in one of the directions.
    IsolatedOneWay,
    /// A live pod that no policy selects.
    NotSelected,
    /// `policyTypes` missing, without egress rules.
    TypesMissing,
    /// `policyTypes` missing, with egress rules.
    TypesMissingWithEgress,
    /// `policyTypes: [Ingress]`.
    TypesIngress,
    /// `policyTypes: [Egress]`.
    TypesEgress,
    /// Both types listed.
    TypesBoth,
    /// A type that is listed without rules.
    TypeWithoutRules,
    /// Rules of a type that is not listed.
    RulesOfTypeNotListed,
    /// A rule without peers.
    AnyPeer,
    /// A rule without ports.
    AnyPort,
    /// A rule without peers and without ports.
    AnyPeerAnyPort,
    /// An item of `ports` without a number.
    PortWithoutNumber,
    /// A rule about TCP, which `protocol` may leave out.
    Tcp,
    /// A rule about UDP.
    Udp,
    /// A rule about SCTP.
    Sctp,
    /// An item with `endPort`.
    EndPort,
    /// Two ranges of one protocol that overlap, in one policy and direction.
    OverlappingRanges,
    /// A rule with a named port.
    NamedPort,
    /// A rule's name that stands for different numbers on two pods.
    NameDiffers,
    /// A rule's name that stands for several numbers on one pod.
    NameOnSeveralNumbers,
    /// A rule's name that stands for several protocols on one pod.
    NameOnSeveralProtocols,
    /// A rule's name that a pod does not have.
    NameMissing,
    /// An IPv4 `ipBlock`.
    BlockV4,
    /// An IPv6 `ipBlock`.
    BlockV6,
    /// An `ipBlock` with `except`.
    BlockExcept,
    /// An exception that holds a pod.
    ExceptHoldsPod,
    /// An `ipBlock` (not of everything) that holds a pod.
    BlockHoldsPod,
    /// An `ipBlock` (not of everything) that holds a node.
    BlockHoldsNode,
    /// An `ipBlock` of a whole family.
    BlockOfEverything,
    /// An `ipBlock` of one address.
    BlockOfOne,
    /// A pod that has ended, whose address another one has now.
    EndedAddressReused,
    /// A live pod without an address.
    PodWithoutAddress,
    /// A pod with one address in a cluster with two families.
    SingleFamilyPod,
    /// A pod with two addresses.
    DualStackPod,
    /// Two pods of the same labels and namespace on two nodes.
    Twins,
    /// A pod that its workload would create.
    StandIn,
    /// A host-network pod.
    HostNetworkPod,
    /// A flow from the node of a host-network pod.
    FromHostNetwork,
    /// A flow to the node of a host-network pod.
    ToHostNetwork,
    /// A flow between a pod and a node that is not its own.
    OtherNode,
    /// A flow between a pod and its node.
    OwnNode,
    /// A flow of a pod to itself.
    Itself,
    /// A flow that no policy can judge.
    NeitherIsPod,
    /// A flow of an outside address that a block (not of everything) holds.
    OutsideInBlock,
    /// A flow of an outside address that no block (not of everything) holds, though there are some.
    OutsideOfBlocks,
    /// A flow of an outside address that is the first of a block or exception.
    FirstOfBlock,
    /// A flow of an outside address that is the last of a block or exception.
    LastOfBlock,
    /// A flow of an outside address right before a block or exception.
    BeforeBlock,
    /// A flow of an outside address right after a block or exception.
    AfterBlock,
    /// A flow of an end without an address.
    UnknownAddress,
    /// ICMP.
    Portless,
    /// A flow to the first port of a range of several.
    FirstOfRange,
    /// A flow to the last port of a range of several.
    LastOfRange,
    /// A flow to the port right before a range or a single port.
    BeforeRange,
    /// A flow to the port right after a range or a single port.
    AfterRange,
}
