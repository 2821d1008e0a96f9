//! The API server's rules for single values: names, labels, ports' names, networks.
//!
//! Each function takes a text and says what is wrong with it in the words of a message's second
//! half ("… is longer than 63 characters"), so that every place that checks a name says the same.

pub(crate) mod cidr;
pub(crate) mod names;
pub(crate) mod near;
