//! Self-attention on packed batches: each run of texts of equal length is one call, without padding.

use tch::{Device, Kind, Tensor};

use super::layers::{Linear, Norm, TorchResult};
use super::rotary::{Angles, Rotary};
use crate::batch::{Packed, Run};

/// Largest mask that is made at once, in elements. Longer texts are computed in pieces of fewer queries.
const MASK_LIMIT: i64 = 1 << 22;

/// Queries of a piece, if each sees only tokens near it.
const NEAR_PIECE: i64 = 256;

/// How far a token sees. `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Tokens before it.
    pub(super) back: Option<i64>,
    /// Tokens after it.
    pub(super) ahead: Option<i64>,
}

impl Reach {
    /// The whole text.
    pub(super) const ALL: Self = Self { back: None, ahead: None };
    /// The token itself and those before it.
    pub(super) const CAUSAL: Self = Self { back: None, ahead: Some(0) };

    /// This reach for a text of `length` tokens: a limit that no token reaches is none.
    fn within(self, length: i64) -> Self {
        let binding = |limit: &i64| *limit < length - 1;
        Self { back: self.back.filter(binding), ahead: self.ahead.filter(binding) }
    }
}

/// What is added to the scores, by the distance of key and query.
pub(super) enum Bias {
    /// A row per head; its middle is distance 0, and longer distances take its ends: `[heads, 2 * limit + 1]`.
    Table { values: Tensor, limit: i64 },
    /// Minus the distance times a slope per head: ALiBi (<https://arxiv.org/abs/2108.12409>), `[heads, 1, 1]`.
    Slopes(Tensor),
}

impl Bias {
    /// The slopes of ALiBi, as its authors compute them for any number of heads.
    pub(super) fn alibi(heads: usize, device: Device) -> TorchResult<Self> {
        let slopes: Vec<f32> = slopes(heads).into_iter().map(|slope| slope as f32).collect();
        Ok(Self::Slopes(Tensor::f_from_slice(&slopes)?.f_reshape([-1, 1, 1])?.f_to_device(device)?))
    }

    fn heads(&self) -> i64 {
        match self {
            Self::Table { values: x, .. } | Self::Slopes(x) => x.size()[0],
        }
    }

    /// The bias for distances `[queries, keys]`: `[heads, queries, keys]`.
    fn of(&self, distances: &Tensor) -> TorchResult<Tensor> {
        match self {
            Self::Table { values, limit } => {
                let columns = distances.f_clamp(-*limit, *limit)?.f_add_scalar(*limit)?;
                let size = distances.size();
                values.f_index_select(1, &columns.f_reshape([-1])?)?.f_reshape([self.heads(), size[0], size[1]])
            }
            Self::Slopes(slopes) => distances.f_abs()?.f_neg()?.f_unsqueeze(0)?.f_mul(slopes),
        }
    }
}

fn slopes(heads: usize) -> Vec<f64> {
    let of_power = |count: usize| {
        let start = 2_f64.powf(-(2_f64.powf(3.0 - (count as f64).log2())));
        (1..=count as i32).map(move |i| start.powi(i)).collect::<Vec<_>>()
    };
    if heads.is_power_of_two() {
        return of_power(heads);
    }
    let below = heads.next_power_of_two() / 2;
    let between = slopes(2 * below).into_iter().step_by(2).take(heads - below);
    of_power(below).into_iter().chain(between).collect()
}

/// Everything about attention that depends on positions and not on the tokens.
pub(super) struct Pattern {
    pub(super) reach: Reach,
    pub(super) bias: Option<Bias>,
    pub(super) rotary: Option<Rotary>,
}

/// A pattern for the positions of one batch. All layers with this pattern share it.
pub(super) struct Scene<'a> {
    pattern: &'a Pattern,
    runs: &'a [Run],
    /// One per run.
    masks: Vec<Mask>,
    angles: Option<Angles>,
}

/// What the queries of a run see.
enum Mask {
    Everything,
    Before,
    /// True where a query sees a key, or what is added to the score.
    Whole(Tensor),
    /// Too large to be made at once: made for some queries at a time.
    Pieces(Reach),
}

impl Pattern {
    /// Every token sees every token, and positions are no matter of attention.
    pub(super) const OPEN: Self = Self { reach: Reach::ALL, bias: None, rotary: None };

