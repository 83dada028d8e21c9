//! Decoders that are used as encoders: Qwen3 and Gemma 3. Both have norms without a mean, norms of queries and keys,
//! fewer heads of keys than of queries, gated layers, and may see only what is near in some layers.

use serde::Deserialize;

use super::rope::{self, Layer, Two};
use super::{NAME, Settings, checks};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, QueryKeyNorm, Reach, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, Summary, TokenHead, VocabularyHead};
use crate::model::layers::{Activation, Mlp, Norm};
use crate::model::network::pre_norm::{Block, PreNorm};
use crate::model::rotary::{Around, Pairs, Rope, Rotary};

#[derive(Deserialize)]
#[serde(default)]
struct Qwen3Fields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    /// Null is as many as of queries.
    num_key_value_heads: Option<usize>,
    head_dim: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    attention_bias: bool,
    use_sliding_window: bool,
    sliding_window: Option<i64>,
    max_window_layers: usize,
    layer_types: Option<Vec<String>>,
    is_causal: bool,
    pad_token_id: Option<i64>,
    token_classification_bias: bool,
}

impl Default for Qwen3Fields {
    fn default() -> Self {
        Self {
            vocab_size: 151_936,
            hidden_size: 4096,
            intermediate_size: 22016,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: Some(32),
            head_dim: 128,
            hidden_act: "silu".to_owned(),
            max_position_embeddings: 32768,
            rms_norm_eps: 1e-6,
            attention_bias: false,
            use_sliding_window: false,
            sliding_window: Some(4096),
            max_window_layers: 28,
            layer_types: None,
            is_causal: true,
            pad_token_id: None,
            token_classification_bias: true,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Gemma3Fields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    hidden_activation: String,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    attention_bias: bool,
    query_pre_attn_scalar: f64,
    sliding_window: Option<i64>,
    sliding_window_pattern: usize,
    layer_types: Option<Vec<String>>,
    attn_logit_softcapping: Option<f64>,
    /// Null is false.
    use_bidirectional_attention: Option<bool>,
    is_causal: bool,
    pad_token_id: Option<i64>,
    final_logit_softcapping: Option<f64>,
}

impl Default for Gemma3Fields {
    fn default() -> Self {
        Self {
            vocab_size: 262_208,
            hidden_size: 2304,
            intermediate_size: 9216,
            num_hidden_layers: 26,
            num_attention_heads: 8,
            num_key_value_heads: 4,
            head_dim: 256,
            hidden_activation: "gelu_pytorch_tanh".to_owned(),
            max_position_embeddings: 131_072,
            rms_norm_eps: 1e-6,
            attention_bias: false,
            query_pre_attn_scalar: 256.0,
            sliding_window: Some(4096),
            sliding_window_pattern: 6,
            layer_types: None,
            attn_logit_softcapping: None,
            use_bidirectional_attention: None,
            is_causal: true,
            pad_token_id: Some(0),
            final_logit_softcapping: None,
        }
    }
}

/// The norms of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Norms {
    /// Before each half.
    Qwen3,
    /// Before and after each half; and every weight is one more than in the file.
    Gemma3,
}

#[derive(Debug)]
struct Decoder {
    vocab_size: usize,
    hidden: usize,
    inner: usize,
    heads: Heads,
    activation: Activation,
    positions: usize,
    eps: f64,
    attention_bias: Bias,
    norms: Norms,
    /// What words are multiplied with.
    word_scale: Option<f64>,
    /// What scores are multiplied with.
    score_scale: Option<f64>,
    layers: Vec<Layer>,
    /// What full and sliding layers see, and their rotations.
    patterns: [(Reach, Rope); 2],
    /// Tokens with this id are no text.
    padding: Option<i64>,
    /// The last step of the head that predicts words.
    softcapping: Option<f64>,
    /// Whether the head of token classification adds something; `None` if transformers has no such head.
    token_bias: Option<Bias>,
}

/// The heads of a decoder.
fn heads(folder: &Folder, queries: usize, keys: usize, size: usize) -> Result<Heads> {
    checks::sizes(folder, &[("num_attention_heads", queries), ("num_key_value_heads", keys), ("head_dim", size)])?;
    if !queries.is_multiple_of(keys) {
        let why = format!("num_attention_heads {queries} is not a multiple of num_key_value_heads {keys}");
        return Err(folder.corrupt(NAME, why));
    }
    let size = checks::rotated(folder, size)?;
    Ok(Heads { queries: queries as i64, keys: keys as i64, size: size as i64 })
}

/// The window of sliding layers, if there are any.
fn window(folder: &Folder, layers: &[Layer], window: Option<i64>) -> Result<i64> {
    match window {
        Some(window) if window > 0 => Ok(window),
        _ if !layers.contains(&Layer::Sliding) => Ok(1),
        _ => Err(folder.corrupt(NAME, "layer_types has sliding_attention, and sliding_window is not above 0")),
    }
}

pub(super) fn qwen3(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Qwen3Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("hidden_size", fields.hidden_size),
            ("intermediate_size", fields.intermediate_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("max_position_embeddings", fields.max_position_embeddings),
        ],
    )?;
    let queries = fields.num_attention_heads;
    let heads = heads(folder, queries, fields.num_key_value_heads.unwrap_or(queries), fields.head_dim)?;
    let given = fields.sliding_window.filter(|_| fields.use_sliding_window);
    let late = |index: usize| {
        if given.is_some() && index >= fields.max_window_layers { Layer::Sliding } else { Layer::Full }
    };
    let layers = rope::layers(folder, fields.num_hidden_layers, fields.layer_types.as_deref(), late)?;
    let window = window(folder, &layers, given)?;
    let (full, sliding) = if fields.is_causal {
        (Reach::CAUSAL, Reach { back: Some(window - 1), ahead: Some(0) })
    } else {
        (Reach::ALL, Reach { back: Some(window), ahead: Some(window) })
    };
    let around = Around {
        theta: 10_000.0,
        head: fields.head_dim,
        max_positions: fields.max_position_embeddings,
        original: None,
    };
    let rope = rope::one(folder, around)?;
    Ok(Box::new(Decoder {
        vocab_size: fields.vocab_size,
        hidden: fields.hidden_size,
        inner: fields.intermediate_size,
        heads,
        activation: checks::activation(folder, "hidden_act", &fields.hidden_act)?,
        positions: fields.max_position_embeddings,
        eps: checks::eps(folder, "rms_norm_eps", fields.rms_norm_eps)?,
        attention_bias: fields.attention_bias.into(),
        norms: Norms::Qwen3,
        word_scale: None,
        score_scale: None,
        layers,
        patterns: [(full, rope.clone()), (sliding, rope)],
        padding: fields.pad_token_id,
        softcapping: None,
        token_bias: Some(fields.token_classification_bias.into()),
    }))
}

