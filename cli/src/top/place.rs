//! Where a worker is, and how it is reached.

use serde_json::{Value, json};

use super::address::Address;
use super::link::{Link, Trouble};
use super::search::{Pod, Scope, Search};

/// Where a worker is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Address(Address),
    /// In a cluster that kubectl reaches.
    Pod(Search, Pod),
}

impl Place {
    /// What the worker is called on the screen.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Address(address) => address.label(),
            Self::Pod(Search { scope: Scope::All, .. }, Pod { namespace, name, .. }) => format!("{namespace}/{name}"),
            Self::Pod(_, pod) => pod.name.clone(),
        }
    }

    /// The fields that say in JSON where the worker is.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Address(address) => json!({"address": address.label()}),
            Self::Pod(_, Pod { namespace, name, model }) => {
                json!({"namespace": namespace, "pod": name, "model": model})
            }
        }
    }

    /// Connects, with a key where there is one.
    pub(super) fn open(&self, key: Option<&str>) -> Result<Link, Trouble> {
        match self {
            Self::Address(address) => Link::open(address, key, None),
            Self::Pod(search, pod) => {
                let (tunnel, port) = search.forward(pod)?;
                Link::open(&Address { host: "127.0.0.1".to_owned(), port }, key, Some(tunnel))
            }
        }
    }
}
