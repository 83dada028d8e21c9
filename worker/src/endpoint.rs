//! The routes that count as inference.

use strum::VariantArray;

/// A route that counts as inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Endpoint {
    /// OpenAI's `POST /v1/embeddings`
    Embeddings,
    /// text-embeddings-inference's `POST /embed`
    Embed,
}

impl Endpoint {
    /// Every endpoint. A test compares them with the contract.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The path, and the value of the label `endpoint`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Embeddings => "/v1/embeddings",
            Self::Embed => "/embed",
        }
    }

    /// The field that holds the texts.
    pub const fn input_name(self) -> &'static str {
        match self {
            Self::Embeddings => "input",
            Self::Embed => "inputs",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belfry_crds::contract::metrics::ENDPOINTS;

    use super::*;

    #[test]
    fn endpoints_are_those_of_the_contract() {
        let ours: BTreeSet<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.path()).collect();
        assert_eq!(ours, ENDPOINTS.iter().copied().collect());
        assert_eq!(ours.len(), Endpoint::ALL.len());
    }
}