pub(super) fn gemma3(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Gemma3Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("hidden_size", fields.hidden_size),
            ("intermediate_size", fields.intermediate_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("max_position_embeddings", fields.max_position_embeddings),
            ("sliding_window_pattern", fields.sliding_window_pattern),
        ],
    )?;
    if fields.attn_logit_softcapping.is_some() {
        return Err(folder.unsupported(NAME, "attn_logit_softcapping is not supported; only null is"));
    }
    if !(fields.query_pre_attn_scalar.is_finite() && fields.query_pre_attn_scalar > 0.0) {
        return Err(folder.corrupt(NAME, "query_pre_attn_scalar is not above 0"));
    }
    let every = fields.sliding_window_pattern;
    let alternating = |index: usize| if (index + 1).is_multiple_of(every) { Layer::Full } else { Layer::Sliding };
    let layers = rope::layers(folder, fields.num_hidden_layers, fields.layer_types.as_deref(), alternating)?;
    let window = window(folder, &layers, fields.sliding_window)?;
    let (full, sliding) = match (fields.use_bidirectional_attention.unwrap_or(false), fields.is_causal) {
        // The reference halves the window, and sees both ends of it.
        (true, true) => (Reach::ALL, Reach { back: Some(window / 2), ahead: Some(window / 2) }),
        (false, true) => (Reach::CAUSAL, Reach { back: Some(window - 1), ahead: Some(0) }),
        (false, false) => (Reach::ALL, Reach { back: Some(window), ahead: Some(window) }),
        (true, false) => {
            let why = "is_causal false together with use_bidirectional_attention is not supported; drop is_causal";
            return Err(folder.unsupported(NAME, why));
        }
    };
    let around =
        Around { theta: 0.0, head: fields.head_dim, max_positions: fields.max_position_embeddings, original: None };
    let [global, local] = rope::two(folder, around, Two::Gemma3)?;
    Ok(Box::new(Decoder {
        vocab_size: fields.vocab_size,
        hidden: fields.hidden_size,
        inner: fields.intermediate_size,
        heads: heads(folder, fields.num_attention_heads, fields.num_key_value_heads, fields.head_dim)?,
        activation: checks::activation(folder, "hidden_activation", &fields.hidden_activation)?,
        positions: fields.max_position_embeddings,
        eps: checks::eps(folder, "rms_norm_eps", fields.rms_norm_eps)?,
        attention_bias: fields.attention_bias.into(),
        norms: Norms::Gemma3,
        word_scale: Some((fields.hidden_size as f64).sqrt()),
        score_scale: Some(fields.query_pre_attn_scalar.powf(-0.5)),
        layers,
        patterns: [(full, global), (sliding, local)],
        padding: fields.pad_token_id,
        softcapping: fields.final_logit_softcapping,
        token_bias: None,
    }))
}