    /// Computes the pattern for a batch. `positions` are those of the tokens in their texts, on the model's device.
    pub(super) fn scene<'a>(&'a self, packed: &'a Packed, positions: &Tensor, kind: Kind) -> TorchResult<Scene<'a>> {
        let angles = self.rotary.as_ref().map(|rotary| rotary.angles(positions, kind)).transpose()?;
        let masks = packed.runs.iter().map(|run| self.mask(run, positions.device(), kind));
        Ok(Scene { pattern: self, runs: &packed.runs, masks: masks.collect::<TorchResult<_>>()?, angles })
    }

    fn mask(&self, run: &Run, device: Device, kind: Kind) -> TorchResult<Mask> {
        let Run { length, seen, .. } = *run;
        let reach = self.reach.within(length);
        Ok(match (reach, &self.bias) {
            (Reach::ALL, None) => Mask::Everything,
            // A query with tokens that are not seen; it has few.
            _ if seen < length => Mask::Whole(self.tensor(reach, (0, length), (0, seen), (kind, device))?),
            (Reach::CAUSAL, None) => Mask::Before,
            _ if self.heads() * length * length > MASK_LIMIT || reach.near() && length > 2 * NEAR_PIECE => {
                Mask::Pieces(reach)
            }
            _ => Mask::Whole(self.tensor(reach, (0, length), (0, length), (kind, device))?),
        })
    }

    fn heads(&self) -> i64 {
        self.bias.as_ref().map_or(1, Bias::heads)
    }

    /// The mask of these queries and keys, each from a token and so many.
    fn tensor(
        &self,
        reach: Reach,
        queries: (i64, i64),
        keys: (i64, i64),
        (kind, device): (Kind, Device),
    ) -> TorchResult<Tensor> {
        let tokens = |(from, count): (i64, i64)| Tensor::f_arange_start(from, from + count, (Kind::Int64, device));
        let distances = tokens(keys)?.f_unsqueeze(0)?.f_sub(&tokens(queries)?.f_unsqueeze(1)?)?;
        let back = reach.back.map(|back| distances.f_ge(-back)).transpose()?;
        let ahead = reach.ahead.map(|ahead| distances.f_le(ahead)).transpose()?;
        let seen = match (back, ahead) {
            (Some(back), Some(ahead)) => Some(back.f_logical_and(&ahead)?),
            (back, ahead) => back.or(ahead),
        };
        match (&self.bias, seen) {
            (None, None) => Tensor::f_ones([queries.1, keys.1], (Kind::Bool, device)),
            (None, Some(seen)) => Ok(seen),
            (Some(bias), None) => bias.of(&distances)?.f_to_kind(kind),
            (Some(bias), Some(seen)) => {
                bias.of(&distances)?.f_to_kind(kind)?.f_masked_fill(&seen.f_logical_not()?, f64::NEG_INFINITY)
            }
        }
    }
}

impl Reach {
    fn near(self) -> bool {
        self.back.is_some() && self.ahead.is_some()
    }
}

/// How the columns of queries, keys and values are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heads {
    /// Heads of queries.
    pub(super) queries: i64,
    /// Heads of keys, and of values; a divisor of `queries`.
    pub(super) keys: i64,
    /// Dimensions of a head.
    pub(super) size: i64,
}

impl Heads {
    /// As many heads of keys as of queries.
    pub(super) fn equal(heads: usize, size: usize) -> Self {
        Self { queries: heads as i64, keys: heads as i64, size: size as i64 }
    }
}

/// Norms of queries and of keys.
pub(super) enum QueryKeyNorm {
    /// Of each head.
    OfHeads(Norm, Norm),
    /// Of all heads together.
    OfAll(Norm, Norm),
}

/// Self-attention with its linear layers.
pub(super) struct SelfAttention {
    /// Query, key and value in one.
    pub(super) qkv: Linear,
    pub(super) out: Linear,
    pub(super) heads: Heads,
    pub(super) norms: Option<QueryKeyNorm>,
    /// What scores are multiplied with; by default one over the root of the size of a head.
    pub(super) scale: Option<f64>,
}

