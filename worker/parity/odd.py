"""Writes folders with one odd setting each, which make.py does not draw, and what the libraries compute from them: odd.py OUT [NAME...]

The files are those of make.py. A folder that the libraries refuse is left out.
"""

import argparse
import json
import pathlib
import random
import sys

import torch

import make
import weights
from families import ALONE, FAMILIES

# Special tokens in texts, with and without blanks around them.
SPECIAL = ["a [MASK] b", "a [MASK]b", "x <mask> y <mask>", "[CLS] a[SEP]", " <mask>", "hello  [PAD] <pad>  </s> <s> end", "world", "[MASK]"]
# A word that is a token of its own.
ADDED = ["the weather in", "the  weather  in the north", "WEATHER weathers Weather", "aweatherb weather", " weather weather", "wéather weather!"]
# Controls, blanks, marks without a letter, other directions, letters that grow when their case changes, and words of many letters.
UNICODE = [
    "a\x00b", "\ufeffhello \u200bzero\u200dwidth\u00adsoft", "שלום العربية \u200frtl", "e\u0301\u0302\u0303 ḍ̇ Å Å", "👨‍👩‍👧‍👦🏳️‍🌈🇩🇪",
    "\u00a0\u2003 \u3000x\u3000", "\r\n\t\x0b\x0c x \x1c\x1f\x85", " ", "\x00", "\u200b", "\ufffd\ue000\U0010ffff", "İstanbul ıI ſ ß ẞ ﬃ ǅ Σας",
    "ａｂｃ　ＡＢＣ１２３ ①② ㌔", "don't won't I'll THEY'RE 's 'S", "½ ¼ 1,000.50 $5 €6 ٣ १", "▁▁ ▁a Ġb Ċ", "##ing ##", "नमस्ते ไทย ខ្មែរ 한국어",
    "\u0345\u0300 a\u0345", "``quoted'' \"x\"", "\n\n\n", f"{'A' * 99} {'a' * 100} {'b' * 101}", "\U000e0041tag",
]
# Texts of which only a part is read at first.
LONG = [
    " " * 8000 + "hello world", "hello " * 1800, "a" * 9000, "中" * 9000, "hello" + " " * 9000 + "world", ".\n" * 4000,
    "ab" * 7 + "\u0301" * 8000 + "hello", "[MASK] </s> <mask> " * 500, "\u200b" * 8000 + "hello", "\x00" * 8000 + "hello world",
]

CASES: list[tuple] = []


def case(name: str, change, family: str = "bert", purpose: str = "vectors", texts: list[str] | None = None) -> None:
    CASES.append((name, family, purpose, texts or make.TEXTS, change))


class Plain(make.Case):
    """A case without any trait of its own."""

    def maybe(self, probability: float, trait: str) -> bool:
        return False

    def pick(self, trait: str, options: list):
        return options[0]


def hidden(one) -> int:
    return one.files["config.json"].get("hidden_size") or one.files["config.json"]["dim"]


def tokenizer_class(name: str):
    return lambda one: one.files["tokenizer_config.json"].update(tokenizer_class=name)


AS_WRITTEN = tokenizer_class("PreTrainedTokenizerFast")


def both(*changes):
    def change(one) -> None:
        for each in changes:
            each(one)

    return change


def sets(file: str, *path: str, **values):
    """Sets fields of an object in a file."""

    def change(one) -> None:
        at = one.files.setdefault(file, {})
        for key in path:
            at = at[key]
        at.update(values)

    return change


def rows_of_words(one, count: int) -> None:
    """Gives the table of words so many rows."""
    one.files["config.json"]["vocab_size"] = count
    for name, entry in one.tensors["model.safetensors"].items():
        if any(table in name for table in ("word_embeddings", "embed_tokens", "tok_embeddings")):
            entry["shape"][0] = count


