//! The routes that count as inference.

use strum::VariantArray;

/// A route that counts as inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Endpoint {
    /// OpenAI's `POST /v1/embeddings`, also `/embeddings`
    Embeddings,
    /// text-embeddings-inference's `POST /embed`
    Embed,
    /// text-embeddings-inference's `POST /embed_all`
    EmbedAll,
    /// text-embeddings-inference's `POST /embed_sparse`
    EmbedSparse,
    /// text-embeddings-inference's `POST /rerank`
    Rerank,
    /// Cohere's and Jina's `POST /v1/rerank`, also `/v2/rerank`
    RerankV1,
    /// text-embeddings-inference's `POST /predict`
    Predict,
    /// text-embeddings-inference's `POST /similarity`
    Similarity,
}

impl Endpoint {
    /// Every endpoint. A test compares them with the contract.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The path, and the value of the label `endpoint`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Embeddings => "/v1/embeddings",
            Self::Embed => "/embed",
            Self::EmbedAll => "/embed_all",
            Self::EmbedSparse => "/embed_sparse",
            Self::Rerank => "/rerank",
            Self::RerankV1 => "/v1/rerank",
            Self::Predict => "/predict",
            Self::Similarity => "/similarity",
        }
    }

    /// The field that holds the texts.
    pub const fn input_name(self) -> &'static str {
        match self {
            Self::Embeddings => "input",
            Self::Rerank => "texts",
            Self::RerankV1 => "documents",
            _ => "inputs",
        }
    }

    /// Whether clients expect errors as OpenAI writes them; others expect those of text-embeddings-inference.
    pub const fn is_openai(self) -> bool {
        matches!(self, Self::Embeddings | Self::RerankV1)
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
