"""JinaBERT as its authors published it (huggingface.co/jinaai/jina-bert-implementation and jina-bert-v2-qk-post-norm).

The second has norms of queries and keys; `qk_norm` chooses it here, while its authors have a class of the same name for it.
"""

import math

import torch
from torch import nn
from transformers import PreTrainedModel, PretrainedConfig
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput

from .parts import heads


class JinaBertConfig(PretrainedConfig):
    model_type = "bert"

    def __init__(
        self, vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        hidden_act="gelu", max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12,
        position_embedding_type="absolute", feed_forward_type="original", qk_norm=False, **rest,
    ):
        for name, value in dict(locals()).items():
            if name not in ("self", "rest", "__class__"):
                setattr(self, name, value)
        super().__init__(**rest)


def slopes(count: int) -> list[float]:
    """Of ALiBi, by its authors (github.com/ofirpress/attention_with_linear_biases)."""
    if math.log2(count).is_integer():
        start = 2 ** (-(2 ** -(math.log2(count) - 3)))
        return [start * start**i for i in range(count)]
    below = 2 ** math.floor(math.log2(count))
    return slopes(below) + slopes(2 * below)[0::2][: count - below]


def norm(config) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.count = config.num_attention_heads
        self.self, self.output = nn.Module(), nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.self, name, nn.Linear(config.hidden_size, config.hidden_size))
        self.output.dense, self.output.LayerNorm = nn.Linear(config.hidden_size, config.hidden_size), norm(config)
        self.normed = config.qk_norm
        if self.normed:
            self.self.layer_norm_q, self.self.layer_norm_k = norm(config), norm(config)

    def forward(self, x, bias):
        q, k, v = self.self.query(x), self.self.key(x), self.self.value(x)
        if self.normed:
            q, k = self.self.layer_norm_q(q), self.self.layer_norm_k(k)
        q, k, v = (heads(part, self.count) for part in (q, k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias.to(q.dtype)
        context = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self.output.LayerNorm(self.output.dense(context) + x)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.attention = config, Attention(config)
        hidden, inner = config.hidden_size, config.intermediate_size
        if config.qk_norm:
            gates = 1 if config.feed_forward_type == "original" else 2
            self.mlp = nn.Module()
            name = "up_layer" if gates == 1 else "up_gated_layer"
            setattr(self.mlp, name, nn.Linear(hidden, gates * inner, bias=False))
            self.mlp.down_layer = nn.Linear(inner, hidden)
            self.layer_norm_1, self.layer_norm_2 = norm(config), norm(config)
        elif config.feed_forward_type == "original":
            self.intermediate, self.output = nn.Module(), nn.Module()
            self.intermediate.dense = nn.Linear(hidden, inner)
            self.output.dense, self.output.LayerNorm = nn.Linear(inner, hidden), norm(config)
        else:
            self.mlp = nn.Module()
            self.mlp.gated_layers = nn.Linear(hidden, 2 * inner, bias=False)
            self.mlp.wo, self.mlp.layernorm = nn.Linear(inner, hidden), norm(config)

    def forward(self, x, bias):
        plain = self.config.feed_forward_type == "original"
        act = ACT2FN[self.config.hidden_act if plain else {"geglu": "gelu", "reglu": "relu"}[self.config.feed_forward_type]]
        if self.config.qk_norm:
            x = self.layer_norm_1(x + self.attention(x, bias))
            if plain:
                inner = act(self.mlp.up_layer(x))
            else:
                up, gate = self.mlp.up_gated_layer(x).chunk(2, dim=-1)
                inner = up * act(gate)
            return self.layer_norm_2(x + self.mlp.down_layer(inner))
        x = self.attention(x, bias)
        if plain:
            return self.output.LayerNorm(self.output.dense(act(self.intermediate.dense(x))) + x)
        gate, up = self.mlp.gated_layers(x).chunk(2, dim=-1)
        return self.mlp.layernorm(self.mlp.wo(act(gate) * up) + x)


class JinaBertModel(PreTrainedModel):
    config_class = JinaBertConfig
    base_model_prefix = "bert"

    def __init__(self, config):
        super().__init__(config)
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embeddings.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.embeddings.LayerNorm = norm(config)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def forward(self, input_ids, attention_mask, token_type_ids=None, **_):
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x = self.embeddings.word_embeddings(input_ids) + self.embeddings.token_type_embeddings(types)
        x = self.embeddings.LayerNorm(x)
        tokens = torch.arange(x.shape[1])
        distances = (tokens[None, :] - tokens[:, None]).abs()
        alibi = -torch.tensor(slopes(self.config.num_attention_heads))[:, None, None] * distances
        lowest = torch.finfo(torch.float).min
        bias = alibi + torch.zeros(attention_mask.shape).masked_fill(attention_mask == 0, lowest)[:, None, None]
        for layer in self.encoder.layer:
            x = layer(x, bias)
        return BaseModelOutput(last_hidden_state=x)
