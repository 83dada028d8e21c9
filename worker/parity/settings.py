"""Compares the settings on which the libraries act, outside of config.json, with those that the worker knows: settings.py

The worker's are the tables of `worker/src/model/settings.rs`; fields.py does the same for config.json. Ends with 1 and the names of the
settings that are missing there.
"""

import inspect
import pathlib
import re
import sys

import sentence_transformers
import transformers
from sentence_transformers.base import model as base
from sentence_transformers.base.modules import dense, normalize
from sentence_transformers.base.modules import transformer as transformer_module
from sentence_transformers.cross_encoder import model as cross_encoder
from sentence_transformers.cross_encoder.modules import logit_score
from sentence_transformers.multi_vector_encoder import model as multi_vector
from sentence_transformers.multi_vector_encoder.modules import multi_vector_mask
from sentence_transformers.sentence_transformer import model as sentence
from sentence_transformers.sentence_transformer.modules import dropout, layer_norm, pooling
from sentence_transformers.sparse_encoder.modules import splade_pooling
from transformers import tokenization_utils_base, tokenization_utils_tokenizers

SOURCE = pathlib.Path(__file__).parent.parent / "src/model/settings.rs"

# Classes of tokenizers that the worker builds, by their modules.
TOKENIZERS = ["bert", "distilbert", "mpnet", "roberta", "xlm_roberta", "camembert", "albert", "deberta_v2", "qwen2", "gemma"]

# Arguments of constructors that come from other files, or from the caller alone.
NOT_SETTINGS = {
    "self", "args", "kwargs", "vocab", "merges", "vocab_file", "merges_file", "tokenizer_file", "tokenizer_object", "gguf_file", "name_or_path",
    "_spm_precompiled_charsmap", "_json_truncation", "_json_padding", "post_processor", "tokenizer_padding", "tokenizer_truncation", "files_loaded",
    "local_files_only", "token", "cache_dir", "revision", "subfolder", "is_local", "model_specific_special_tokens", "max_length", "stride",
    "truncation_strategy", "from_slow", "save_jinja_files",
}


def known(table: str) -> set[str]:
    """The names of a table of settings.rs."""
    body = re.search(rf"pub const {table}: &\[Setting\] =\s*&\[(.*?)\];", SOURCE.read_text(), re.S)
    assert body, table
    return set(re.findall(r'\("([^"]+)"', body[1]))


def parameters(function) -> set[str]:
    return set(inspect.signature(inspect.unwrap(function)).parameters) - NOT_SETTINGS


def module(cls) -> set[str]:
    """What a module reads of its own config.json."""
    return set(cls.config_keys) | set(getattr(cls, "config_key_renames", {})) | parameters(cls.__init__)


def asked(source: str, name: str) -> set[str]:
    """Keys that code asks a dictionary of this name for."""
    quoted = r'["\'](\w+)["\']'
    return set(re.findall(rf"{name}\.(?:get|pop|setdefault)\({quoted}", source)) | set(re.findall(rf"{quoted} in {name}\b", source))


def tokenizers() -> set[str]:
    found = set()
    for name in TOKENIZERS:
        code = __import__(f"transformers.models.{name}.tokenization_{name}", fromlist=["x"])
        for cls in vars(code).values():
            if inspect.isclass(cls) and cls.__module__ == code.__name__ and "__init__" in vars(cls):
                found |= parameters(cls.__init__)
    backend = inspect.getsource(tokenization_utils_tokenizers)
    shared = inspect.getsource(tokenization_utils_base)
    return (found | asked(backend, "kwargs") | asked(shared, "kwargs") | asked(shared, "init_kwargs")) - CALL


# Arguments of calls and of saving in the same files, which no file of a folder sets.
CALL = NOT_SETTINGS | {
    "padding", "truncation", "return_tensors", "add_special_tokens", "return_overflowing_tokens", "use_fast", "_from_auto", "_commit_hash", "verbose",
    "proxies", "force_download", "local_files_only", "user_agent", "from_pipeline", "trust_remote_code", "_from_pipeline", "tokenizer", "key",
    "is_split_into_words", "text", "text_pair", "text_target", "tokenize", "device", "dtype", "response_schema", "custom_generate", "repo_id",
    "add_generation_prompt", "chat_control_tokens", "max_target_length", "processor_class", "response_template", "sanitize_control_tokens",
    "use_source_tokenizer", "commit_message", "_is_local", "extra_chat_templates", "legacy", "sp_model_kwargs",
}


def main() -> int:
    pooled = set(pooling._LEGACY_POOLING_MODE_KWARGS)
    model = inspect.getsource(base) + inspect.getsource(sentence) + inspect.getsource(cross_encoder)
    late = inspect.getsource(multi_vector)
    pylate = set(multi_vector._LegacyStash._PYLATE_TRANSFORMER_KEYS) | {"query_prefix", "document_prefix"}
    checks = {
        "POOLING": module(pooling.Pooling) | pooled,
        "DENSE": module(dense.Dense),
        "LAYER_NORM": module(layer_norm.LayerNorm),
        "DROPOUT": module(dropout.Dropout),
        "LOGIT_SCORE": module(logit_score.LogitScore),
        "SPLADE": module(splade_pooling.SpladePooling),
        "SENTENCE": module(transformer_module.Transformer) | {"model_args", "tokenizer_args", "config_args"},
        # The key of a version stands in an object of its own.
        "MODEL": asked(model, "model_config") - {"sentence_transformers"},
        "NORMALIZE": module(normalize.Normalize),
        "MASK": module(multi_vector_mask.MultiVectorMask),
        "LATE": (asked(late, "model_config") | pylate) - known("MODEL"),
        "ARTIFACT": asked(late, "metadata"),
        "TOKENIZER": tokenizers(),
    }
    missing = {table: sorted(names - known(table)) for table, names in checks.items()}
    print(f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}")
    for table, names in checks.items():
        print(f"{table.lower():<12} {len(names):>3} settings of the libraries, not known to the worker: {', '.join(missing[table]) or 'none'}")
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
