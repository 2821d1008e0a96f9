//! The fake API server of crate watch as an [`Api`].

use std::net::SocketAddr;

use palisade_watch::{Watched, fake::FakeServer};

use super::Api;
use crate::Result;

impl Api for FakeServer {
    fn apply(&self, manifests: &str) -> Result {
        Self::apply(self, manifests);
        Ok(())
    }

    fn delete(&self, of: Watched, name: &str) -> Result {
        Self::delete(self, &of.resource().plural, name);
        Ok(())
    }

    /// The fake one goes by the name alone.
    fn install(&self, of: Watched, _: &str) -> Result {
        Self::install(self, of.resource());
        Ok(())
    }

    fn address(&self) -> SocketAddr {
        Self::address(self)
    }

    fn kubeconfig(&self, at: SocketAddr) -> String {
        Self::kubeconfig(self, "default").replace(&Self::address(self).to_string(), &at.to_string())
    }

    fn fake(&self) -> Option<&FakeServer> {
        Some(self)
    }
}
