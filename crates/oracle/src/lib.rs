//! The slow, obviously right evaluator of network policies, and the generators of random clusters. For tests.
