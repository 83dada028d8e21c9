"""Writes folders that are built as well-known models are, with small random weights: shapes.py OUT

`worker/tests/parity.rs` compares them as it does random ones, and `e2e/tests/e2e/shapes.rs` serves each on the cluster.
"""

import json
import pathlib
import random
import sys

import transformers as t

import make
import vocab
import weights

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
POOLING = {"word_embedding_dimension": 32}
OLD = "sentence_transformers.models."


def roberta(config, tokenizer, **more):
    ids = {name: tokenizer.token_to_id(token) for name, token in (("pad_token_id", "<pad>"), ("bos_token_id", "<s>"), ("eos_token_id", "</s>"))}
    return config(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=130, type_vocab_size=1, **SMALL, **ids, **more)


def modules(*names: str) -> list[dict]:
    rows = [("", OLD + "Transformer"), *((f"{index}_{name}", OLD + name) for index, name in enumerate(names, 1))]
    return [{"idx": index, "name": str(index), "path": path, "type": kind} for index, (path, kind) in enumerate(rows)]


def flags(mode: str) -> dict:
    return POOLING | {flag: mode == own for own, flag in make.POOLING_FLAGS.items()}


def settings(**more) -> dict:
    return {"__version__": {"sentence_transformers": "2.2.2", "transformers": "4.33.0", "pytorch": "2.1.2"}} | more


def special(tokenizer_class: str, **more) -> dict:
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    return {"tokenizer_class": tokenizer_class, "model_max_length": 128} | names | more


def bge_m3(rng):
    tokenizer = vocab.unigram(rng)
    files = {
        "tokenizer_config.json": special("XLMRobertaTokenizer"),
        "modules.json": modules("Pooling", "Normalize"),
        "1_Pooling/config.json": flags("cls"),
        "sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": False},
        "config_sentence_transformers.json": settings(),
    }
    return tokenizer, t.XLMRobertaModel(roberta(t.XLMRobertaConfig, tokenizer)), files


def multilingual_e5(rng):
    tokenizer, model, files = bge_m3(rng)
    files["1_Pooling/config.json"] = flags("mean")
    files["config_sentence_transformers.json"] = settings(prompts={"query": "query: ", "passage": "passage: "})
    return tokenizer, model, files


def all_mpnet_base(rng):
    tokenizer = vocab.wordpiece(rng, ("<pad>", "[UNK]", "<s>", "</s>", "<mask>"), lower=True)
    config = t.MPNetConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=130, pad_token_id=tokenizer.token_to_id("<pad>"), **SMALL
    )
    files = {
        "tokenizer_config.json": special("MPNetTokenizer", unk_token="[UNK]", do_lower_case=True),
        "modules.json": modules("Pooling", "Normalize"),
        "1_Pooling/config.json": flags("mean"),
        "sentence_bert_config.json": {"max_seq_length": 96, "do_lower_case": False},
        "config_sentence_transformers.json": settings(),
    }
    return tokenizer, t.MPNetModel(config), files


def bge_reranker(rng):
    tokenizer = vocab.unigram(rng)
    model = t.XLMRobertaForSequenceClassification(roberta(t.XLMRobertaConfig, tokenizer, num_labels=1))
    return tokenizer, model, {"tokenizer_config.json": special("XLMRobertaTokenizer")}


def qwen3_embedding(rng):
    tokenizer = vocab.byte_level(rng, prefix_space=False)
    config = t.Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=256, head_dim=8, num_key_value_heads=2,
        tie_word_embeddings=True, **SMALL,
    )
    names = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": None, "unk_token": "<unk>"}
    files = {
        "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "model_max_length": 128, "padding_side": "left"} | names,
        "modules.json": modules("Pooling", "Normalize"),
        "1_Pooling/config.json": flags("lasttoken") | {"include_prompt": True},
        "config_sentence_transformers.json": settings(
            prompts={"query": "Instruct: Given a web search query, retrieve passages that answer it\nQuery:", "document": ""},
            default_prompt_name=None,
            similarity_fn_name="cosine",
        ),
    }
    return tokenizer, t.Qwen3Model(config), files


# What a pair becomes for Qwen3's rerankers, as their model card writes it.
RERANKER = '''{%- set task = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("Given a web search query, retrieve relevant passages that answer the query") -%}
{%- set query = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}
{%- set document = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}
<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ task }}
<Query>: {{ query }}
<Document>: {{ document }}<|im_end|>
<|im_start|>assistant
<think>

</think>


'''


def qwen3_reranker(rng):
    tokenizer, _, _ = qwen3_embedding(rng)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>", "<think>", "</think>", "yes", "no"])
    config = t.Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=512, head_dim=8, num_key_value_heads=2,
        tie_word_embeddings=True, **SMALL,
    )
    names = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": None, "unk_token": "<unk>"}
    tokens = {"tokenizer_class": "Qwen2Tokenizer", "model_max_length": 300, "padding_side": "left", "chat_template": RERANKER}
    output = {"method": "forward", "method_output_name": "logits"}
    modules = "sentence_transformers.base.modules.transformer.Transformer", "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
    files = {
        "tokenizer_config.json": tokens | names,
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(zip(("", "1_LogitScore"), modules))
        ],
        "1_LogitScore/config.json": {
            "true_token_id": tokenizer.token_to_id("yes"), "false_token_id": tokenizer.token_to_id("no"),
            "module_input_name": "causal_logits",
        },
        "sentence_bert_config.json": {
            "transformer_task": "text-generation",
            "modality_config": {"text": output, "message": output | {"format": "flat"}},
            "module_output_name": "causal_logits",
        },
        "config_sentence_transformers.json": settings(
            model_type="CrossEncoder", prompts={}, default_prompt_name=None, activation_fn="torch.nn.modules.linear.Identity"
        ),
    }
    return tokenizer, t.Qwen3ForCausalLM(config), files


def splade(rng):
    tokenizer = vocab.wordpiece(rng, lower=True)
    config = t.BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=128, **SMALL)
    first = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"}
    second = {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    files = {
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 128} | names,
        "modules.json": [first, second],
        "1_SpladePooling/config.json": {"pooling_strategy": "max", "activation_function": "relu", "word_embedding_dimension": None},
        "sentence_bert_config.json": {"max_seq_length": 96, "do_lower_case": False},
        "config_sentence_transformers.json": settings(model_type="SparseEncoder", similarity_fn_name="dot"),
    }
    return tokenizer, t.BertForMaskedLM(config), files


SHAPES = {
    "bge-m3": (bge_m3, "vectors"),
    "multilingual-e5": (multilingual_e5, "vectors"),
    "all-mpnet-base": (all_mpnet_base, "vectors"),
    "bge-reranker": (bge_reranker, "labels"),
    "qwen3-embedding": (qwen3_embedding, "vectors"),
    "qwen3-reranker": (qwen3_reranker, "answers"),
    "splade": (splade, "words"),
}


def main(out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, (build, purpose) in SHAPES.items():
        case = make.Case(random.Random(name), name)
        case.purpose = purpose
        tokenizer, model, case.files = build(case.rng)
        case.files["tokenizer.json"] = json.loads(tokenizer.to_str())
        make.keep(case, model)
        for tensor in case.tensors["model.safetensors"].values():
            tensor["dtype"] = "F32"
        if name == "bge-m3":
            make.add_heads(case, "", 32, {"sparse": 1, "multi": 16}, ["sparse", "multi"])
        answers = make.reference(case)
        if purpose in ("labels", "answers"):
            # The routes for scores take no prompt of the caller's.
            answers = answers[:1]
        (out / f"{name}.json").write_text(json.dumps(make.record(case, name, answers), ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
