"""Small random networks of each family, as transformers' own configuration classes describe them."""

import random

from transformers import BertConfig


def bert(rng: random.Random, vocab_size: int):
    heads = rng.choice([1, 2, 4])
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=heads * rng.choice([4, 8]),
        num_hidden_layers=rng.randint(1, 3),
        num_attention_heads=heads,
        intermediate_size=rng.choice([16, 24, 40]),
        max_position_embeddings=rng.choice([32, 48, 64]),
        type_vocab_size=2,
        hidden_act=rng.choice(["gelu", "gelu", "gelu_new", "relu"]),
        layer_norm_eps=rng.choice([1e-12, 1e-5]),
    )


# Each entry draws the settings of one model. `tokenizer` names the kind of tokenizer that belongs to it.
FAMILIES = {
    "bert": {"config": bert, "tokenizer": "wordpiece", "classes": ["BertTokenizer", "BertTokenizerFast"]},
}
