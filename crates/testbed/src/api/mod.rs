//! The API server that agents read from: the fake one, or a real one where its programs are there.
//!
//! A real one is taken when `KUBEBUILDER_ASSETS` names a folder with `etcd`, `kube-apiserver` and
//! `kubectl`, which is what envtest of controller-runtime goes by.

mod fake;
mod real;

use std::net::SocketAddr;

use palisade_watch::{Watched, fake::FakeServer};

use crate::Result;

/// An API server of the tests.
pub trait Api: Send + Sync {
    /// Creates every object of a text, or changes it, with its status.
    ///
    /// # Errors
    /// When the server does not take it.
    fn apply(&self, manifests: &str) -> Result;

    /// Takes an object away, at once; `name` is `namespace/name` where it has a namespace.
    ///
    /// # Errors
    /// When the server does not do so.
    fn delete(&self, of: Watched, name: &str) -> Result;

    /// Installs a kind that it does not have by itself, from the text of its CustomResourceDefinition.
    ///
    /// # Errors
    /// When the server does not take it, or does not serve it soon.
    fn install(&self, of: Watched, definition: &str) -> Result;

    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// The text of a kubeconfig for the same server, reached at another address.
    fn kubeconfig(&self, at: SocketAddr) -> String;

    /// What can do what a real one does not do on demand: cut a watch in the middle of an event, forget, keep
    /// a poison object.
    fn fake(&self) -> Option<&FakeServer>;
}

/// Which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brand {
    /// That of crate watch.
    Fake,
    /// etcd and kube-apiserver.
    Real,
}

impl Brand {
    /// What the environment asks for.
    pub fn of_environment() -> Self {
        if real::assets().is_some() { Self::Real } else { Self::Fake }
    }

    /// Says on standard error which one the tests run against.
    pub fn say(self) {
        match self {
            Self::Real => eprintln!("the agents read from the kube-apiserver of KUBEBUILDER_ASSETS"),
            Self::Fake => eprintln!(
                "the agents read from the fake API server; with KUBEBUILDER_ASSETS=FOLDER (etcd, kube-apiserver, kubectl), from a real one"
            ),
        }
    }

    /// Starts one, with the namespace `default` and nothing else that agents look at.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(self) -> Result<Box<dyn Api>> {
        Ok(match self {
            Self::Fake => Box::new(FakeServer::start()?),
            Self::Real => Box::new(real::RealServer::start()?),
        })
    }
}
