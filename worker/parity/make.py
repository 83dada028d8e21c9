"""Writes folders of models with random settings and weights, and what sentence-transformers computes from them.

    make.py --seed 1 --count 500 OUT    one JSON file a case

`worker/tests/parity.rs` lays each folder out, serves it and compares. A case has the files of the folder, the names and shapes
of its tensors (their values follow from the names, see weights.py), requests, and the reference's answers.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import transformers
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
from tokenizers import AddedToken

import chat
import entities
import late
import vocab
import weights
from families import ALONE, FAMILIES
from reference import m3

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)

TEXTS = [
    "hello world",
    "PARIS in May, Déjà vu: naïve CAFÉ",
    "  two   spaces\tand a tab ",
    "日本語のテキスト and 中文, mixed",
    "🙂 emoji, e\u0301 combining, ﬁ ligature",
    "A much longer sentence that goes on and on about the weather in the north, so that it meets the limit of the model, "
    "whatever that limit may be, and is cut at one of its ends as the tokenizer says",
    "[MASK] and <mask> and [SEP] </s> inside",
    "x",
]

POOLING_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
ACTIVATIONS = ["Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU"]
TYPES = {"old": "sentence_transformers.models.", "new": "sentence_transformers.sentence_transformer.modules."}
BASE = {"Transformer", "Normalize", "Dense", "Router"}
SENTENCE_CONFIGS = ["sentence_bert_config.json"] * 4 + ["sentence_roberta_config.json", "sentence_xlm-roberta_config.json"]


# What PyLate puts before queries and documents.
MARKERS = {"query": "[Q] ", "document": "[D] "}


class Case:
    """A folder that is being drawn."""

    def __init__(self, rng: random.Random, family: str):
        self.rng, self.family = rng, family
        self.files: dict[str, object] = {}
        self.tensors: dict[str, dict[str, dict]] = {}
        self.traits: list[str] = []
        # The worker's --task, where the folder alone does not say it.
        self.task: str | None = None

    def maybe(self, probability: float, trait: str) -> bool:
        """Draws whether the case has a trait, and notes it."""
        if self.rng.random() < probability:
            self.traits.append(trait)
            return True
        return False

    def pick(self, trait: str, options: list):
        """Draws one of several values; the first is the usual one."""
        index = self.rng.randrange(len(options))
        if index:
            self.traits.append(f"{trait}={options[index]!r}")
        return options[index]


def network(case: Case, tokenizer) -> None:
    """config.json and the tensors, as transformers saves them."""
    size = tokenizer.get_vocab_size() + case.rng.choice([0, 0, 3])
    config = FAMILIES[case.family]["config"](case.rng, size)
    for name, token in (("pad_token_id", 0), ("bos_token_id", 2), ("eos_token_id", 3)):
        special = getattr(tokenizer, "special", None)
        if special and getattr(config, name, None) is not None:
            setattr(config, name, tokenizer.token_to_id(special[token]))
    build = {
        "vectors": transformers.AutoModel,
        "tokens": transformers.AutoModel,
        "labels": transformers.AutoModelForSequenceClassification,
        "entities": transformers.AutoModelForTokenClassification,
        "words": transformers.AutoModelForMaskedLM,
        "answers": transformers.AutoModelForCausalLM,
    }[case.purpose].from_config
    if case.purpose == "answers":
        config.tie_word_embeddings = case.rng.random() < 0.6
    if case.purpose == "labels":
        config.num_labels = case.pick("labels", [1, 1, 3])
    if case.purpose == "entities":
        entities.labels(case, config)
    keep(case, build(config), case.pick("dtype", ["F32", "F32", "F16", "BF16"]))
    if case.purpose == "labels":
        activation = case.pick("activation", [None, "Sigmoid", "Identity"])
        path = f"torch.nn.modules.{'linear' if activation == 'Identity' else 'activation'}.{activation}"
        if activation and case.maybe(0.5, "old activation"):
            case.files["config.json"]["sbert_ce_default_activation_function"] = path
        elif activation:
            case.files["config.json"]["sentence_transformers"] = {"activation_fn": path, "version": "5.0.0"}
    # What a network with a head is for is known by its architecture alone.
    elif case.purpose not in ("entities", "answers") and case.maybe(0.2, "no architectures"):
        case.files["config.json"].pop("architectures", None)


def keep(case: Case, model, dtype: str = "F32") -> None:
    """Notes config.json and the tensors as transformers saves them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        root = pathlib.Path(folder)
        case.files["config.json"] = json.loads((root / "config.json").read_text())
        entries = weights.header(root / "model.safetensors")
    case.tensors["model.safetensors"] = {
        name: weights.spec(name, entry["shape"], dtype if entry["dtype"] == "F32" else entry["dtype"])
        for name, entry in entries.items()
    }


