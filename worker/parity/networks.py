"""Networks with random settings and weights, and what the reference computes from random token ids.

    networks.py --seed 1 --count 500 OUT      one JSON file a case; --only FAMILY for one family

`worker/tests/networks.rs` builds each network and compares. make.py compares whole folders with sentence-transformers; this one
compares networks alone, without a tokenizer, with texts of many lengths, and with padding of the reference.
"""

import argparse
import json
import os
import pathlib
import random
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

import weights
from families import FAMILIES
from rounding import moved

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)


def texts(rng: random.Random, config, longest: int) -> list[list[int]]:
    """Token ids of a few texts; some have the id of padding in their middle."""
    lengths = [1, 2, longest, *(rng.randint(1, min(longest, 40)) for _ in range(4))]
    made = [[rng.randrange(config.vocab_size) for _ in range(length)] for length in lengths]
    return made + [list(reversed(made[3])), made[3]]


def longest(family: str, config) -> int:
    """Most tokens of a text."""
    positions = getattr(config, "max_position_embeddings", None) or config.n_positions
    if family in ("roberta", "xlm-roberta", "camembert"):
        return positions - config.pad_token_id - 1
    return positions - 2 if family == "mpnet" else positions


def pooled(states: torch.Tensor) -> list[float]:
    """First token, largest, mean and last, side by side."""
    parts = (states[0], states.max(0).values, states.mean(0), states[-1])
    return numbers(torch.cat(parts))


def numbers(values: torch.Tensor) -> list[float]:
    """As many digits as a 32-bit float has."""
    return [float(f"{value:.7g}") for value in values.float().tolist()]


HEADS = {
    None: ("model", transformers.AutoModel),
    "sequence": ("sequence", transformers.AutoModelForSequenceClassification),
    "vocabulary": ("vocabulary", transformers.AutoModelForMaskedLM),
    "tokens": ("tokens", transformers.AutoModelForTokenClassification),
}
# Families that continue texts.
CAUSAL = ("qwen3", "gemma3")


def network(rng: random.Random, family: str, head: str | None):
    """A model with random settings."""
    config = FAMILIES[family]["config"](rng, rng.randint(40, 120))
    name, auto = HEADS[head]
    if head in ("sequence", "tokens"):
        config.num_labels = rng.choice([1, 1, 2, 3])
    if head == "tokens" and family == "qwen3":
        config.token_classification_bias = rng.random() < 0.7
    if head == "vocabulary":
        # A table of words that is narrower than the blocks can't be shared with some heads.
        config.tie_word_embeddings = rng.random() < 0.7
        if family in CAUSAL:
            auto = transformers.AutoModelForCausalLM
        if family == "deberta-v2" and getattr(config, "embedding_size", config.hidden_size) == config.hidden_size:
            config.legacy = rng.random() < 0.7
    build = FAMILIES[family].get(name)
    return build(config) if build else auto.from_config(config)


def computed(head: str | None, output) -> list[list[float]]:
    """What the reference computes for one text."""
    if head is None:
        return [pooled(output.last_hidden_state[0])]
    logits = output.logits[0]
    if head == "sequence":
        return [numbers(logits)]
    if head == "tokens":
        return [numbers(logits[0]), numbers(logits[-1]), numbers(logits.max(0).values)]
    weights = logits.relu().log1p()
    return [numbers(logits[0]), numbers(weights.max(0).values), numbers(weights.log1p().sum(0))]


def case(family: str, head: str | None, seed: int) -> dict:
    rng = random.Random(f"{family} {head} {seed}")
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        model = network(rng, family, head)
        config = model.config
        model.save_pretrained(folder)
        settings = json.loads((root / "config.json").read_text())
        entries = weights.header(root / "model.safetensors")
        tensors = {name: weights.spec(name, entry["shape"], entry["dtype"]) for name, entry in entries.items()}
        weights.write(root / "model.safetensors", tensors)
        model = type(model).from_pretrained(folder).eval()
    ids = texts(rng, config, longest(family, config))

    def compute(model):
        with torch.no_grad():
            alone = [model(torch.tensor([text]), attention_mask=torch.ones(1, len(text), dtype=torch.long)) for text in ids]
        return [computed(head, output) for output in alone]

    exact = compute(model)
    return {
        "name": f"{family}-{head or 'encoder'}-{seed}",
        "family": family,
        "head": head,
        "config": settings,
        "tensors": tensors,
        "texts": ids,
        "computed": exact,
        "moved": moved(model, compute, exact, seed),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10, help="cases of each family, without a head and with each head")
    parser.add_argument("--only", help="one family")
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for family in [args.only] if args.only else FAMILIES:
        # transformers has no token classification on Gemma 3.
        for head in [head for head in HEADS if head != "tokens" or family != "gemma3"]:
            for seed in range(args.seed, args.seed + args.count):
                made = case(family, head, seed)
                (args.out / f"{made['name']}.json").write_text(json.dumps(made, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
