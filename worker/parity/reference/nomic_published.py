"""NomicBERT as its authors published it (huggingface.co/nomic-ai/nomic-bert-2048), with GPT-2's names of settings."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import BaseModelOutput

from .parts import heads, rotate_halves, rotate_neighbours

GATES = {"swiglu": F.silu, "geglu": F.gelu, "glu": torch.sigmoid}


class NomicConfig(PretrainedConfig):
    model_type = "nomic_bert"
    attribute_map = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}

    def __init__(
        self, vocab_size=50257, n_embd=768, n_layer=12, n_head=12, n_inner=None, n_positions=1024, activation_function="gelu_new",
        layer_norm_epsilon=1e-5, type_vocab_size=2, pad_vocab_size_multiple=1, qkv_proj_bias=True, mlp_fc1_bias=True,
        mlp_fc2_bias=True, rotary_emb_fraction=0.0, rotary_emb_base=1000, rotary_emb_interleaved=False, rotary_scaling_factor=1.0,
        max_trained_positions=2048, prenorm=False, causal=False, **rest,
    ):
        for name, value in dict(locals()).items():
            if name not in ("self", "rest", "__class__"):
                setattr(self, name, value)
        super().__init__(**rest)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.Wqkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.qkv_proj_bias)
        self.out_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.qkv_proj_bias)

    def forward(self, x, bias, angles):
        q, k, v = (heads(part, self.config.n_head) for part in self.Wqkv(x).chunk(3, dim=-1))
        if angles is not None:
            rotate = rotate_neighbours if self.config.rotary_emb_interleaved else rotate_halves
            q, k = rotate(q, angles), rotate(k, angles)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias.to(q.dtype)
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = GATES.get(config.activation_function)
        if self.gate:
            inner = config.n_inner if config.n_inner is not None else int(8 * config.n_embd / 3)
            inner = (inner + 255) // 256 * 256
            self.fc11 = nn.Linear(config.n_embd, inner, bias=config.mlp_fc1_bias)
            self.fc12 = nn.Linear(config.n_embd, inner, bias=config.mlp_fc1_bias)
        else:
            inner = config.n_inner if config.n_inner is not None else 4 * config.n_embd
            self.fc1 = nn.Linear(config.n_embd, inner, bias=config.mlp_fc1_bias)
        self.fc2 = nn.Linear(inner, config.n_embd, bias=config.mlp_fc2_bias)

    def forward(self, x):
        return self.fc2(self.fc11(x) * self.gate(self.fc12(x)) if self.gate else F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attn, self.mlp = Attention(config), Mlp(config)
        self.norm1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.norm2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, x, bias, angles):
        x = self.norm1(self.attn(x, bias, angles) + x)
        return self.norm2(self.mlp(x) + x)


class NomicBertModel(PreTrainedModel):
    config_class = NomicConfig
    base_model_prefix = "bert"

    def __init__(self, config):
        super().__init__(config)
        multiple = config.pad_vocab_size_multiple
        words = (config.vocab_size + multiple - 1) // multiple * multiple
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(words, config.n_embd)
        if config.type_vocab_size:
            self.embeddings.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.n_embd)
        if config.rotary_emb_fraction <= 0:
            self.embeddings.position_embeddings = nn.Embedding(config.n_positions, config.n_embd)
        self.emb_ln = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.post_init()

    def forward(self, input_ids, attention_mask, token_type_ids=None, **_):
        config = self.config
        x = self.embeddings.word_embeddings(input_ids)
        if config.type_vocab_size:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = x + self.embeddings.token_type_embeddings(types)
        positions, angles = torch.arange(x.shape[1]), None
        if config.rotary_emb_fraction > 0:
            dims = int(config.n_embd // config.n_head * config.rotary_emb_fraction)
            angles = positions.float()[:, None] / config.rotary_emb_base ** (torch.arange(0, dims, 2).float() / dims)
        else:
            x = x + self.embeddings.position_embeddings(positions)
        x = self.emb_ln(x)
        bias = torch.zeros(attention_mask.shape).masked_fill(attention_mask == 0, torch.finfo(torch.float).min)[:, None, None]
        for layer in self.encoder.layers:
            x = layer(x, bias, angles)
        return BaseModelOutput(last_hidden_state=x)
