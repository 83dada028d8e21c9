//! `NomicBERT`: rotary positions and gated layers in BERT's order. transformers has the network with names of its own;
//! the authors published theirs with GPT-2's names in config.json. Either is read, and weights of either.

mod fields;

use self::fields::{Fields, Names, OldFields};
use super::{NAME, Settings, checks, heads, rope};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, Reach, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, VocabularyHead};
use crate::model::layers::{Activation, Linear, Mlp};
use crate::model::network::embeddings::{Counting, Embeddings, Finish, Positions};
use crate::model::network::post_norm::{Block, PostNorm};
use crate::model::rotary::{Around, Pairs, Rope, Rotary, Scaling};

/// How tokens get positions.
#[derive(Debug)]
enum Place {
    /// A table, as BERT has it.
    Table,
    /// A rotation of the first `dims` dimensions of each head.
    Rotary { rope: Rope, dims: usize, pairs: Pairs },
}

/// The layers between the two norms of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedForward {
    Plain(Activation),
    Gated(Activation),
}

#[derive(Debug)]
struct Nomic {
    vocab_size: usize,
    hidden: usize,
    layers: usize,
    heads: Heads,
    inner: usize,
    feed_forward: FeedForward,
    positions: usize,
    types: usize,
    eps: f64,
    place: Place,
    attention_bias: Bias,
    up_bias: Bias,
    down_bias: Bias,
    /// Of the head that predicts words.
    head: Activation,
    head_bias: Bias,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let names: Names = folder.json(NAME)?;
    names.agree(folder)?;
    checks::encoder_only(folder)?;
    checks::whole_texts(folder)?;
    let nomic = if names.n_embd.is_some() { old(folder)? } else { new(folder)? };
    checks::sizes(
        folder,
        &[
            ("vocab_size", nomic.vocab_size),
            ("the hidden size", nomic.hidden),
            ("the number of layers", nomic.layers),
            ("the intermediate size", nomic.inner),
            ("the number of positions", nomic.positions),
            ("type_vocab_size, plus 1,", nomic.types.saturating_add(1)),
        ],
    )?;
    Ok(Box::new(nomic))
}

fn new(folder: &Folder) -> Result<Nomic> {
    let fields: Fields = folder.json(NAME)?;
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    let size = match fields.head_dim {
        Some(size) => size,
        None => checks::head_size(folder, hidden, heads)?,
    };
    let size = checks::rotated(folder, size)?;
    checks::sizes(
        folder,
        &[("num_attention_heads", heads), ("head_dim", size), ("type_vocab_size", fields.type_vocab_size)],
    )?;
    let activation = checks::activation(folder, "hidden_act", &fields.hidden_act)?;
    let around = Around { theta: 1000.0, head: size, max_positions: fields.max_position_embeddings, original: None };
    Ok(Nomic {
        vocab_size: fields.vocab_size,
        hidden,
        layers: fields.num_hidden_layers,
        heads: Heads::equal(heads, size),
        inner: fields.intermediate_size,
        feed_forward: FeedForward::Gated(activation),
        positions: fields.max_position_embeddings,
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
        place: Place::Rotary { rope: rope::one(folder, around)?, dims: size, pairs: Pairs::Halves },
        attention_bias: Bias::No,
        up_bias: Bias::No,
        down_bias: Bias::No,
        head: activation,
        head_bias: Bias::Yes,
    })
}

