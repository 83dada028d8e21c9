"""Folders of models for late interaction, and what MultiVectorEncoder of sentence-transformers computes from them.

Three layouts: its own, that of PyLate (with and without a type in config_sentence_transformers.json), and that of the original ColBERT.
"""

import string

import weights

NEW = "sentence_transformers.base.modules."
LATE = "sentence_transformers.multi_vector_encoder.modules."
MARKERS = {"query_prefix": "[Q] ", "document_prefix": "[D] "}


def draw(case, hidden: int) -> None:
    layout = case.pick("layout", ["native", "native", "native", "ColBERT", "PyLate", "HF_ColBERT"])
    {"native": native, "ColBERT": pylate, "PyLate": pylate, "HF_ColBERT": stanford}[layout](case, hidden, layout)


def dense(case, path: str, width: int, out: int, **more) -> None:
    bias = case.rng.random() < 0.3
    case.files[f"{path}/config.json"] = {
        "in_features": width, "out_features": out, "bias": bias, "activation_function": "torch.nn.modules.linear.Identity",
    } | more
    shapes = {"linear.weight": [out, width]} | ({"linear.bias": [out]} if bias else {})
    case.tensors[f"{path}/model.safetensors"] = {key: weights.spec(f"{path}.{key}", shape, "F32") for key, shape in shapes.items()}


def expansion(case, longest: int) -> dict | None:
    """`query_expansion`, whose length is at most `longest`."""
    if not case.maybe(0.6, "query_expansion"):
        return None
    drawn = {
        "strategy": case.pick("strategy", ["fixed", "min"]),
        "attend": case.pick("attend", [False, True]),
        "length": case.rng.choice([length for length in (7, 12, 20, 32) if length <= longest]),
    }
    return drawn | ({"token": case.files["tokenizer_config.json"]["pad_token"]} if token_is_drawn(case) else {})


def token_is_drawn(case) -> bool:
    return "tokenizer_config.json" in case.files and case.maybe(0.2, "token of the expansion")


def longest(case) -> int:
    """Most tokens of a text."""
    return (case.files["config.json"].get("max_position_embeddings") or 64) - 5


