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
    /// SIE's `POST /v1/encode/{model}`
    Encode,
    /// SIE's `POST /v1/score/{model}`
    Score,
}

/// How a failed request is answered: each server's clients read another body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// `{"error": {"message", "type", "param", "code"}}`, as OpenAI and Cohere write it.
    OpenAi,
    /// `{"error", "error_type", "param", "code"}`, as text-embeddings-inference writes it.
    Flat,
    /// `{"detail": {"code", "message", "param"}}`, as SIE writes it.
    Detail,
}

impl Endpoint {
    /// Every endpoint. A test compares them with the contract.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The path without the name of a model, and the value of the label `endpoint`.
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
            Self::Encode => "/v1/encode",
            Self::Score => "/v1/score",
        }
    }

    /// The field that holds the texts.
    pub const fn input_name(self) -> &'static str {
        match self {
            Self::Embeddings => "input",
            Self::Rerank => "texts",
            Self::RerankV1 => "documents",
            Self::Encode | Self::Score => "items",
            _ => "inputs",
        }
    }

    /// The errors that its clients read.
    pub const fn error_shape(self) -> ErrorShape {
        match self {
            Self::Embeddings | Self::RerankV1 => ErrorShape::OpenAi,
            Self::Encode | Self::Score => ErrorShape::Detail,
            _ => ErrorShape::Flat,
        }
    }

    /// Whether a body may be msgpack, beside JSON.
    pub const fn takes_msgpack(self) -> bool {
        matches!(self, Self::Encode | Self::Score)
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