impl SelfAttention {
    /// From `[tokens, hidden]` to `[tokens, hidden]`.
    pub(super) fn forward(&self, x: &Tensor, scene: &Scene<'_>) -> TorchResult<Tensor> {
        let Heads { queries, keys, size } = self.heads;
        let qkv = self.qkv.forward(x)?;
        let part = |from: i64, heads: i64| qkv.f_narrow(1, from * size, heads * size);
        let (q, k) = self.normed(&part(0, queries)?, &part(queries, keys)?)?;
        let v = part(queries + keys, keys)?;
        let (q, k) = match &scene.angles {
            Some(angles) => (angles.turn(&q)?, angles.turn(&k)?),
            None => (q, k),
        };
        let parts = scene.runs.iter().zip(&scene.masks).map(|(Run { offset, texts, length, seen }, mask)| {
            let run = |x: &Tensor, heads: i64| {
                let run = x.f_narrow(0, *offset, texts * length)?.f_reshape([*texts, *length, heads, size])?;
                run.f_transpose(1, 2)
            };
            let repeated = |x: Tensor| match queries / keys {
                1 => Ok(x),
                times => x.f_repeat_interleave_self_int(times, 1, None::<i64>),
            };
            let seen = |x: &Tensor| run(x, keys)?.f_narrow(2, 0, *seen);
            let (k, v) = (repeated(seen(&k)?)?, repeated(seen(&v)?)?);
            let context = self.attend(&run(&q, queries)?, &k, &v, (scene.pattern, mask))?;
            context.f_transpose(1, 2)?.f_reshape([texts * length, queries * size])
        });
        self.out.forward(&Tensor::f_cat(&parts.collect::<TorchResult<Vec<_>>>()?, 0)?)
    }

    /// Queries and keys, each `[tokens, heads, size]`.
    fn normed(&self, q: &Tensor, k: &Tensor) -> TorchResult<(Tensor, Tensor)> {
        let Heads { queries, keys, size } = self.heads;
        let split = |x: &Tensor, heads: i64| x.f_reshape([-1, heads, size]);
        match &self.norms {
            None => Ok((split(q, queries)?, split(k, keys)?)),
            Some(QueryKeyNorm::OfHeads(of_queries, of_keys)) => {
                Ok((of_queries.forward(&split(q, queries)?)?, of_keys.forward(&split(k, keys)?)?))
            }
            Some(QueryKeyNorm::OfAll(of_queries, of_keys)) => {
                Ok((split(&of_queries.forward(q)?, queries)?, split(&of_keys.forward(k)?, keys)?))
            }
        }
    }