def native(case, hidden: int, _: str) -> None:
    rng, out = case.rng, case.rng.choice([4, 8])
    names = ["Transformer", "Dense"]
    if case.maybe(0.2, "two Dense"):
        names.append("Dense")
    end = ["MultiVectorMask"] if not case.maybe(0.15, "no MultiVectorMask") else []
    end += ["Normalize"] if not case.maybe(0.15, "no Normalize") else []
    names += end[::-1] if case.maybe(0.3, "Normalize first") else end
    width, rows = hidden, []
    for index, name in enumerate(names):
        path = "" if index == 0 else f"{index}_{name}"
        prefix = LATE if name == "MultiVectorMask" else NEW
        kind = f"{prefix}transformer.Transformer" if name == "Transformer" else f"{prefix}{name}"
        rows.append({"idx": index, "name": str(index), "path": path, "type": kind})
        if name == "Dense":
            named = case.pick("input name", [{"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}, {}])
            dense(case, path, width, out, **named)
            width = out
        elif name == "Normalize":
            case.files[f"{path}/config.json"] = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
        elif name == "MultiVectorMask":
            words = case.pick("skiplist", [[], list(string.punctuation), ["the", ",", "[UNK]", "not a token"]])
            tasks = case.pick("skiplist_tasks", [["document"], "query", ["query", "document"], []])
            case.files[f"{path}/config.json"] = {"skiplist_words": words, "skiplist_tasks": tasks, "keep_only_token_ids": None}
    case.files["modules.json"] = rows
    sentence = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
    }
    drawn = expansion(case, longest(case))
    if drawn:
        sentence["query_expansion"] = drawn
    if case.maybe(0.4, "query_length"):
        sentence["query_length"] = rng.choice([9, 14, 40])
    if case.maybe(0.4, "document_length"):
        sentence["document_length"] = rng.choice([10, 25])
    if case.maybe(0.3, "max_seq_length"):
        sentence["max_seq_length"] = rng.choice([8, 16])
    if case.maybe(0.1, "processing max_length"):
        sentence["processing_kwargs"] = {"text": {"max_length": rng.choice([8, 11])}}
    case.files["sentence_bert_config.json"] = sentence
    saved = {"__version__": {"sentence_transformers": "6.2.0"}, "model_type": "MultiVectorEncoder"}
    saved["similarity_fn_name"] = case.pick("similarity", ["maxsim", "meanmaxsim", None])
    if case.maybe(0.6, "prompts"):
        saved["prompts"] = case.pick("prompts", [{"query": "[Q] ", "document": "[D] "}, {"query": "query: "}, {"passage": "passage: "}])
        saved["default_prompt_name"] = case.pick("default_prompt_name", [None, "query"])
    case.files["config_sentence_transformers.json"] = saved


def pylate(case, hidden: int, layout: str) -> None:
    rng = case.rng
    case.files["modules.json"] = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    dense(case, "1_Dense", hidden, rng.choice([4, 8]))
    case.files["sentence_bert_config.json"] = {"max_seq_length": rng.choice([16, 40]), "do_lower_case": False}
    saved = {"__version__": {"sentence_transformers": "4.0.2"}, "similarity_fn_name": "MaxSim", "default_prompt_name": None}
    saved["prompts"] = case.pick("prompts", [{}, {"query": "[Q] find: "}])
    if layout == "ColBERT":
        saved["model_type"] = "ColBERT"
    if layout == "PyLate" or case.maybe(0.8, "prefixes"):
        saved |= MARKERS if not case.maybe(0.2, "a word as prefix") else {"query_prefix": "the ", "document_prefix": ""}
    if case.maybe(0.7, "lengths"):
        saved |= {"query_length": rng.choice([9, 20, 32]), "document_length": rng.choice([11, 30, None])}
    if case.maybe(0.5, "attend_to_expansion_tokens"):
        saved["attend_to_expansion_tokens"] = rng.random() < 0.5
    if case.maybe(0.3, "do_query_expansion"):
        saved["do_query_expansion"] = rng.random() < 0.4
    if case.maybe(0.4, "skiplist_words"):
        saved["skiplist_words"] = rng.choice([[], ["the", ",", "."]])
    case.files["config_sentence_transformers.json"] = saved


def stanford(case, hidden: int, _: str) -> None:
    rng, out = case.rng, case.rng.choice([4, 8])
    case.files["config.json"]["architectures"] = ["HF_ColBERT"]
    case.tensors["model.safetensors"]["linear.weight"] = weights.spec("colbert.linear", [out, hidden], "F32")
    if case.maybe(0.15, "no artifact.metadata"):
        return
    markers = case.pick("markers", [["[unused0]", "[unused1]"], ["the", "and"]])
    case.files["artifact.metadata"] = {
        "query_token_id": markers[0], "doc_token_id": markers[1], "query_token": "[Q]", "doc_token": "[D]", "dim": out,
        "query_maxlen": rng.choice([12, 32]), "doc_maxlen": rng.choice([15, 30]), "similarity": "cosine", "nbits": 1,
        "attend_to_mask_tokens": rng.random() < 0.3, "mask_punctuation": rng.random() < 0.7, "interaction": "colbert",
    }


def answers(model, texts: list[str]) -> list[dict]:
    """The vectors of texts as documents and as queries, and the score of each as document for itself as query."""
    given = {}
    for role, encode, name in (("document", model.encode_document, None), ("query", model.encode_query, "query")):
        rows = [encode(text, show_progress_bar=False) for text in texts]
        prompt = model.prompts[role]
        features = [model[0].preprocess([text], prompt=prompt, task=role) for text in texts]
        ids = [one["input_ids"][0].tolist() for one in features]
        given[role] = rows, {"prompt_name": name, "ids": ids, "multi": [[short(vector) for vector in row.tolist()] for row in rows]}
    scores = [model.similarity([query], [document])[0, 0].item() for query, document in zip(given["query"][0], given["document"][0])]
    return [given["document"][1], given["query"][1] | {"max_sim": short(scores)}]


def short(values) -> list:
    return [float(f"{value:.7g}") for value in values]
