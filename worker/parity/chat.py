"""Models whose texts become messages of a chat: their templates, the settings around them, and rerankers that answer with a word."""

# Templates of the kinds that are in use. Each writes both texts of a pair, or a text alone, or either.
PAIRS = {
    "by role": """{%- set task = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("Find what answers the question") -%}
{%- set asked = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}
<s>system
Say yes or no.</s>
<s>user
<Task>: {{ task }}
<Asked>: {{ asked }}
<Given>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}</s>
<s>assistant
<think>

</think>


""",
    "parts": """{{ bos_token }}{% set prompt = (messages | selectattr("role", "eq", "system") | first) %}
{% if prompt %}Task: {{ prompt.content[0].text }}
{% endif %}
Q: {{ (messages | selectattr("role", "equalto", "query") | first).content[0].text }}
{# the document comes last #}
D: {{ (messages | selectattr("role", "==", "document") | first)["content"][0]["text"] }} answer:""",
    "in turn": """{% for message in messages %}{{ '<s>' + message['role'] + '\\n' + message['content'] + '</s>' + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}""",
    "space": """{%- set ns = namespace(first=true, texts=[]) %}
{%- macro turn(name, text) %}[{{ name | upper }}] {{ text.strip() }}{% endmacro -%}
{%- for m in messages -%}
    {%- if m.role == "system" -%}
        {%- set ns.first = false -%}
        {{ m.content | trim }}
    {%- else %}
    {{ turn(m.role, m.content) }} {{ loop.index }}/{{ loop.length }}{{ "" if loop.last else "," }}
    {%- endif -%}
{%- endfor %}
{{ "no task" if ns.first else "task" }}{{ eos_token }}
""",
    "no end": """{% for m in messages if m.role != "system" %}{{ m.role }}: {{ m.content }}
{% endfor %}""",
    "methods": """{%- for m in messages %}
{%- set lines = m.content.split(" ") %}
{%- if m.content.startswith("h") or m["content"].endswith("x") %}!{% endif %}
{{- m.get("role", "?") }}={{ lines | join("_") | replace("a", "A") }}|{{ lines | length }}|{{ lines[0] | lower }}
{%- if not loop.last %} + {% endif %}
{%- endfor %} = {{ note | default("none", true) }}""",
    "all parts": """{%- for m in messages -%}
{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{% if part.type == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %};
{% endfor -%}
end""",
}
SINGLE = {
    "usual": """{%- for m in messages %}<s>{{ m.role }}
{{ m.content }}</s>
{% endfor %}{% if add_generation_prompt %}<s>assistant
{% endif %}""",
    "user alone": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim + '\\n\\n' }}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if m.role == 'user' %}Say: {{ m.content | trim }}{% endif %}{% endfor %}{{ eos_token }}""",
}
# Templates that both raise on, or that lose a text.
BAD = {
    "loses the query": "{{ messages[-1].content }}",
    "raises": "{{ raise_exception('no ' ~ messages[0].role) }}",
}


def message(case, output: str, template: str) -> dict:
    """The entry of messages in `modality_config`."""
    entry = {"method": "forward", "method_output_name": output}
    form = case.pick("format", ["right", None])
    if form == "right":
        parts = any(sign in template for sign in ("content[0]", ".type", "'type'", '"type"', "message.content["))
        entry["format"] = "structured" if parts else "flat"
    return entry


def template(case, kinds: dict, place: str = "") -> str:
    """Puts a template into the folder, in one of three forms."""
    name = case.rng.choice(list(kinds))
    if case.rng.random() < 0.06:
        kinds, name = BAD, case.rng.choice(list(BAD))
    case.traits.append(f"template {name}")
    text = kinds[name]
    where = case.pick("template in", ["file", "config", "list"])
    if where != "file" and "tokenizer_config.json" in case.files:
        several = [{"name": "other", "template": "other"}, {"name": "default", "template": text}]
        case.files["tokenizer_config.json"]["chat_template"] = text if where == "config" else several
    else:
        case.files[f"{place}chat_template.jinja"] = text
    return text


def processing(case) -> dict:
    """What is said about calls of the tokenizer and of the template."""
    made: dict = {}
    if case.maybe(0.3, "processing max_length"):
        made["text"] = {"max_length": case.rng.choice([9, 20, 60])}
    given = {}
    if case.maybe(0.4, "generation prompt"):
        given["add_generation_prompt"] = True
    if case.maybe(0.2, "restore_suffix"):
        given["restore_suffix"] = case.rng.random() < 0.3
    if case.maybe(0.2, "variable"):
        given["note"] = "a note"
    return made | ({"chat_template": given} if given else {})


def sentence(case, task: str, output: str, named: str, text: str | None) -> dict:
    """sentence_bert_config.json"""
    config = {
        "transformer_task": task,
        "modality_config": {"text": {"method": "forward", "method_output_name": output}},
        "module_output_name": named,
    }
    if text is not None:
        config["modality_config"]["message"] = message(case, output, text)
    made = processing(case)
    return config | ({"processing_kwargs": made} if made else {})


def saved(case, kind: str) -> dict:
    """config_sentence_transformers.json"""
    config: dict = {"__version__": {"sentence_transformers": "6.2.0"}, "model_type": kind}
    if case.maybe(0.4, "prompts"):
        prompts = {"task": "Find a recipe", "query": "query: "}
        config |= {"prompts": prompts, "default_prompt_name": case.pick("default_prompt_name", [None, "task", "query"])}
    name = case.pick("activation", [None, "activation.Sigmoid", "linear.Identity"])
    if kind == "CrossEncoder" and name:
        config["activation_fn"] = f"torch.nn.modules.{name}"
    return config


def answers(case, words: int) -> None:
    """A reranker whose score comes from the word after a pair."""
    chat = case.maybe(0.85, "chat")
    text = template(case, PAIRS) if chat else None
    if case.maybe(0.25, "no modules.json"):
        case.task = "rerank"
        return
    base = "sentence_transformers."
    case.files["modules.json"] = [
        {"idx": 0, "name": "0", "path": "", "type": f"{base}base.modules.transformer.Transformer"},
        {"idx": 1, "name": "1", "path": "1_LogitScore", "type": f"{base}cross_encoder.modules.logit_score.LogitScore"},
    ]
    score = {"true_token_id": case.rng.randrange(words), "false_token_id": case.rng.randrange(words), "module_input_name": "causal_logits"}
    if case.maybe(0.2, "one word"):
        score["false_token_id"] = None
    if case.maybe(0.3, "short LogitScore"):
        score = {key: value for key, value in score.items() if key.endswith("id") and value is not None}
    case.files["1_LogitScore/config.json"] = score
    case.files["sentence_bert_config.json"] = sentence(case, "text-generation", "logits", "causal_logits", text)
    case.files["config_sentence_transformers.json"] = saved(case, "CrossEncoder")
