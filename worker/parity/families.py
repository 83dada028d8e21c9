"""Small random networks of each family, as transformers' own configuration classes describe them.

An entry of `FAMILIES` has: `config`, which draws the settings of one model; `tokenizer`, the kind of tokenizer that belongs to it;
and where transformers has no code for the family, `model`, `sequence` and `vocabulary`, which build the reference network from a
configuration: the encoder, and the encoder with a head.
"""

import random

import transformers as t

from reference import gte_new, heads, jina_bert, nomic_published

ACTIVATIONS = ["gelu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "tanh", "mish", "relu2"]


def size(rng: random.Random, even: bool = False) -> tuple[int, int]:
    """Heads, and dimensions of a head."""
    return rng.choice([1, 2, 3, 4]), rng.choice([4, 8, 12] if even else [4, 5, 8, 11])


def common(rng: random.Random, vocab_size: int, even: bool = False) -> dict:
    """What most families have."""
    heads, head = size(rng, even)
    return {
        "vocab_size": vocab_size,
        "hidden_size": heads * head,
        "num_hidden_layers": rng.randint(1, 3),
        "num_attention_heads": heads,
        "intermediate_size": rng.choice([16, 24, 40]),
    }


def bert_like(rng: random.Random, vocab_size: int) -> dict:
    return common(rng, vocab_size) | {
        "max_position_embeddings": rng.choice([48, 64, 90]),
        "type_vocab_size": rng.choice([1, 2, 2, 3]),
        "hidden_act": rng.choice(ACTIVATIONS),
        "layer_norm_eps": rng.choice([1e-12, 1e-7, 1e-5]),
    }


def bert(rng: random.Random, vocab_size: int):
    return t.BertConfig(**bert_like(rng, vocab_size))


def roberta_like(config):
    def draw(rng: random.Random, vocab_size: int):
        return config(**bert_like(rng, vocab_size), pad_token_id=rng.choice([1, 1, 0, 3]))

    return draw


def electra(rng: random.Random, vocab_size: int):
    config = bert_like(rng, vocab_size)
    return t.ElectraConfig(**config, embedding_size=rng.choice([config["hidden_size"], 12, 20]))


def distilbert(rng: random.Random, vocab_size: int):
    heads, head = size(rng)
    return t.DistilBertConfig(
        vocab_size=vocab_size,
        dim=heads * head,
        n_layers=rng.randint(1, 3),
        n_heads=heads,
        hidden_dim=rng.choice([16, 24, 40]),
        max_position_embeddings=rng.choice([48, 64, 90]),
        activation=rng.choice(ACTIVATIONS),
        sinusoidal_pos_embds=rng.random() < 0.3,
    )


def mpnet(rng: random.Random, vocab_size: int):
    config = common(rng, vocab_size)
    return t.MPNetConfig(
        **config,
        max_position_embeddings=rng.choice([50, 200, 514]),
        hidden_act=rng.choice(ACTIVATIONS),
        layer_norm_eps=rng.choice([1e-12, 1e-5]),
        pad_token_id=rng.choice([1, 1, 0]),
    )


def albert(rng: random.Random, vocab_size: int):
    config = bert_like(rng, vocab_size)
    config["num_hidden_layers"] = rng.randint(1, 6)
    return t.AlbertConfig(
        **config,
        embedding_size=rng.choice([config["hidden_size"], 12, 20]),
        num_hidden_groups=rng.randint(1, config["num_hidden_layers"]),
        inner_group_num=rng.choice([1, 1, 2]),
    )


def scaling(rng: random.Random, kinds: list[str], theta: float) -> dict:
    """A dictionary `rope_parameters`."""
    kind = rng.choice(kinds)
    given: dict = {"rope_type": kind, "rope_theta": theta}
    if kind != "default":
        given["factor"] = rng.choice([1.5, 2.0, 4.0])
    if kind == "yarn":
        given |= {"original_max_position_embeddings": rng.choice([16, 32])}
        given |= rng.choice([{}, {"beta_fast": 16.0, "beta_slow": 2.0}, {"attention_factor": 0.9}, {"mscale": 0.7, "mscale_all_dim": 1.3}])
    if kind == "llama3":
        given |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": rng.choice([16, 64])}
    return given


def modernbert(rng: random.Random, vocab_size: int):
    config = common(rng, vocab_size, even=True)
    config["num_hidden_layers"] = rng.randint(1, 5)
    kinds = ["default", "default", "default", "linear", "yarn"]
    types = [rng.choice(["full_attention", "sliding_attention"]) for _ in range(config["num_hidden_layers"])]
    return t.ModernBertConfig(
        **config,
        hidden_activation=rng.choice(ACTIVATIONS),
        max_position_embeddings=rng.choice([64, 700]),
        norm_eps=rng.choice([1e-5, 1e-12]),
        norm_bias=rng.random() < 0.3,
        attention_bias=rng.random() < 0.3,
        mlp_bias=rng.random() < 0.3,
        layer_types=rng.choice([None, types]),
        global_attn_every_n_layers=rng.choice([1, 2, 3]),
        local_attention=rng.choice([2, 4, 9, 16, 128]),
        rope_parameters={
            "full_attention": scaling(rng, kinds, rng.choice([160000.0, 500.0])),
            "sliding_attention": scaling(rng, kinds, rng.choice([10000.0, 100.0])),
        },
        pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
        decoder_bias=rng.random() < 0.7,
        classifier_pooling=rng.choice(["cls", "mean"]),
        classifier_bias=rng.random() < 0.3,
        classifier_activation=rng.choice(ACTIVATIONS),
    )


def nomic(rng: random.Random, vocab_size: int):
    config = common(rng, vocab_size, even=True)
    return t.NomicBertConfig(
        **config,
        hidden_act=rng.choice(["silu", "silu", *ACTIVATIONS]),
        max_position_embeddings=rng.choice([64, 90]),
        type_vocab_size=rng.choice([1, 2, 3]),
        layer_norm_eps=rng.choice([1e-12, 1e-5]),
        head_dim=rng.choice([None, None, 6]),
        rope_parameters=scaling(rng, ["default", "default", "linear", "dynamic", "yarn", "llama3"], rng.choice([1000.0, 10000.0])),
    )


def gte(rng: random.Random, vocab_size: int):
    config = common(rng, vocab_size, even=True)
    return t.GteConfig(
        **config,
        hidden_act=rng.choice(ACTIVATIONS),
        max_position_embeddings=rng.choice([64, 90]),
        type_vocab_size=rng.choice([0, 1, 1, 2]),
        layer_norm_eps=rng.choice([1e-12, 1e-5]),
        rope_parameters=scaling(rng, ["default", "default", "linear", "dynamic", "yarn"], rng.choice([160000.0, 500.0])),
    )


def new(rng: random.Random, vocab_size: int):
    config = common(rng, vocab_size, even=True)
    ntk = {"type": "ntk", "factor": rng.choice([1.0, 2.0, 8.0])} | rng.choice([{}, {}, {"mixed_b": 0.6}])
    return gte_new.NewConfig(
        **config,
        hidden_act=rng.choice(["gelu", "gelu", "silu"]),
        max_position_embeddings=rng.choice([64, 90]),
        type_vocab_size=rng.choice([0, 1, 2]),
        layer_norm_eps=rng.choice([1e-12, 1e-5]),
        rope_theta=rng.choice([10000.0, 500000.0]),
        rope_scaling=rng.choice([None, ntk]),
        pack_qkv=rng.random() < 0.7,
    )


def nomic_old(rng: random.Random, vocab_size: int):
    heads, head = rng.choice([1, 2, 4]), rng.choice([4, 8])
    rotary = rng.choice([1.0, 1.0, 0.5, 0.0])
    trained = rng.choice([64, 90])
    return nomic_published.NomicConfig(
        vocab_size=vocab_size,
        n_embd=heads * head,
        n_layer=rng.randint(1, 3),
        n_head=heads,
        n_inner=rng.choice([None, 256, 200, 40]),
        n_positions=trained,
        max_trained_positions=trained,
        activation_function=rng.choice(["swiglu", "swiglu", "geglu", "glu", "gelu"]),
        layer_norm_epsilon=rng.choice([1e-12, 1e-5]),
        type_vocab_size=rng.choice([0, 1, 2]),
        pad_vocab_size_multiple=rng.choice([1, 64]),
        qkv_proj_bias=rng.random() < 0.5,
        mlp_fc1_bias=rng.random() < 0.5,
        mlp_fc2_bias=rng.random() < 0.5,
        rotary_emb_fraction=rotary,
        rotary_emb_base=rng.choice([1000, 10000]),
        rotary_emb_interleaved=rng.random() < 0.3,
        rotary_scaling_factor=rng.choice([None, 2.0]),
    )


def jina(rng: random.Random, vocab_size: int):
    return jina_bert.JinaBertConfig(
        **bert_like(rng, vocab_size),
        position_embedding_type="alibi",
        feed_forward_type=rng.choice(["geglu", "geglu", "reglu", "original"]),
        qk_norm=rng.random() < 0.4,
    )


def deberta(rng: random.Random, vocab_size: int):
    config = bert_like(rng, vocab_size)
    config["type_vocab_size"] = rng.choice([0, 0, 2])
    positions = config["max_position_embeddings"]
    kinds = rng.choice([["p2c", "c2p"], ["p2c", "c2p"], ["c2p"], ["p2c"], "p2c|c2p", [], None])
    relative = rng.random() < 0.85
    return t.DebertaV2Config(
        **config,
        **rng.choice([{}, {}, {"embedding_size": 20}]),
        relative_attention=relative,
        max_relative_positions=rng.choice([-1, positions, 16]),
        position_buckets=rng.choice([-1, 8, 16, 5]),
        position_biased_input=rng.random() < 0.4,
        pos_att_type=kinds,
        share_att_key=rng.random() < 0.6,
        norm_rel_ebd=rng.choice(["none", "layer_norm", "layer_norm"]),
        pooler_hidden_act=rng.choice(["gelu", "tanh"]),
    )


def grouped(rng: random.Random, vocab_size: int) -> dict:
    """What decoders have."""
    config = common(rng, vocab_size, even=True)
    keys = rng.choice([1, 2])
    return config | {
        "num_attention_heads": keys * rng.choice([1, 2, 3]),
        "num_key_value_heads": keys,
        "head_dim": rng.choice([4, 8, 10]),
        "hidden_size": 12 * rng.choice([1, 2, 3]),
        "max_position_embeddings": rng.choice([64, 700]),
        "rms_norm_eps": rng.choice([1e-6, 1e-5]),
        "attention_bias": rng.random() < 0.3,
    }


def qwen3(rng: random.Random, vocab_size: int):
    config = grouped(rng, vocab_size)
    sliding = rng.random() < 0.3
    return t.Qwen3Config(
        **config,
        **rng.choice([{}, {}, {}, {"is_causal": False}]),
        hidden_act=rng.choice(["silu", "silu", "gelu"]),
        use_sliding_window=sliding,
        sliding_window=rng.choice([3, 8, 20]),
        max_window_layers=rng.choice([0, 1]),
        rope_parameters=scaling(rng, ["default", "default", "yarn", "llama3", "dynamic"], rng.choice([1e6, 1e4])),
        pad_token_id=rng.choice([None, 0]),
    )


def gemma3(rng: random.Random, vocab_size: int):
    config = grouped(rng, vocab_size)
    config["num_hidden_layers"] = rng.randint(1, 4)
    return t.Gemma3TextConfig(
        **config,
        hidden_activation=rng.choice(["gelu_pytorch_tanh", "gelu_pytorch_tanh", "silu"]),
        query_pre_attn_scalar=rng.choice([256, 16, 7]),
        sliding_window=rng.choice([4, 9, 512]),
        sliding_window_pattern=rng.choice([1, 2, 6]),
        use_bidirectional_attention=rng.choice([True, True, False, None]),
        rope_parameters={
            "full_attention": scaling(rng, ["default", "linear"], rng.choice([1e6, 1e4])),
            "sliding_attention": scaling(rng, ["default"], 1e4),
        },
    )


# Special tokens: padding, unknown, first, last, mask.
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MPNET = ("<pad>", "[UNK]", "<s>", "</s>", "<mask>")
ALBERT = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
GEMMA = ("<pad>", "<unk>", "<bos>", "<eos>", "<mask>")


def family(config, tokenizer: str, *classes: str, special: tuple | None = None, **builders) -> dict:
    return (
        {"config": config, "tokenizer": tokenizer, "classes": [*classes, *(f"{name}Fast" for name in classes)] or [None]}
        | ({"special": special} if special else {})
        | builders
    )


FAMILIES = {
    "bert": family(bert, "wordpiece", "BertTokenizer"),
    "roberta": family(roberta_like(t.RobertaConfig), "byte_level", "RobertaTokenizer"),
    "xlm-roberta": family(roberta_like(t.XLMRobertaConfig), "unigram", "XLMRobertaTokenizer"),
    "camembert": family(roberta_like(t.CamembertConfig), "unigram", "CamembertTokenizer"),
    "electra": family(electra, "wordpiece", "ElectraTokenizer"),
    "distilbert": family(distilbert, "wordpiece", "DistilBertTokenizer"),
    "mpnet": family(mpnet, "wordpiece", "MPNetTokenizer", special=MPNET),
    "albert": family(albert, "unigram", "AlbertTokenizer", special=ALBERT),
    "modernbert": family(modernbert, "byte_level"),
    "nomic": family(nomic, "wordpiece", "BertTokenizer"),
    "nomic-published": family(
        nomic_old, "wordpiece", "BertTokenizer", model=nomic_published.NomicBertModel,
        sequence=heads.NomicBertForSequenceClassification, vocabulary=heads.NomicBertForMaskedLM, tokens=heads.NomicBertForTokenClassification,
    ),
    "gte": family(gte, "unigram", "XLMRobertaTokenizer"),
    "new": family(
        new, "unigram", "XLMRobertaTokenizer", model=gte_new.NewModel, sequence=heads.NewForSequenceClassification,
        vocabulary=heads.NewForMaskedLM, tokens=heads.NewForTokenClassification,
    ),
    "jina": family(
        jina, "wordpiece", "BertTokenizer", model=jina_bert.JinaBertModel, sequence=heads.JinaBertForSequenceClassification,
        vocabulary=heads.JinaBertForMaskedLM, tokens=heads.JinaBertForTokenClassification,
    ),
    "deberta-v2": family(deberta, "unigram", "DebertaV2Tokenizer", special=BERT),
    "qwen3": family(qwen3, "byte_level"),
    "gemma3": family(gemma3, "byte_level", special=GEMMA),
}

# transformers has no code for these, so a whole folder has no reference: networks.py compares them alone.
ALONE = ("nomic-published", "new", "jina")