fn old(folder: &Folder) -> Result<Nomic> {
    let fields: OldFields = folder.json(NAME)?;
    refuse_old(folder, &fields)?;
    checks::sizes(folder, &[("n_embd", fields.n_embd), ("n_inner", fields.n_inner.unwrap_or(1))])?;
    let size = checks::head_size(folder, fields.n_embd, fields.n_head)?;
    let (feed_forward, inner) = match fields.activation_function.as_str() {
        "gelu" => (FeedForward::Plain(Activation::Gelu), fields.n_inner.unwrap_or(4 * fields.n_embd)),
        gated => {
            let activation = match gated {
                "swiglu" => Activation::Silu,
                "geglu" => Activation::Gelu,
                "glu" => Activation::Sigmoid,
                other => {
                    let why = format!(
                        "activation_function {other} is not supported; supported are gelu, geglu, glu and swiglu"
                    );
                    return Err(folder.unsupported(NAME, why));
                }
            };
            // The reference rounds the size of gated layers up.
            let inner = fields.n_inner.unwrap_or(8 * fields.n_embd / 3).next_multiple_of(256);
            (FeedForward::Gated(activation), inner)
        }
    };
    let multiple = fields.pad_vocab_size_multiple.max(1);
    Ok(Nomic {
        vocab_size: fields.vocab_size.checked_next_multiple_of(multiple).unwrap_or(fields.vocab_size),
        hidden: fields.n_embd,
        layers: fields.n_layer,
        heads: Heads::equal(fields.n_head, size),
        inner,
        feed_forward,
        positions: fields.n_positions,
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_epsilon", fields.layer_norm_epsilon)?,
        place: place(folder, &fields, size)?,
        attention_bias: fields.qkv_proj_bias.into(),
        up_bias: fields.mlp_fc1_bias.into(),
        down_bias: fields.mlp_fc2_bias.into(),
        head: if fields.activation_function == "swiglu" { Activation::Silu } else { Activation::Gelu },
        head_bias: fields.mlp_fc1_bias.into(),
    })
}

/// Refuses what the authors' code does with some flags, and this worker does not.
fn refuse_old(folder: &Folder, fields: &OldFields) -> Result<()> {
    let scaled = fields.rotary_scaling_factor.unwrap_or(Some(1.0)).is_some_and(|factor| factor != 0.0);
    let found = [
        (fields.prenorm, "prenorm"),
        (fields.parallel_block, "parallel_block"),
        (fields.use_rms_norm, "use_rms_norm"),
        (fields.causal, "causal"),
        (fields.rotary_emb_scale_base.is_some(), "rotary_emb_scale_base"),
        (fields.rotary_head_dim, "rotary_head_dim"),
        (fields.num_heads_kv.is_some_and(|heads| heads != fields.n_head), "num_heads_kv"),
        (fields.moe_every_n_layers > 0, "moe_every_n_layers"),
        (fields.num_experts > 0, "num_experts"),
    ];
    if let Some((_, field)) = found.iter().find(|(found, _)| *found) {
        return Err(folder.unsupported(NAME, format!("{field} is set, which is not supported")));
    }
    // Past these positions the reference's vectors depend on the texts before.
    if fields.rotary_emb_fraction > 0.0 && scaled && fields.n_positions > fields.max_trained_positions {
        let why = format!(
            "rotary_scaling_factor with n_positions {} above max_trained_positions {} is not supported; set it to \
             null, or n_positions to {}",
            fields.n_positions, fields.max_trained_positions, fields.max_trained_positions
        );
        return Err(folder.unsupported(NAME, why));
    }
    Ok(())
}

fn place(folder: &Folder, fields: &OldFields, size: usize) -> Result<Place> {
    let dims = size as f64 * fields.rotary_emb_fraction;
    if dims <= 0.0 {
        return Ok(Place::Table);
    }
    if dims.fract() != 0.0 || dims > size as f64 {
        return Err(folder.corrupt(NAME, format!("rotary_emb_fraction turns {dims} of {size} dimensions")));
    }
    if !(fields.rotary_emb_base.is_finite() && fields.rotary_emb_base > 1.0) {
        return Err(folder.corrupt(NAME, "rotary_emb_base is not above 1"));
    }
    Ok(Place::Rotary {
        rope: Rope { theta: fields.rotary_emb_base, scaling: Scaling::None },
        dims: checks::rotated(folder, dims as usize)?,
        pairs: if fields.rotary_emb_interleaved { Pairs::Neighbours } else { Pairs::Halves },
    })
}

