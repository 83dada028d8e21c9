//! Heads that several families have.

use crate::failure::Result;
use crate::model::builder::{Bias, Builder};
use crate::model::heads::{SequenceHead, Summary};
use crate::model::layers::Activation;

/// BERT's: the pooler of the encoder, which looks at the first token, and one linear layer.
pub(super) fn pooler(builder: &mut Builder<'_>, dense: &str, hidden: usize, labels: usize) -> Result<SequenceHead> {
    Ok(SequenceHead {
        summary: Summary::First,
        dense: Some((builder.linear(dense, (hidden, hidden), Bias::Yes)?, Activation::Tanh)),
        norm: None,
        out: builder.above().linear("classifier", (labels, hidden), Bias::Yes)?,
        is_difference: false,
    })
}
