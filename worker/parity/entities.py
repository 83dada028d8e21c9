"""Networks that classify tokens, and what the pipeline `token-classification` of transformers answers."""

import pathlib

import torch
import transformers

from networks import longest

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def labels(case, config) -> None:
    """Names of the labels, and sometimes none."""
    names = case.pick("labels", [LABELS, LABELS, ["O", "PER", "LOC-X-Y"], None])
    if names is None:
        config.num_labels = 3
        return
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}


def answers(folder: pathlib.Path, case, texts: list[str]) -> list[dict]:
    """The entities of each text, in three ways."""
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    # The pipeline fails on a text with more tokens than the network has positions; the worker cuts or refuses it.
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest(case.family, model.config))
    pipeline = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")
    ids = [tokenizer(text, truncation=True)["input_ids"] for text in texts]
    asked = [("none", None), ("simple", None), (case.rng.choice(["first", "average", "max"]), ["PER", "LABEL_0"])]
    return [
        {"ids": ids, "aggregation": aggregation, "ignored": ignored or ["O"], "entities": [plain(one) for one in found]}
        for aggregation, ignored in asked
        for found in [[pipeline(text, aggregation_strategy=aggregation, ignore_labels=ignored) for text in texts]]
    ]


def plain(entities: list[dict]) -> list[dict]:
    """With numbers as JSON has them."""
    return [one | {"score": float(f"{one['score']:.7g}")} for one in entities]
