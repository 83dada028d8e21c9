"""GTE as its authors published it (`model_type: new`, huggingface.co/Alibaba-NLP/new-impl)."""

import torch
from torch import nn
from transformers import PreTrainedModel, PretrainedConfig
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput

from .parts import heads, rotate_halves


class NewConfig(PretrainedConfig):
    model_type = "new"

    def __init__(
        self, vocab_size=30528, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        hidden_act="gelu", max_position_embeddings=2048, type_vocab_size=1, layer_norm_type="layer_norm", layer_norm_eps=1e-12,
        position_embedding_type="rope", rope_theta=10000.0, rope_scaling=None, pack_qkv=True, logn_attention_scale=False, **rest,
    ):
        for name, value in dict(locals()).items():
            if name not in ("self", "rest", "__class__", "rope_scaling"):
                setattr(self, name, value)
        super().__init__(**rest)
        self.new_scaling = rope_scaling

    def to_dict(self):
        given = super().to_dict()
        given["rope_scaling"] = given.pop("new_scaling", None)
        given.pop("rope_parameters", None)
        return given


def frequencies(config) -> torch.Tensor:
    dims = config.hidden_size // config.num_attention_heads
    exponents = torch.arange(0, dims, 2).float() / dims
    scaling = config.new_scaling
    # The authors' table is scaled only if scaling makes it longer.
    if not scaling or scaling["factor"] <= 1:
        return 1.0 / config.rope_theta**exponents
    factor, mixed = scaling["factor"], scaling.get("mixed_b")
    if mixed is None:
        return 1.0 / (config.rope_theta * factor) ** exponents / factor ** (2 / dims)
    steps = torch.arange(1, dims // 2 + 1).float()
    return 1.0 / config.rope_theta**exponents / (torch.tensor(factor).log() / (dims / 2) ** mixed * steps**mixed).exp()


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        if config.pack_qkv:
            self.qkv_proj = nn.Linear(hidden, 3 * hidden)
        else:
            self.q_proj, self.k_proj, self.v_proj = (nn.Linear(hidden, hidden) for _ in range(3))
        self.o_proj = nn.Linear(hidden, hidden)

    def forward(self, x, bias, angles):
        if self.config.pack_qkv:
            parts = self.qkv_proj(x).chunk(3, dim=-1)
        else:
            parts = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        q, k, v = (heads(part, self.config.num_attention_heads) for part in parts)
        q, k = rotate_halves(q, angles), rotate_halves(k, angles)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias.to(q.dtype)
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class GatedMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up_gate_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = ACT2FN[config.hidden_act]

    def forward(self, x):
        up, gate = self.up_gate_proj(x).chunk(2, dim=-1)
        return self.down_proj(self.act(gate) * up)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention, self.mlp = Attention(config), GatedMLP(config)
        self.attn_ln = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp_ln = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x, bias, angles):
        x = self.attn_ln(x + self.attention(x, bias, angles))
        return self.mlp_ln(x + self.mlp(x))


class NewModel(PreTrainedModel):
    config_class = NewConfig
    base_model_prefix = "new"

    def __init__(self, config):
        super().__init__(config)
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        if config.type_vocab_size:
            self.embeddings.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.embeddings.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def forward(self, input_ids, attention_mask, token_type_ids=None, **_):
        x = self.embeddings.word_embeddings(input_ids)
        if self.config.type_vocab_size:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = x + self.embeddings.token_type_embeddings(types)
        x = self.embeddings.LayerNorm(x)
        angles = torch.arange(x.shape[1]).float()[:, None] * frequencies(self.config)
        bias = torch.zeros(attention_mask.shape).masked_fill(attention_mask == 0, torch.finfo(torch.float).min)[:, None, None]
        for layer in self.encoder.layer:
            x = layer(x, bias, angles)
        return BaseModelOutput(last_hidden_state=x)