impl Settings for Nomic {
    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_tokens(&self) -> usize {
        self.positions
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let native = builder.has("layers.0.self_attn.q_proj.weight");
        let block = |index| if native { self.block(builder, index) } else { self.published(builder, index) };
        let blocks = (0..self.layers).map(block).collect::<Result<Vec<_>>>()?;
        let norm = if native { "embeddings.LayerNorm" } else { "emb_ln" };
        let finish = Finish::Norm(builder.layer_norm(norm, self.hidden, self.eps, Bias::Yes)?);
        let mut at = builder.at("embeddings");
        let words = at.tensor("word_embeddings.weight", &[self.vocab_size, self.hidden])?;
        let types = match self.types {
            0 => None,
            types => Some(at.tensor("token_type_embeddings.weight", &[types, self.hidden])?),
        };
        let (positions, rotary) = match &self.place {
            Place::Table => {
                let table = at.tensor("position_embeddings.weight", &[self.positions, self.hidden])?;
                (Some(Positions { table, counting: Counting::All }), None)
            }
            Place::Rotary { rope, dims, pairs } => {
                (None, Some(fits(Rotary::new(rope, *dims, *pairs, words.device()))?))
            }
        };
        let pattern = Pattern { reach: Reach::ALL, bias: None, rotary };
        let order = (0..blocks.len()).collect();
        let embeddings = Embeddings { words, positions, types, finish };
        Ok(Box::new(PostNorm { embeddings, blocks, order, pattern }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        heads::pooler(builder, "pooler.dense", self.hidden, labels)
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut above = builder.above();
        let mut at = above.at("cls.predictions");
        let dense = at.linear("transform.dense", (self.hidden, self.hidden), self.head_bias)?;
        let norm = at.layer_norm("transform.layer_norm", self.hidden, self.eps, Bias::Yes)?;
        let bias = if at.has("bias") { "bias" } else { "decoder.bias" };
        let decoder = at.decoder("decoder", words, (self.head_bias == Bias::Yes).then_some(bias))?;
        Ok(VocabularyHead { transform: Some((dense, self.head, norm)), decoder })
    }
}

impl Nomic {
    /// Columns of all heads together.
    fn columns(&self) -> usize {
        (self.heads.queries * self.heads.size) as usize
    }

    fn attention(&self, qkv: Linear, out: Linear) -> SelfAttention {
        SelfAttention { qkv, out, heads: self.heads, norms: None, scale: None }
    }

    /// A block under transformers' names.
    fn block(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let FeedForward::Gated(activation) = self.feed_forward else {
            return Err(builder.unsupported("weights with transformers' names have gated layers, unlike config.json"));
        };
        let (hidden, inner, columns, eps) = (self.hidden, self.inner, self.columns(), self.eps);
        let mut at = builder.at(&format!("layers.{index}"));
        let parts = [("q_proj", columns), ("k_proj", columns), ("v_proj", columns)];
        let qkv = at.at("self_attn").joined(&parts, hidden, self.attention_bias)?;
        let out = at.linear("self_attn.o_proj", (hidden, columns), self.attention_bias)?;
        Ok(Block {
            attention: self.attention(qkv, out),
            attention_norm: at.layer_norm("post_attention_layernorm", hidden, eps, Bias::Yes)?,
            second_norm: None,
            mlp: Mlp::Gated {
                gate_up: at.at("mlp").joined(&[("gate_proj", inner), ("up_proj", inner)], hidden, self.up_bias)?,
                activation,
                down: at.linear("mlp.down_proj", (hidden, inner), self.down_bias)?,
            },
            norm: at.layer_norm("post_mlp_layernorm", hidden, eps, Bias::Yes)?,
        })
    }

    /// A block under the authors' names.
    fn published(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, inner, columns, eps) = (self.hidden, self.inner, self.columns(), self.eps);
        let mut at = builder.at(&format!("encoder.layers.{index}"));
        let qkv = at.linear("attn.Wqkv", (3 * columns, hidden), self.attention_bias)?;
        let out = at.linear("attn.out_proj", (hidden, columns), self.attention_bias)?;
        let mlp = match self.feed_forward {
            FeedForward::Plain(activation) => Mlp::Plain {
                up: at.linear("mlp.fc1", (inner, hidden), self.up_bias)?,
                activation,
                down: at.linear("mlp.fc2", (hidden, inner), self.down_bias)?,
            },
            FeedForward::Gated(activation) => Mlp::Gated {
                gate_up: at.at("mlp").joined(&[("fc12", inner), ("fc11", inner)], hidden, self.up_bias)?,
                activation,
                down: at.linear("mlp.fc2", (hidden, inner), self.down_bias)?,
            },
        };
        Ok(Block {
            attention: self.attention(qkv, out),
            attention_norm: at.layer_norm("norm1", hidden, eps, Bias::Yes)?,
            second_norm: None,
            mlp,
            norm: at.layer_norm("norm2", hidden, eps, Bias::Yes)?,
        })
    }
}