impl Settings for Decoder {
    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_tokens(&self) -> usize {
        self.positions
    }

    fn marker(&self) -> &'static str {
        "embed_tokens.weight"
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let words = builder.tensor("embed_tokens.weight", &[self.vocab_size, self.hidden])?;
        let layers = self.layers.iter().enumerate();
        let blocks = layers.map(|(index, layer)| self.block(builder, index, *layer)).collect::<Result<_>>()?;
        let pattern = |(reach, rope): &(Reach, Rope)| {
            let rotary = fits(Rotary::new(rope, self.heads.size as usize, Pairs::Halves, words.device()))?;
            Ok(Pattern { reach: *reach, bias: None, rotary: Some(rotary) })
        };
        let patterns = self.patterns.iter().map(pattern).collect::<Result<_>>()?;
        let last = self.norm(builder, "norm", self.hidden)?;
        Ok(Box::new(PreNorm { words, scale: self.word_scale, first: None, blocks, last, patterns }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        Ok(SequenceHead {
            summary: Summary::Last(self.padding),
            dense: None,
            norm: None,
            out: builder.above().linear("score", (labels, self.hidden), Bias::No)?,
            is_difference: false,
        })
    }

    fn token_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<TokenHead> {
        let Some(bias) = self.token_bias else {
            return Err(builder.unsupported(
                "architectures in config.json asks for token classification, which transformers has not for this family",
            ));
        };
        Ok(TokenHead { dense: None, out: builder.above().linear("score", (labels, self.hidden), bias)? })
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        if self.softcapping.is_some() {
            return Err(at.unsupported("final_logit_softcapping is not supported; only null is"));
        }
        Ok(VocabularyHead { transform: None, decoder: at.decoder("lm_head", words, None)? })
    }

    fn tied(&self) -> bool {
        self.norms == Norms::Gemma3
    }

    fn continues_texts(&self) -> bool {
        true
    }
}

impl Decoder {
    fn norm(&self, builder: &mut Builder<'_>, name: &str, size: usize) -> Result<Norm> {
        let add = if self.norms == Norms::Gemma3 { 1.0 } else { 0.0 };
        builder.root_mean_square(name, size, self.eps, add)
    }

    fn block(&self, builder: &mut Builder<'_>, index: usize, layer: Layer) -> Result<Block> {
        let (hidden, inner, size) = (self.hidden, self.inner, self.heads.size as usize);
        let (queries, keys) = (self.heads.queries as usize * size, self.heads.keys as usize * size);
        let mut at = builder.at(&format!("layers.{index}"));
        let mut norm = |name: &str, size: usize| self.norm(&mut at, name, size);
        let before_attention = Some(norm("input_layernorm", hidden)?);
        let between = norm("post_attention_layernorm", hidden)?;
        let (after_attention, before_mlp, after_mlp) = match self.norms {
            Norms::Qwen3 => (None, between, None),
            Norms::Gemma3 => (
                Some(between),
                norm("pre_feedforward_layernorm", hidden)?,
                Some(norm("post_feedforward_layernorm", hidden)?),
            ),
        };
        let of_heads = QueryKeyNorm::OfHeads(norm("self_attn.q_norm", size)?, norm("self_attn.k_norm", size)?);
        let parts = [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)];
        Ok(Block {
            before_attention,
            attention: SelfAttention {
                qkv: at.at("self_attn").joined(&parts, hidden, self.attention_bias)?,
                out: at.linear("self_attn.o_proj", (hidden, queries), self.attention_bias)?,
                heads: self.heads,
                norms: Some(of_heads),
                scale: self.score_scale,
            },
            after_attention,
            before_mlp: Some(before_mlp),
            mlp: Mlp::Gated {
                gate_up: at.at("mlp").joined(&[("gate_proj", inner), ("up_proj", inner)], hidden, Bias::No)?,
                activation: self.activation,
                down: at.linear("mlp.down_proj", (hidden, inner), Bias::No)?,
            },
            after_mlp,
            pattern: match layer {
                Layer::Full => 0,
                Layer::Sliding => 1,
            },
        })
    }
}