    /// Attention of one run: queries `[texts, heads, length, size]`, and keys and values of the tokens that are seen.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, (pattern, mask): (&Pattern, &Mask)) -> TorchResult<Tensor> {
        let product = |q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, causal: bool| {
            Tensor::f_scaled_dot_product_attention(q, k, v, mask, 0.0, causal, self.scale, false)
        };
        let reach = match mask {
            Mask::Everything => return product(q, k, v, None, false),
            Mask::Before => return product(q, k, v, None, true),
            Mask::Whole(mask) => return product(q, k, v, Some(mask), false),
            Mask::Pieces(reach) => *reach,
        };
        let length = q.size()[2];
        let whole = (MASK_LIMIT / (pattern.heads() * length)).max(1);
        let piece = if reach.near() { whole.min(NEAR_PIECE) } else { whole };
        let pieces = (0..length).step_by(piece as usize).map(|from| {
            let count = piece.min(length - from);
            let first = reach.back.map_or(0, |back| (from - back).max(0));
            let end = reach.ahead.map_or(length, |ahead| (from + count + ahead).min(length));
            let keys = (first, end - first);
            let mask = pattern.tensor(reach, (from, count), keys, (q.kind(), q.device()))?;
            let near = |x: &Tensor| x.f_narrow(2, keys.0, keys.1);
            product(&q.f_narrow(2, from, count)?, &near(k)?, &near(v)?, Some(&mask), false)
        });
        Tensor::f_cat(&pieces.collect::<TorchResult<Vec<_>>>()?, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Device = Device::Cpu;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.f_reshape([-1]).unwrap()).unwrap()
    }

    #[test]
    fn the_slopes_of_alibi_are_those_of_its_authors() {
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(slopes(1), &[1.0 / 256.0]);
        near(slopes(4), &[0.25, 0.0625, 0.015_625, 0.003_906_25]);
        near(slopes(3), &[0.0625, 0.003_906_25, 0.25]);
        assert_eq!(slopes(12).len(), 12);
    }

    #[test]
    fn a_token_sees_as_far_as_its_reach() {
        let pattern = |back, ahead| Pattern { reach: Reach { back, ahead }, bias: None, rotary: None };
        let seen = |pattern: &Pattern| {
            let mask = pattern.tensor(pattern.reach, (0, 3), (0, 3), (Kind::Float, CPU)).unwrap();
            values(&mask.to_kind(Kind::Float))
        };
        assert_eq!(seen(&pattern(Some(1), Some(0))), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(seen(&pattern(Some(0), None)), [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(Reach { back: Some(2), ahead: Some(0) }.within(3), Reach::CAUSAL);
        assert_eq!(Reach { back: Some(5), ahead: Some(2) }.within(3), Reach::ALL);
    }

    #[test]
    fn a_token_that_is_not_seen_changes_no_other_and_sees_those_that_are() {
        tch::manual_seed(1);
        let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, CPU));
        let linear = |out: i64| Linear { weight: random([out, 4]), bias: None };
        let attention =
            SelfAttention { qkv: linear(12), out: linear(4), heads: Heads::equal(2, 2), norms: None, scale: None };
        let x = random([3, 4]);
        for pattern in
            [Pattern::OPEN, Pattern { reach: Reach { back: Some(1), ahead: Some(1) }, bias: None, rotary: None }]
        {
            let of = |x: &Tensor, seen: i64| {
                let length = x.size()[0];
                let mut packed = Packed::new(&[&vec![1; length as usize]]);
                packed.runs[0].seen = seen;
                let positions = Tensor::arange(length, (Kind::Int64, CPU));
                let scene = pattern.scene(&packed, &positions, Kind::Float).unwrap();
                attention.forward(x, &scene).unwrap()
            };
            let (whole, apart) = (of(&x, 3), of(&x, 2));
            let alone = of(&x.narrow(0, 0, 2), 2);
            let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
            assert!(difference(&apart.narrow(0, 0, 2), &alone) < 1e-6);
            assert!(difference(&apart.narrow(0, 2, 1), &whole.narrow(0, 2, 1)) > 1e-6);
        }
    }

    /// Long texts are computed in pieces of fewer queries and keys.
    #[test]
    fn pieces_are_what_the_whole_is() {
        tch::manual_seed(1);
        let (heads, length, size) = (2, 2100, 4);
        let random = || Tensor::randn([1, heads, length, size], (Kind::Float, CPU));
        let (q, k, v) = (random(), random(), random());
        let linear = || Linear { weight: Tensor::zeros([1, 1], (Kind::Float, CPU)), bias: None };
        let shape = Heads { queries: heads, keys: heads, size };
        let attention = SelfAttention { qkv: linear(), out: linear(), heads: shape, norms: None, scale: None };
        let alibi = || Some(Bias::alibi(heads as usize, CPU).unwrap());
        let table = || Some(Bias::Table { values: Tensor::randn([heads, 11], (Kind::Float, CPU)), limit: 5 });
        for (back, ahead, bias) in [
            (None, None, alibi()),
            (None, None, table()),
            (Some(7), Some(3), None),
            (Some(300), Some(0), None),
            (Some(20), Some(20), table()),
        ] {
            let reach = Reach { back, ahead };
            let pattern = Pattern { reach, bias, rotary: None };
            let whole = pattern.tensor(reach, (0, length), (0, length), (Kind::Float, CPU)).unwrap();
            let attend = |mask: &Mask| attention.attend(&q, &k, &v, (&pattern, mask)).unwrap();
            let run = Run { offset: 0, texts: 1, length, seen: length };
            assert!(matches!(pattern.mask(&run, CPU, Kind::Float).unwrap(), Mask::Pieces(_)), "{reach:?}");
            let difference = attend(&Mask::Whole(whole)) - attend(&Mask::Pieces(reach));
            assert!(difference.abs().max().double_value(&[]) < 1e-5, "{reach:?}");
        }
    }
}
