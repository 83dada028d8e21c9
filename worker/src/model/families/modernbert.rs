//! ModernBERT: rotary positions, gated layers, and blocks that see the whole text or only what is near, in turns.

use serde::Deserialize;
use tch::Device;

use super::rope::{self, Layer, Two};
use super::{NAME, Settings, checks};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, Reach, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, Summary, TokenHead, VocabularyHead};
use crate::model::layers::{Activation, Mlp};
use crate::model::network::pre_norm::{Block, PreNorm};
use crate::model::rotary::{Around, Pairs, Rope, Rotary};

#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_activation: String,
    max_position_embeddings: usize,
    norm_eps: f64,
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    layer_types: Option<Vec<String>>,
    global_attn_every_n_layers: usize,
    local_attention: i64,
    /// Half of `local_attention`, if the file has it.
    sliding_window: Option<i64>,
    head_dim: Option<usize>,
    decoder_bias: bool,
    classifier_pooling: String,
    classifier_bias: bool,
    classifier_activation: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: 50368,
            hidden_size: 768,
            intermediate_size: 1152,
            num_hidden_layers: 22,
            num_attention_heads: 12,
            hidden_activation: "gelu".to_owned(),
            max_position_embeddings: 8192,
            norm_eps: 1e-5,
            norm_bias: false,
            attention_bias: false,
            mlp_bias: false,
            layer_types: None,
            global_attn_every_n_layers: 3,
            local_attention: 128,
            sliding_window: None,
            head_dim: None,
            decoder_bias: true,
            classifier_pooling: "cls".to_owned(),
            classifier_bias: false,
            classifier_activation: "gelu".to_owned(),
        }
    }
}

#[derive(Debug)]
struct ModernBert {
    vocab_size: usize,
    hidden: usize,
    inner: usize,
    heads: Heads,
    activation: Activation,
    positions: usize,
    eps: f64,
    norm_bias: Bias,
    attention_bias: Bias,
    mlp_bias: Bias,
    layers: Vec<Layer>,
    /// Tokens that a sliding layer sees on either side.
    near: i64,
    /// Of full and of sliding layers.
    ropes: [Rope; 2],
    decoder_bias: bool,
    /// Of heads.
    summary: Summary,
    head_bias: Bias,
    head_activation: Activation,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::absolute_positions(folder)?;
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("hidden_size", fields.hidden_size),
            ("intermediate_size", fields.intermediate_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("max_position_embeddings", fields.max_position_embeddings),
            ("global_attn_every_n_layers", fields.global_attn_every_n_layers),
        ],
    )?;
    // The reference takes the second name after the first.
    let near = fields.sliding_window.unwrap_or(fields.local_attention / 2);
    if fields.local_attention < 0 || near < 0 {
        return Err(folder.corrupt(NAME, "local_attention or sliding_window is negative"));
    }
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    let size = checks::rotated(folder, checks::head_size(folder, hidden, heads)?)?;
    let size = checks::same_head(folder, size, fields.head_dim)?;
    let every = fields.global_attn_every_n_layers;
    let alternating = |index: usize| if index.is_multiple_of(every) { Layer::Full } else { Layer::Sliding };
    let around = Around { theta: 0.0, head: size, max_positions: fields.max_position_embeddings, original: None };
    Ok(Box::new(ModernBert {
        vocab_size: fields.vocab_size,
        hidden,
        inner: fields.intermediate_size,
        heads: Heads::equal(heads, size),
        activation: checks::activation(folder, "hidden_activation", &fields.hidden_activation)?,
        positions: fields.max_position_embeddings,
        eps: checks::eps(folder, "norm_eps", fields.norm_eps)?,
        norm_bias: fields.norm_bias.into(),
        attention_bias: fields.attention_bias.into(),
        mlp_bias: fields.mlp_bias.into(),
        layers: rope::layers(folder, fields.num_hidden_layers, fields.layer_types.as_deref(), alternating)?,
        near,
        ropes: rope::two(folder, around, Two::ModernBert)?,
        decoder_bias: fields.decoder_bias,
        summary: match fields.classifier_pooling.as_str() {
            "cls" => Summary::First,
            "mean" => Summary::Mean,
            other => {
                let why = format!("classifier_pooling {other} is not supported; supported are cls and mean");
                return Err(folder.unsupported(NAME, why));
            }
        },
        head_bias: fields.classifier_bias.into(),
        head_activation: checks::activation(folder, "classifier_activation", &fields.classifier_activation)?,
    }))
}

