//! What a request asks for, read from its method and path.

use std::fmt;

use http::Method;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// All objects of a kind.
    List,
    /// The changes of a kind, from now on.
    Watch,
    /// A new object.
    Create,
    /// A change of one object, or a new one.
    Patch,
    /// Another object in place of the old one.
    Update,
    /// One object less.
    Delete,
}

/// One request of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub verb: Verb,
    /// Plural of the kind, and after a slash the subresource: `inferencemodels/status`. Empty for a path that is no
    /// object's.
    pub resource: String,
    /// Empty for a request about all namespaces.
    pub namespace: String,
    /// Empty for a request about many objects, and for a new one.
    pub name: String,
    /// Running number among those requests that are alike in everything above, from 1.
    pub repetition: u64,
    /// Running number among the writes, from 1. None for a read.
    pub write: Option<u64>,
}

impl Verb {
    /// Whether it changes what is stored.
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Patch | Self::Update | Self::Delete)
    }
}

impl Call {
    /// Reads method and target. The running numbers are for the caller to fill in.
    pub(super) fn parse(method: &Method, path: &str, query: &str) -> Self {
        let mut parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        // `/api/v1/…` and `/apis/GROUP/VERSION/…`
        let prefix = if parts.first() == Some(&"apis") { 3 } else { 2 };
        parts.drain(..prefix.min(parts.len()));
        let namespace = match parts.as_slice() {
            ["namespaces", namespace, _, ..] => (*namespace).to_owned(),
            _ => String::new(),
        };
        if !namespace.is_empty() {
            parts.drain(..2);
        }
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        let resource = if parts.len() > 2 { format!("{}/{}", part(0), part(2)) } else { part(0).to_owned() };
        let name = part(1).to_owned();
        let verb = match *method {
            Method::POST => Verb::Create,
            Method::PATCH => Verb::Patch,
            Method::PUT => Verb::Update,
            Method::DELETE => Verb::Delete,
            _ if query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")) => Verb::Watch,
            _ if name.is_empty() => Verb::List,
            _ => Verb::Get,
        };
        Self { verb, resource, namespace, name, repetition: 0, write: None }
    }

    /// Whether it is about models. Watches go on for ever, a lease is renewed for ever, and a review is a question.
    pub fn is_work(&self) -> bool {
        self.verb != Verb::Watch && self.resource != "leases" && !self.resource.ends_with("reviews")
    }

    /// What the request is about, without its numbers.
    pub fn target(&self) -> String {
        format!("{:?} {} {}/{}", self.verb, self.resource, self.namespace, self.name)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.target(), self.repetition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &Method, path: &str, query: &str) -> String {
        Call::parse(method, path, query).target()
    }

    #[test]
    fn a_request_is_known_by_verb_kind_and_name() {
        let models = "/apis/belfry.dev/v1alpha1/namespaces/ns/inferencemodels/m/status";
        assert_eq!(target(&Method::PATCH, models, "force=true"), "Patch inferencemodels/status ns/m");
        assert_eq!(target(&Method::GET, "/api/v1/pods", "labelSelector=a&watch=true"), "Watch pods /");
        assert_eq!(target(&Method::GET, "/api/v1/pods", "limit=500"), "List pods /");
        assert_eq!(target(&Method::GET, "/api/v1/namespaces/ns/services/s", ""), "Get services ns/s");
        assert_eq!(target(&Method::DELETE, "/api/v1/namespaces/ns", ""), "Delete namespaces /ns");
        assert_eq!(target(&Method::GET, "/version", ""), "List  /");
    }
}