def tokenizer_files(case: Case) -> object:
    """tokenizer.json, and what the files beside it say about it."""
    rng = case.rng
    kind = FAMILIES[case.family]["tokenizer"]
    special = FAMILIES[case.family].get("special", vocab.BERT if kind == "wordpiece" else vocab.ROBERTA)
    tokenizer = getattr(vocab, kind)(rng, special)
    if case.purpose == "tokens" and case.maybe(0.5, "markers are tokens"):
        tokenizer.add_tokens([AddedToken(marker, normalized=rng.random() < 0.7) for marker in MARKERS.values()])
    if case.purpose == "answers":
        tokenizer.add_tokens(["yes", "no"])
    data = json.loads(tokenizer.to_str())
    if case.maybe(0.12, "no post_processor"):
        data["post_processor"] = None
    if case.maybe(0.1, "tokenizer.json truncates"):
        data["truncation"] = {"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    if case.maybe(0.1, "tokenizer.json pads"):
        data["padding"] = {
            "strategy": {"Fixed": 24}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
            "pad_token": special[0],
        }
    case.files["tokenizer.json"] = data
    if not case.maybe(0.1, "no tokenizer_config.json"):
        names = FAMILIES[case.family].get("classes", [None])
        config = {
            "tokenizer_class": case.pick("tokenizer_class", [*names, "PreTrainedTokenizerFast", None]),
            "pad_token": special[0], "unk_token": special[1], "mask_token": special[4],
        }
        if config["tokenizer_class"] is None:
            del config["tokenizer_class"]
        if kind == "wordpiece" and special == vocab.BERT:
            config |= {"cls_token": special[2], "sep_token": special[3]}
        else:
            config |= {"bos_token": special[2], "eos_token": special[3], "cls_token": special[2], "sep_token": special[3]}
        options = {
            "model_max_length": [512, 512, 12, 20, 10**30],
            "truncation_side": [None, None, "left", "right"],
            "padding_side": [None, None, "left"],
        }
        if kind == "wordpiece":
            options |= {
                "do_lower_case": [None, True, False],
                "strip_accents": [None, None, True, False, "null"],
                "tokenize_chinese_chars": [None, None, True, False],
            }
        else:
            options |= {"add_prefix_space": [None, None, True, False]}
        for name, values in options.items():
            value = case.pick(name, values)
            if value is not None:
                config[name] = None if value == "null" else value
        if case.maybe(0.1, "split_special_tokens"):
            config["split_special_tokens"] = True
        if case.maybe(0.12, "more special tokens"):
            name = rng.choice(["additional_special_tokens", "extra_special_tokens"])
            words = sorted(token for token in tokenizer.get_vocab() if token.isalpha())
            config[name] = rng.sample(words, 2)
        if case.maybe(0.3, "added_tokens_decoder"):
            config["added_tokens_decoder"] = {
                str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in data["added_tokens"]
            }
        case.files["tokenizer_config.json"] = config
    if kind == "wordpiece" and config_class(case) and case.maybe(0.15, "only vocab.txt"):
        del case.files["tokenizer.json"]
        words = sorted(tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
        case.files["vocab.txt"] = "".join(f"{token}\n" for token, _ in words)
    if case.maybe(0.2, "special_tokens_map"):
        case.files["special_tokens_map.json"] = {"pad_token": special[0], "unk_token": special[1], "mask_token": special[4]}
    tokenizer.special = special
    return tokenizer


def config_class(case: Case) -> bool:
    """Whether the tokenizer's class is one that a vocabulary suffices for."""
    config = case.files.get("tokenizer_config.json", {})
    return config.get("tokenizer_class") != "PreTrainedTokenizerFast" and "added_tokens_decoder" not in config


def pooling(case: Case, hidden: int) -> tuple[dict, int]:
    count = case.rng.choice([1, 1, 1, 2])
    modes = case.rng.sample(list(POOLING_FLAGS), count)
    case.traits.append("+".join(modes))
    config: dict = {"word_embedding_dimension": hidden}
    if case.maybe(0.5, "pooling by name"):
        config["pooling_mode"] = modes[0] if count == 1 else modes
        if case.maybe(0.5, "embedding_dimension"):
            config = {"embedding_dimension": hidden, "pooling_mode": config["pooling_mode"]}
    else:
        config |= {flag: mode in modes for mode, flag in POOLING_FLAGS.items()}
    if case.maybe(0.25, "prompt not pooled"):
        config["include_prompt"] = False
    return config, hidden * count


def labels_or_words(case: Case) -> None:
    """The files of CrossEncoder and SparseEncoder."""
    task, output = {"labels": ("sequence-classification", "scores"), "words": ("fill-mask", "token_embeddings")}[case.purpose]
    sentence = {
        "transformer_task": task,
        "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
        "module_output_name": output,
    }
    saved = {"__version__": {"sentence_transformers": "6.2.0"}}
    transformer = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
    if case.purpose == "labels":
        text = chat.template(case, chat.PAIRS) if case.maybe(0.3, "chat") else None
        if not case.maybe(0.4, "modules.json of a CrossEncoder"):
            return
        case.files["modules.json"] = [transformer]
        if text is not None:
            case.files["sentence_bert_config.json"] = chat.sentence(case, task, "logits", output, text)
            case.files["config_sentence_transformers.json"] = chat.saved(case, "CrossEncoder")
            return
        saved["model_type"] = "CrossEncoder"
        if case.maybe(0.4, "prompts"):
            saved |= {"prompts": {"query": "query: "}, "default_prompt_name": case.pick("default_prompt_name", [None, "query"])}
    else:
        old = case.maybe(0.4, "MLMTransformer")
        if old:
            transformer["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
            sentence = {"max_seq_length": case.rng.choice([12, 24])}
        pool = "sentence_transformers.sparse_encoder.models.SpladePooling"
        case.files["modules.json"] = [transformer, {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": pool}]
        case.files["1_SpladePooling/config.json"] = {
            "pooling_strategy": case.pick("strategy", ["max", "sum"]),
            "activation_function": case.pick("activation", ["relu", "log1p_relu"]),
            "word_embedding_dimension": None,
        }
        saved |= {"model_type": "SparseEncoder", "similarity_fn_name": "dot"}
    case.files["sentence_bert_config.json"] = sentence
    case.files["config_sentence_transformers.json"] = saved


def modules(case: Case) -> None:
    """modules.json and the folders of the modules."""
    if case.purpose == "entities":
        return None
    if case.purpose in ("labels", "words"):
        return labels_or_words(case)
    if case.purpose == "answers":
        return chat.answers(case, case.files["config.json"]["vocab_size"])
    rng, hidden = case.rng, case.files["config.json"].get("hidden_size") or case.files["config.json"].get("dim")
    if case.purpose == "tokens":
        return late.draw(case, hidden)
    if case.maybe(0.1, "no modules.json"):
        if case.maybe(0.4, "chat"):
            chat.template(case, chat.SINGLE)
        return
    prefix = TYPES[case.pick("types", ["old", "new"])]
    static = "tokenizer.json" in case.files and case.maybe(0.08, "StaticEmbedding")
    if static:
        table(case)
        hidden = 8
    names = ["StaticEmbedding"] if static else ["Transformer", "Pooling"]
    if case.maybe(0.3, "dense"):
        names += ["Dense"] * rng.choice([1, 1, 2])
    if case.maybe(0.12, "layer norm"):
        names.append("LayerNorm")
    if case.maybe(0.08, "dropout"):
        names.append("Dropout")
    if case.maybe(0.5, "normalize"):
        names.append("Normalize")
    width, rows = hidden, []
    for index, name in enumerate(names):
        path = "" if index == 0 else f"{index}_{name}"
        kind = "sentence_transformers.base.modules." if prefix == TYPES["new"] and name in BASE else prefix
        rows.append({"idx": index, "name": str(index), "path": path, "type": f"{kind}{name}"})
        if name == "Pooling":
            case.files[f"{path}/config.json"], width = pooling(case, hidden)
        elif name == "Dense":
            out = rng.choice([8, 12, width])
            config = {
                "in_features": width, "out_features": out, "bias": rng.random() < 0.8,
                "activation_function": f"torch.nn.modules.activation.{rng.choice(ACTIVATIONS)}",
            }
            if config["activation_function"].endswith("Identity"):
                config["activation_function"] = "torch.nn.modules.linear.Identity"
            if case.maybe(0.15, "residual"):
                config["use_residual"] = True
            tensors = {"linear.weight": [out, width]} | ({"linear.bias": [out]} if config["bias"] else {})
            if config.get("use_residual") and out != width:
                tensors["residual.weight"] = [out, width]
            case.files[f"{path}/config.json"] = config
            case.tensors[f"{path}/model.safetensors"] = {
                key: weights.spec(f"{index}.{key}", shape, "F32") for key, shape in tensors.items()
            }
            width = out
        elif name == "LayerNorm":
            case.files[f"{path}/config.json"] = {"dimension": width}
            case.tensors[f"{path}/model.safetensors"] = {
                key: weights.spec(f"{index}.{key}", [width], "F32") for key in ("norm.weight", "norm.bias")
            }
        elif name == "Dropout":
            case.files[f"{path}/config.json"] = {"dropout": 0.3}
    case.files["modules.json"] = rows
    if static:
        move_table(case, rows[0])
        return settings(case, width)
    sentence: dict = {}
    if case.maybe(0.5, "max_seq_length"):
        sentence["max_seq_length"] = rng.choice([8, 16, 24])
    if case.maybe(0.25, "sentence lower"):
        sentence["do_lower_case"] = rng.random() < 0.7
    if case.maybe(0.12, "processing max_length"):
        sentence = {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
            "processing_kwargs": {"text": {"max_length": rng.choice([6, 8, 11])}},
        }
    if case.maybe(0.15, "chat"):
        text = chat.template(case, chat.SINGLE)
        case.files["sentence_bert_config.json"] = chat.sentence(
            case, "feature-extraction", "last_hidden_state", "token_embeddings", text
        )
    elif sentence or rng.random() < 0.3:
        case.files[rng.choice(SENTENCE_CONFIGS)] = sentence
    settings(case, width)


def table(case: Case) -> None:
    """The files of StaticEmbedding: a tokenizer and a table, of sentence-transformers or of model2vec."""
    tokenizer = case.files["tokenizer.json"]
    size = len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"]) + case.rng.choice([0, 5])
    case.files = {"tokenizer.json": tokenizer}
    tensors = {"embedding.weight": [size, 8]}
    if case.maybe(0.4, "model2vec"):
        rows = case.rng.randint(3, size) if case.maybe(0.5, "mapping") else size
        tensors = {"embeddings": [rows, 8]} | ({"weights": [size]} if case.maybe(0.5, "weights") else {})
        if rows < size:
            tensors["mapping"] = [size]
        # Its settings say how the table was made, and nothing reads them.
        case.files["config.json"] = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    dtype = case.pick("table", ["F32", "F32", "F16"])
    specs = {name: weights.spec(name, shape, dtype) for name, shape in tensors.items()}
    if "mapping" in specs:
        # The row of a token is a whole number below the number of rows.
        specs["mapping"] |= {"dtype": case.rng.choice(["I64", "I32"]), "below": rows}
    case.tensors = {"model.safetensors": specs}


def move_table(case: Case, module: dict) -> None:
    """Where the files lie: beside modules.json, as model2vec writes that with a dot, or in a folder of their own."""
    module["path"] = case.pick("table in", ["", ".", "0_StaticEmbedding"])
    if module["path"] == "0_StaticEmbedding":
        case.files["0_StaticEmbedding/tokenizer.json"] = case.files.pop("tokenizer.json")
        case.tensors["0_StaticEmbedding/model.safetensors"] = case.tensors.pop("model.safetensors")


def settings(case: Case, width: int) -> None:
    """config_sentence_transformers.json"""
    if case.maybe(0.3, "no config_sentence_transformers.json"):
        return
    config: dict = {"__version__": {"sentence_transformers": "3.4.1", "transformers": "4.48.0", "pytorch": "2.6.0"}}
    if case.maybe(0.5, "prompts"):
        config["prompts"] = {"query": "query: ", "passage": "Passage text:"}
        config["default_prompt_name"] = case.pick("default_prompt_name", [None, "query", "passage"])
    similarity = case.pick("similarity", [None, "cosine", "dot", "euclidean"])
    if similarity:
        config["similarity_fn_name"] = similarity
    if case.maybe(0.15, "truncate_dim"):
        config["truncate_dim"] = case.rng.randint(2, width)
    case.files["config_sentence_transformers.json"] = config


def place(case: Case) -> None:
    """Moves the network into a folder of its own, as old sentence-transformers do."""
    if "modules.json" not in case.files or has_table(case) or not case.maybe(0.08, "0_Transformer"):
        return
    case.files["modules.json"][0]["path"] = "0_Transformer"
    own = ["config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", *set(SENTENCE_CONFIGS)]
    for name in own:
        if name in case.files:
            case.files[f"0_Transformer/{name}"] = case.files.pop(name)
    case.tensors["0_Transformer/model.safetensors"] = case.tensors.pop("model.safetensors")


def has_table(case: Case) -> bool:
    return "StaticEmbedding" in case.traits


def network_file(case: Case) -> str:
    return next(name for name in case.tensors if name in ("model.safetensors", "0_Transformer/model.safetensors"))


def heads(case: Case) -> None:
    """The heads of BGE-M3, in files beside the network."""
    if case.purpose != "vectors" or "modules.json" not in case.files or has_table(case):
        return
    if not case.maybe(0.2, "heads of BGE-M3"):
        return
    place = network_file(case).removesuffix("model.safetensors")
    config = case.files[f"{place}config.json"]
    kinds = case.pick("heads", [["sparse", "multi"], ["sparse", "multi"], ["sparse"], ["multi"]])
    add_heads(case, place, config.get("hidden_size") or config["dim"], {"sparse": 1, "multi": case.rng.choice([4, 8])}, kinds)


def add_heads(case: Case, place: str, hidden: int, sizes: dict[str, int], kinds: list[str]) -> None:
    dtype = case.rng.choice(["F32", "F16"])
    for kind in kinds:
        shapes = {"weight": [sizes[kind], hidden], "bias": [sizes[kind]]}
        case.tensors[f"{place}{m3.FILES[kind]}"] = {
            name: weights.spec(f"{kind}.{name}", shape, dtype) for name, shape in shapes.items()
        }


def rename(case: Case) -> None:
    """Other names for the same tensors, which change nothing. The reference is computed before."""
    if has_table(case):
        return
    file = network_file(case)
    prefix = case.pick("prefix", [""] * 6 + ["model.", "auto_model.", "0.auto_model.", "module.", f"{case.family}."])
    # The linear layer of the original ColBERT stands beside the network, whatever that is called.
    tensors = {name if name == "linear.weight" else f"{prefix}{name}": entry for name, entry in case.tensors.pop(file).items()}
    if case.maybe(0.1, "shards"):
        names, folder = sorted(tensors), file.removesuffix("model.safetensors")
        half = len(names) // 2
        shards = {"model-00001-of-00002.safetensors": names[:half], "model-00002-of-00002.safetensors": names[half:]}
        case.files[f"{folder}model.safetensors.index.json"] = {
            "metadata": {}, "weight_map": {name: shard for shard, own in shards.items() for name in own}
        }
        for shard, own in shards.items():
            case.tensors[f"{folder}{shard}"] = {name: tensors[name] for name in own}
    else:
        case.tensors[file] = tensors


def write(case: Case, folder: pathlib.Path) -> None:
    for name, value in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    for name, tensors in case.tensors.items():
        weights.write(folder / name, tensors)


def requests(case: Case) -> list[dict]:
    """What is asked: the plain texts, then each prompt, a prompt of the caller's, and unit vectors."""
    asked: list[dict] = [{}]
    if case.purpose not in ("vectors", "labels", "answers"):
        return asked
    prompts = case.files.get("config_sentence_transformers.json", {}).get("prompts", {})
    asked += [{"prompt_name": name} for name in prompts]
    if case.purpose != "vectors":
        return [*asked, {"prompt": "Rank these"}]
    if case.rng.random() < 0.2:
        asked.append({"prompt": "Represent this: "})
    if case.rng.random() < 0.3:
        asked.append({"normalize": True})
    return asked


def reference(case: Case) -> list[dict]:
    """The answers of sentence-transformers, one text a batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write(case, folder)
        if case.purpose == "entities":
            return entities.answers(folder, case, TEXTS)
        classes = {"vectors": SentenceTransformer, "words": SparseEncoder, "tokens": MultiVectorEncoder}
        classes |= dict.fromkeys(("labels", "answers"), CrossEncoder)
        model = classes[case.purpose](str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
        if case.purpose in ("labels", "answers"):
            return [request | scores(model, **request) for request in requests(case)]
        if case.purpose == "words":
            return [words(model)]
        if case.purpose == "tokens":
            return late.answers(model, TEXTS)
        answers = []
        for request in requests(case):
            rows = model.encode(
                TEXTS,
                batch_size=1,
                prompt_name=request.get("prompt_name"),
                prompt=request.get("prompt"),
                normalize_embeddings=request.get("normalize", False),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            prefix = model._resolve_prompt(request.get("prompt"), request.get("prompt_name")) or ""
            ids = [model[0].preprocess([text], prompt=prefix or None)["input_ids"].flatten().tolist() for text in TEXTS]
            answers.append(request | {"ids": ids, "dense": [short(row) for row in rows]} | of_heads(model, folder, prefix))
        return answers


def of_heads(model, folder: pathlib.Path, prefix: str) -> dict:
    """What the heads of BGE-M3 compute, if the folder has them."""
    found = {kind: path for kind, name in m3.FILES.items() for path in folder.rglob(name)}
    answers: dict = {kind: [] for kind in found}
    for text in TEXTS if found else []:
        features = model[0].preprocess([text], prompt=prefix or None)
        with torch.inference_mode():
            hidden = model[0](dict(features))["token_embeddings"][0]
            if "sparse" in found:
                words = m3.sparse(found["sparse"], hidden, features["input_ids"][0].tolist(), model.tokenizer)
                answers["sparse"].append([[word, float(f"{weight:.7g}")] for word, weight in words.items()])
            if "multi" in found:
                answers["multi"].append([short(row) for row in m3.vectors(found["multi"], hidden).tolist()])
    return answers


PAIRS = [(one, two) for one, two in zip(TEXTS, [*TEXTS[1:], TEXTS[0]])]


def short(values) -> list:
    return [float(f"{value:.7g}") for value in values]


def scores(model, **asked: str) -> dict:
    """The numbers of each pair, and its ids and types."""
    usual = {"batch_size": 1, "convert_to_numpy": True, "show_progress_bar": False}
    rows = [model.predict([pair], **usual, **asked) for pair in PAIRS]
    prompt = model._resolve_prompt(asked.get("prompt"), asked.get("prompt_name"))
    inputs = [model.preprocess([pair], prompt=prompt) for pair in PAIRS]
    return {
        "ids": [one["input_ids"][0].tolist() for one in inputs],
        "types": [one["token_type_ids"][0].tolist() if "token_type_ids" in one else [0] * one["input_ids"].shape[1] for one in inputs]
        # A network without types is given them, too, and leaves them.
        if "token_type_ids" in model[0]._declared_forward_params
        else [],
        "labels": [short(row.reshape(-1)) for row in rows],
    }


def words(model) -> dict:
    """The words of each text that have a weight."""
    rows = model.encode(TEXTS, batch_size=1, convert_to_sparse_tensor=False, show_progress_bar=False)
    prompt = model._resolve_prompt(None, None) or None
    ids = [model[0].preprocess([text], prompt=prompt)["input_ids"][0].tolist() for text in TEXTS]
    sparse = [[[index, float(f"{value:.7g}")] for index, value in enumerate(row.tolist()) if value] for row in rows]
    return {"ids": ids, "sparse": sparse}


def draw(seed: int, index: int, families: list[str], purpose: str | None) -> dict | str:
    """One case, or why the reference has no answer."""
    rng = random.Random(f"{seed}/{index}")
    case = Case(rng, families[index % len(families)])
    # Networks that continue texts have no head for words, and no labels of tokens in Gemma 3.
    kinds = ["vectors"] * 6 + ["labels"] * 2 + ["tokens"] * 2
    kinds += ["answers"] * 3 if case.family in ("qwen3", "gemma3") else ["words"]
    kinds += ["entities"] * 2 if case.family != "gemma3" else []
    case.purpose = purpose or rng.choice(kinds)
    if case.purpose not in kinds:
        return f"no {case.purpose} of {case.family}"
    case.traits.append(case.purpose)
    torch.manual_seed(index)
    tokenizer = tokenizer_files(case)
    network(case, tokenizer)
    modules(case)
    place(case)
    heads(case)
    try:
        answers = reference(case)
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise, they do not serve this folder
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if "Infinity" in json.dumps(answers) or "NaN" in json.dumps(answers):
        return "a number of the reference is not finite"
    rename(case)
    return record(case, f"{case.family}-{index:04}", answers)


def record(case: Case, name: str, answers: list[dict]) -> dict:
    """The content of a case's file."""
    return {
        "name": name,
        "family": case.family,
        "traits": case.traits,
        "files": case.files,
        "tensors": case.tensors,
        "purpose": case.purpose,
        "task": case.task,
        "texts": TEXTS,
        "pairs": PAIRS,
        "requests": answers,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--families", default=",".join(name for name in FAMILIES if name not in ALONE))
    parser.add_argument("--purpose", help="only cases of this purpose, such as vectors or entities")
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    refused: collections.Counter = collections.Counter()
    written = 0
    for index in range(args.first, args.first + args.count):
        case = draw(args.seed, index, args.families.split(","), args.purpose)
        if isinstance(case, str):
            refused[case] += 1
            continue
        written += 1
        (args.out / f"{case['name']}.json").write_text(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{written} cases in {args.out}; the reference itself refuses {sum(refused.values())}")
    for why, count in refused.most_common():
        print(f"  {count:4}  {why}")
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main())
