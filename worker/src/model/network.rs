//! The kinds of networks. A family takes one of them and fills it from its own settings and names.

pub(super) mod deberta;
pub(super) mod embeddings;
pub(super) mod post_norm;
pub(super) mod pre_norm;
