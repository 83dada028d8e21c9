"""The heads of BGE-M3 as FlagEmbedding computes them: `BGEM3FlagModel`, `inference/embedder/encoder_only/m3.py`, with its defaults.

Sparse: `relu(sparse_linear(hidden))` for each token; a word has the largest weight of its tokens, and the tokens cls, eos, pad and
unk of the tokenizer's `special_tokens_map` have none. Vectors: `colbert_linear(hidden[1:])`, each brought to length 1.
"""

import pathlib

import safetensors.torch
import torch

FILES = {"sparse": "sparse_linear.safetensors", "multi": "colbert_linear.safetensors"}
WEIGHTLESS = ["cls_token", "eos_token", "pad_token", "unk_token"]


def linear(path: pathlib.Path, hidden: torch.Tensor) -> torch.Tensor:
    tensors = {name: tensor.float() for name, tensor in safetensors.torch.load_file(path).items()}
    return torch.nn.functional.linear(hidden, tensors["weight"], tensors["bias"])


def sparse(path: pathlib.Path, hidden: torch.Tensor, ids: list[int], tokenizer) -> dict[int, float]:
    named = tokenizer.special_tokens_map
    without = {tokenizer.convert_tokens_to_ids(named[setting]) for setting in WEIGHTLESS if setting in named}
    words: dict[int, float] = {}
    for token, weight in zip(ids, linear(path, hidden).relu().squeeze(-1).tolist()):
        if token not in without and weight > words.get(token, 0.0):
            words[token] = weight
    return dict(sorted(words.items()))


def vectors(path: pathlib.Path, hidden: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(linear(path, hidden[1:]), dim=-1)