impl Settings for ModernBert {
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
        "embeddings.tok_embeddings.weight"
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let words = builder.tensor("embeddings.tok_embeddings.weight", &[self.vocab_size, self.hidden])?;
        let layers = self.layers.iter().enumerate();
        let blocks = layers.map(|(index, layer)| self.block(builder, index, *layer)).collect::<Result<_>>()?;
        let near = Reach { back: Some(self.near), ahead: Some(self.near) };
        let device = words.device();
        Ok(Box::new(PreNorm {
            first: Some(builder.layer_norm("embeddings.norm", self.hidden, self.eps, self.norm_bias)?),
            scale: None,
            words,
            blocks,
            last: builder.layer_norm("final_norm", self.hidden, self.eps, self.norm_bias)?,
            patterns: vec![
                self.pattern(Reach::ALL, &self.ropes[0], device)?,
                self.pattern(near, &self.ropes[1], device)?,
            ],
        }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        let mut at = builder.above();
        let dense = at.linear("head.dense", (self.hidden, self.hidden), self.head_bias)?;
        Ok(SequenceHead {
            summary: self.summary,
            dense: Some((dense, self.head_activation)),
            norm: Some(at.layer_norm("head.norm", self.hidden, self.eps, self.norm_bias)?),
            out: at.linear("classifier", (labels, self.hidden), Bias::Yes)?,
            is_difference: false,
        })
    }

    fn token_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<TokenHead> {
        let mut at = builder.above();
        let dense = at.linear("head.dense", (self.hidden, self.hidden), self.head_bias)?;
        let norm = at.layer_norm("head.norm", self.hidden, self.eps, self.norm_bias)?;
        let out = at.linear("classifier", (labels, self.hidden), Bias::Yes)?;
        Ok(TokenHead { dense: Some((dense, self.head_activation, norm)), out })
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        let dense = at.linear("head.dense", (self.hidden, self.hidden), self.head_bias)?;
        let norm = at.layer_norm("head.norm", self.hidden, self.eps, self.norm_bias)?;
        let decoder = at.decoder("decoder", words, self.decoder_bias.then_some("decoder.bias"))?;
        Ok(VocabularyHead { transform: Some((dense, self.head_activation, norm)), decoder })
    }
}

impl ModernBert {
    fn pattern(&self, reach: Reach, rope: &Rope, device: Device) -> Result<Pattern> {
        let rotary = fits(Rotary::new(rope, self.heads.size as usize, Pairs::Halves, device))?;
        Ok(Pattern { reach, bias: None, rotary: Some(rotary) })
    }

    fn block(&self, builder: &mut Builder<'_>, index: usize, layer: Layer) -> Result<Block> {
        let (hidden, inner) = (self.hidden, self.inner);
        let mut at = builder.at(&format!("layers.{index}"));
        let mut norm = |name: &str| at.layer_norm(name, hidden, self.eps, self.norm_bias);
        // The words of the first block are normed already.
        let before_attention = if index == 0 { None } else { Some(norm("attn_norm")?) };
        let before_mlp = Some(norm("mlp_norm")?);
        Ok(Block {
            before_attention,
            attention: SelfAttention {
                qkv: at.linear("attn.Wqkv", (3 * hidden, hidden), self.attention_bias)?,
                out: at.linear("attn.Wo", (hidden, hidden), self.attention_bias)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            after_attention: None,
            before_mlp,
            mlp: Mlp::Gated {
                gate_up: at.linear("mlp.Wi", (2 * inner, hidden), self.mlp_bias)?,
                activation: self.activation,
                down: at.linear("mlp.Wo", (hidden, inner), self.mlp_bias)?,
            },
            after_mlp: None,
            pattern: match layer {
                Layer::Full => 0,
                Layer::Sliding => 1,
            },
        })
    }
}