def without_mask(name: str):
    """The vocabulary lacks the mask, and the model has rows to spare."""

    def change(one) -> None:
        tokenizer = one.files["tokenizer.json"]
        tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != name]
        words = tokenizer["model"]["vocab"]
        if isinstance(words, dict) and name in words:
            words["zzqq"] = words.pop(name)
        rows_of_words(one, one.files["config.json"]["vocab_size"] + 7)

    return change


def marked(mask: str, **flags):
    """The mask is an object with flags, and none of the added tokens."""

    def change(one) -> None:
        tokenizer = one.files["tokenizer.json"]
        tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != mask]
        plain = {"__type": "AddedToken", "content": mask, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
        one.files["tokenizer_config.json"]["mask_token"] = plain | flags
        rows_of_words(one, one.files["config.json"]["vocab_size"] + 7)

    return change


def added(**flags):
    """A word is a token of its own, which the model has a row for."""

    def change(one) -> None:
        tokenizer = one.files["tokenizer.json"]
        words = tokenizer["model"]["vocab"]
        last = max([len(words) - 1, *(token["id"] for token in tokenizer["added_tokens"])])
        token = {"id": last + 1, "content": "weather", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        tokenizer["added_tokens"].append(token | flags)
        rows_of_words(one, last + 2)

    return change


def module(name: str, config: dict | None = None, at: int | None = None, **shapes):
    def change(one) -> None:
        rows = one.files["modules.json"]
        place = len(rows) if at is None else at
        path = f"{place}_{name}{len(one.files)}"
        rows.insert(place, {"path": path, "type": f"sentence_transformers.models.{name}"})
        for index, row in enumerate(rows):
            row |= {"idx": index, "name": str(index)}
        if config is not None:
            one.files[f"{path}/config.json"] = config
        if shapes:
            tensors = {key.replace("__", "."): weights.spec(f"{path}.{key}", shape, "F32") for key, shape in shapes.items()}
            one.tensors[f"{path}/model.safetensors"] = tensors

    return change


def dense(activation: str | None, **more):
    def change(one) -> None:
        width = hidden(one)
        config = {"in_features": width, "out_features": 8} | more | ({"activation_function": activation} if activation else {})
        bias = {"linear__bias": [8]} if config.get("bias", True) else {}
        module("Dense", config, linear__weight=[8, width], **bias)(one)

    return change


def modules(change):
    return lambda one: change(one.files["modules.json"])


def rename(index: int, name: str):
    return modules(lambda rows: rows[index].update(name=name))


def cut(direction: str):
    return sets("tokenizer.json", truncation={"direction": direction, "max_length": 9, "strategy": "LongestFirst", "stride": 2})


def padded(one) -> None:
    pad = {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    one.files["tokenizer.json"]["padding"] = pad


def pooled(**config):
    def change(one) -> None:
        one.files["1_Pooling/config.json"] = {"word_embedding_dimension": hidden(one)} | config

    return change


def prompts(default: str | None, **texts: str):
    return sets("config_sentence_transformers.json", prompts=texts, default_prompt_name=default)


PROMPTS = {
    "query": "query: ", "blank": " ", "long": "one two three four five six seven eight nine ten: ", "glued": "the wea", "unicode": "naïve 中文: ",
    "special": "[SEP] </s>", "empty": "", "lines": "Instruct: x\nQuery:",
}
SHORT = sets("sentence_bert_config.json", max_seq_length=25)


def ropes() -> None:
    own = {"rope_theta": 300.0}
    scalings = {
        "longrope": {"rope_type": "longrope", "factor": 2.0, "short_factor": [1.0], "long_factor": [2.0], "original_max_position_embeddings": 32},
        "yarn": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        "yarn without a length": {"rope_type": "yarn", "factor": 4.0},
        "yarn not cut": {"rope_type": "yarn", "factor": 4.0, "truncate": False},
        "dynamic": {"rope_type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 16},
        "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
        "two types": {"rope_type": "default", "type": "linear", "factor": 4.0},
        "theta inside": {"rope_type": "linear", "factor": 3.0, "rope_theta": 77.0},
        "part": {"rope_type": "default", "partial_rotary_factor": 0.5},
        "nothing": None,
    }
    for family in ("qwen3", "nomic", "gte"):
        for name, given in scalings.items():
            for field in ("rope_scaling", "rope_parameters"):
                change = both(lambda one: one.files["config.json"].pop("rope_parameters"), sets("config.json", **own, **{field: given}))
                case(f"{field} {name} {family}", change, family)


def tokenizers() -> None:
    for family, mask in (("bert", "[MASK]"), ("xlm-roberta", "<mask>"), ("mpnet", "<mask>"), ("distilbert", "[MASK]")):
        case(f"no mask {family}", without_mask(mask), family, texts=SPECIAL)
    for family, mask in (("bert", "[MASK]"), ("xlm-roberta", "<mask>"), ("mpnet", "<mask>"), ("roberta", "<mask>"), ("qwen3", "<mask>")):
        for flag in ("lstrip", "rstrip", "normalized", "single_word"):
            case(f"mask {flag} {family}", marked(mask, **{flag: True}), family, texts=[*SPECIAL, "x<MASK>y <mask>z"])
            case(f"mask {flag} as written {family}", both(AS_WRITTEN, marked(mask, **{flag: True})), family, texts=[*SPECIAL, "x<MASK>y <mask>z"])
    for family in (name for name in FAMILIES if name not in ALONE):
        for index, flags in enumerate([{}, {"lstrip": True, "rstrip": True}, {"single_word": True}, {"normalized": False}]):
            case(f"added {index} {family}", added(**flags), family, texts=ADDED)
        left = sets("tokenizer_config.json", truncation_side="left")
        for kind, change in (("", lambda one: None), (" as written", AS_WRITTEN), (" lower", both(AS_WRITTEN, sets("sentence_bert_config.json", do_lower_case=True)))):
            case(f"unicode{kind} {family}", change, family, texts=UNICODE)
        case(f"long {family}", lambda one: None, family, texts=LONG)
        case(f"long from its end {family}", left, family, texts=LONG)
        case(f"unicode pairs {family}", lambda one: None, family, "labels", UNICODE)
        case(f"long pairs {family}", lambda one: None, family, "labels", [text[:1200] for text in LONG])
        for name in ("PreTrainedTokenizerFast", None):
            ends = sets("tokenizer_config.json", add_bos_token=True, add_eos_token=True, **({"tokenizer_class": name} if name else {}))
            case(f"ends {name} {family}", ends, family)
            case(f"ends alone {name} {family}", both(ends, sets("tokenizer.json", post_processor=None)), family)
    for family in ("bert", "xlm-roberta", "qwen3"):
        case(f"cut at the start {family}", both(cut("Left"), SHORT), family)
        case(f"cut at the start as written {family}", both(AS_WRITTEN, cut("Left"), SHORT), family)
        case(f"pads at the start {family}", both(AS_WRITTEN, padded), family)
    pieces = {
        "digits": {"type": "Digits", "individual_digits": True},
        "scripts": {"type": "UnicodeScripts"},
        "look": {"type": "Split", "pattern": {"Regex": "(?<=[a-z])(?=[A-Z ])|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": False},
        "greedy": {"type": "Split", "pattern": {"Regex": "\\w++(?>'s)?|[^\\w\\s]++|\\s+"}, "behavior": "Removed", "invert": True},
    }
    for name, part in pieces.items():
        case(f"pieces by {name}", both(AS_WRITTEN, sets("tokenizer.json", pre_tokenizer=part)))
    for number, value in enumerate([5, 1e30, None]):
        case(f"model_max_length {number}", sets("tokenizer_config.json", model_max_length=value))
    case("long words as written", both(AS_WRITTEN, sets("tokenizer.json", "model", max_input_chars_per_word=4)))


def folders() -> None:
    gelu = dense("torch.nn.modules.activation.GELU")
    case("modules in another order of idx", both(gelu, module("Normalize"), modules(lambda rows: [row.update(idx=9 - row["idx"]) for row in rows])))
    case("two modules of a name", both(module("Normalize"), gelu, rename(3, "2")))
    case("kwargs", modules(lambda rows: [row.update(kwargs=["task"]) for row in rows]))
    case("Normalize, Dense, Normalize", both(module("Normalize"), gelu, module("Normalize")))
    case("Normalize, Dropout", both(module("Normalize"), module("Dropout", {"dropout": 0.2})))
    case("Dense without a bias", dense("torch.nn.Identity", bias=False))
    case("Dense without an activation", dense(None))
    case("pooling without a mode", pooled())
    case("pooling with no flag", pooled(**dict.fromkeys(make.POOLING_FLAGS.values(), False)))
    case("pooling by a name and a flag", pooled(pooling_mode="max", pooling_mode_cls_token=True))
    case("pooling twice alike", pooled(pooling_mode=["mean", "mean"]))
    case("pooling in another order", pooled(pooling_mode=["lasttoken", "cls", "max"]))
    for family in ("bert", "qwen3", "xlm-roberta", "modernbert", "gemma3"):
        for mode in ("mean", "lasttoken", "cls", "weightedmean"):
            change = both(pooled(pooling_mode=mode, include_prompt=False), prompts("query", **PROMPTS), SHORT)
            case(f"prompts not pooled {mode} {family}", change, family)
    case("model_type null", sets("config_sentence_transformers.json", model_type=None))
    case("default prompt without a text", prompts("document", foo="q: "))
    case("sister files", both(sets("sentence_bert_config.json"), sets("sentence_roberta_config.json", max_seq_length=7)))
    case("prompts of words", prompts("query", query="query: "), purpose="words")
    for kind in ("regression", "multi_label_classification"):
        case(f"problem_type {kind}", sets("config.json", problem_type=kind), purpose="labels")


def networks() -> None:
    case("mpnet distances", sets("config.json", relative_attention_max_distance=20), "mpnet")
    case("gemma3 numbers are capped", sets("config.json", final_logit_softcapping=5.0), "gemma3")
    case("gemma3 sees both ways", sets("config.json", use_bidirectional_attention=True), "gemma3")
    case("qwen3 sees both ways", sets("config.json", is_causal=False), "qwen3")
    older = {"global_rope_theta": 500.0, "local_rope_theta": 77.0}
    for name, more in (("", {}), (" scaled", {"rope_scaling": {"rope_type": "linear", "factor": 3.0}})):
        change = both(lambda one: one.files["config.json"].pop("rope_parameters"), sets("config.json", **older, **more))
        case(f"modernbert of older files{name}", change, "modernbert")


def write(name: str, family: str, purpose: str, texts: list[str], change) -> dict | str:
    """The content of a case's file, or why the libraries have no answer."""
    one = Plain(random.Random(f"odd/{family}/{purpose}"), family)
    one.purpose = purpose
    torch.manual_seed(1)
    tokenizer = make.tokenizer_files(one)
    one.files["tokenizer_config.json"]["model_max_length"] = 40
    make.network(one, tokenizer)
    make.modules(one)
    change(one)
    one.traits = [name]
    make.TEXTS, make.PAIRS = texts, list(zip(texts, [*texts[1:], texts[0]]))
    try:
        answers = make.reference(one)
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise, they do not serve this folder
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:120]
    return make.record(one, f"odd-{name.replace(' ', '-').replace(',', '')}", answers)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="only these")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for define in (tokenizers, folders, ropes, networks):
        define()
    written = 0
    for name, *rest in CASES:
        if args.names and name not in args.names:
            continue
        made = write(name, *rest)
        if isinstance(made, str):
            print(f"  the libraries refuse {name!r}: {made}")
            continue
        written += 1
        (args.out / f"{made['name']}.json").write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{written} odd folders in {args.out}")
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main())
