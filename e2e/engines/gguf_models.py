#!/usr/bin/env python3
"""Converts a BERT folder into two files of llama.cpp: an embedding model, and a reranker whose head has random weights.

usage: gguf_models.py MODEL_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] != "bert":
        sys.exit(f"{folder} is a model of type {config['model_type']}, and not bert")
    for name, pooling in (("embedding", gguf.PoolingType.MEAN), ("rerank", gguf.PoolingType.RANK)):
        writer = gguf.GGUFWriter(out / f"{name}.gguf", "bert")
        settings(writer, config, pooling)
        vocabulary(writer, (folder / "vocab.txt").read_text(encoding="utf-8").splitlines(), config["type_vocab_size"])
        network(writer, folder / "model.safetensors", config["num_hidden_layers"])
        if pooling == gguf.PoolingType.RANK:
            head(writer, config["hidden_size"])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def settings(writer: gguf.GGUFWriter, config: dict[str, int], pooling: gguf.PoolingType) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)


def vocabulary(writer: gguf.GGUFWriter, words: list[str], types: int) -> None:
    """llama.cpp marks where a word begins, and BERT where one goes on."""
    special = [word.startswith("[") and word.endswith("]") for word in words]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(types)
    writer.add_token_list([
        word if is_special else word.removeprefix("##") if word.startswith("##") else "\u2581" + word
        for word, is_special in zip(words, special)
    ])
    writer.add_token_types([gguf.TokenType.CONTROL if is_special else gguf.TokenType.NORMAL for is_special in special])
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def network(writer: gguf.GGUFWriter, weights: Path, layers: int) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, tensor in tensors(weights):
        # The pooler is not part of a model with mean pooling, and positions are numbered anyhow.
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue
        other = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if other is None:
            sys.exit(f"llama.cpp has no tensor {name}")
        is_small = tensor.ndim < 2 or other.startswith(("position_embd", "token_types"))
        writer.add_tensor(other, tensor.astype(np.float32 if is_small else np.float16))


def head(writer: gguf.GGUFWriter, hidden: int) -> None:
    random = np.random.default_rng(0)
    for name, rows in (("cls", hidden), ("cls.output", 1)):
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.05, (rows, hidden)).astype(np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(rows, np.float32))


def tensors(weights: Path) -> Iterator[tuple[str, np.ndarray]]:
    content = weights.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        data = np.frombuffer(content[8 + length + begin : 8 + length + end], types[about["dtype"]])
        yield name, data.reshape(about["shape"])


if __name__ == "__main__":
    main()
