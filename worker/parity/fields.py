"""The settings of config.json on which transformers' code of each family acts, read out of its sources.

    fields.py OUT     writes them as JSON: family to names

`worker/tests/families.rs` compares them with what the worker reads: a setting that the reference acts on is never ignored. A name counts
if the configuration class declares it or takes it as an argument, or if the code of the network asks the configuration for it.
"""

import argparse
import json
import pathlib
import re

import transformers
from transformers import CONFIG_MAPPING
from transformers.configuration_utils import PreTrainedConfig

FAMILIES = [
    "bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "mpnet", "albert", "modernbert", "nomic_bert", "gte",
    "deberta-v2", "qwen3", "gemma3_text",
]
ASKED = [
    re.compile(r"\bconfig\.([a-z_]\w*)"),
    re.compile(r"""getattr\((?:self\.)?config, ["'](\w+)["']"""),
    re.compile(r"""hasattr\((?:self\.)?config, ["'](\w+)["']"""),
    re.compile(r"""kwargs\.(?:get|pop)\(\s*["'](\w+)["']"""),
]


def module(name: str) -> pathlib.Path:
    config = CONFIG_MAPPING[name]
    return pathlib.Path(transformers.__file__).parent.joinpath(*config.__module__.split(".")[1:-1])


def encoder(source: str) -> str:
    """The code without the classes of other tasks than this worker's."""
    parts = re.split(r"^(?=class |def |@)", source, flags=re.M)
    other = re.compile(r"class \w+For(QuestionAnswering|MultipleChoice|NextSentence|PreTraining|Conditional)")
    return "".join(part for part in parts if not other.match(part))


def fields(name: str) -> list[str]:
    config = CONFIG_MAPPING[name]
    general = set(dir(PreTrainedConfig)) | set(PreTrainedConfig.__dataclass_fields__)
    names = set(config.__dataclass_fields__) - set(PreTrainedConfig.__dataclass_fields__)
    for path in module(name).glob("*.py"):
        if path.name.startswith(("configuration_", "modeling_")):
            source = encoder(path.read_text())
            for pattern in ASKED:
                names |= set(pattern.findall(source))
    return sorted(field for field in names if field not in general and not field.startswith("_"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.write_text(json.dumps({name: fields(name) for name in FAMILIES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
