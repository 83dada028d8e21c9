"""Chat templates, and what transformers makes of them: templates.py

Writes `worker/tests/reference/chat.json`, which `worker/tests/chat.rs` compares with the worker's own engine. Where that refuses by name
what Jinja in Python renders, the case says so.
"""

import json
import pathlib

from transformers.utils.chat_template_utils import render_jinja_template

import chat

OUT = pathlib.Path(__file__).parent.parent / "tests/reference/chat.json"

# Pieces of Jinja that templates in use are made of.
PIECES = [
    "{{ messages | length }} {{ messages | map(attribute='role') | join('-') }} {{ messages | map(attribute='content') | list | length }}",
    "{% for m in messages %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.previtem.role if loop.previtem is defined else '' }};{% endfor %}",
    "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% if loop.index > 1 %}{% break %}{% endif %}{% endfor %}",
    "{% for m in messages if m.role == 'nothing' %}x{% else %}none of it{% endfor %}",
    "  {% if true %}\n  a\n  {%- else -%}\n  b\n  {% endif %}\n  c {#- note -#}  d\n",
    "a\r\nb\rc\n{% if true %}\r\nd{% endif %}\n\n",
    "{{ 'tab\\tnew\\nline \\u00e9 \\'q\\' \\x41 \\\\ \\d' }}|{{ \"it's\" }}",
    "{{ true }} {{ false }} {{ none }} {{ 1 }} {{ -2 }} {{ missing }}|",
    "{{ 7 // 2 }} {{ 7 % 3 }} {{ 2 ** 3 }} {{ -3 }} {{ 'ab' * 2 }} {{ 'a' ~ 1 ~ true }} {{ 1 if messages else 2 }}",
    "{{ messages[0].role[0] }}{{ messages[0]['role'][1:4] }}{{ messages[-1].role }}{{ messages[:1] | length }}{{ messages[::-1][0].role }}",
    "{{ 'a' in messages[0].content }} {{ 'query' in messages | map(attribute='role') }} {{ messages[0].content is string }} {{ messages is iterable }} {{ messages is mapping }} {{ messages[0] is mapping }} {{ 'x' is iterable }} {{ 'x' is sequence }} {{ 3 is sequence }} {{ missing is defined }} {{ tools is none }}",
    "{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.last = m.role %}{% endfor %}{{ ns.n }}{{ ns.last }}",
    "{% set block %}<{{ messages[0].role }}>{% endset %}{{ block }}{{ block | length }}",
    "{% macro show(m, end='.') %}{{ m.role }}: {{ m.content | trim }}{{ end }}{% endmacro %}{% for m in messages %}{{ show(m) }}{{ show(m, end='!') }}{% endfor %}",
    "{{ messages[0].content.strip() }}|{{ messages[0].content.lstrip('h ') }}|{{ messages[0].content.rstrip() }}|{{ messages[0].content | trim }}|{{ messages[0].content | upper }}|{{ messages[0].content.lower() }}",
    "{{ messages[0].content.split(' ') | join('+') }}|{{ messages[0].content.split() | join('+') }}|{{ messages[0].content.split('o', 1) | last }}|{{ ''.split(',') | length }}",
    "{{ messages[0].content.replace('l', 'L') }}|{{ messages[0].content | replace('l', 'L') }}|{{ messages[0].content.startswith('h') }}|{{ messages[0].content.endswith('d') }}",
    "{% for key, value in messages[0].items() %}{{ key }}={{ value }};{% endfor %}{{ messages[0].get('name', 'no name') }}{{ messages[0].keys() | list | length }}{% for key, value in messages[0] | items %}{{ key }}{% endfor %}",
    "{{ messages | selectattr('role', 'ne', 'system') | list | length }}{{ messages | rejectattr('role', 'equalto', 'system') | map(attribute='role') | first }}{{ messages | selectattr('name') | list | length }}{{ messages | selectattr('role', 'in', ['query', 'user']) | list | length }}",
    "{{ (messages | selectattr('role', 'eq', 'query') | first | default({'content': 'no query'})).content }}{{ (messages | last).role }}",
    "{{ missing | default('x') }}{{ '' | default('x') }}{{ '' | default('x', true) }}{{ none | default('x', true) }}{{ eos_token }}{{ bos_token | default('none') }}",
    "{{ messages[0].content | tojson }}{{ messages[0].content | string }}{{ 3 | string }}{{ ['a', 'b'] | join(', ') }}",
    "{{ 'x' if messages[0].role == 'system' and messages | length > 1 or not messages else 'y' }}{{ messages[0].role != 'user' }}{{ 1 < 2 <= 2 }}",
    "{% with a = 'w' %}{{ a }}{% endwith %}{% raw %}{{ raw }}{% endraw %}{% filter upper %}f{{ messages[0].role }}{% endfilter %}",
    "{% for i in range(1, 4) %}{{ i }}{% endfor %}{{ {'a': 1}['a'] }}{{ ('t', 'u')[1] }}",
    "{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0]['content'] -%}{%- else -%}{%- set system = 'usual' -%}{%- endif -%}{{ system }}",
    "{%+ if true %} kept{% endif +%}\n  {%+ if true %}x{% endif %}",
    "{% set a, b = 'one', 'two' %}{{ b }}{{ a }}",
    "{{ note }}{{ add_generation_prompt }}{{ depth.inner | default('') }}{% if flag is defined and flag %}F{% endif %}{% if flag is false %}f{% endif %}{{ flag is boolean }}",
    "{{ '' or 'b' }} {{ 'a' and 'b' }} {{ '' and 'b' }} {{ missing or 'c' }} {{ none or 'd' }} {{ 0 or 'e' }} {{ not '' }} {{ not missing }} {{ not 'x' }}",
    "{{ 'a' + 'b' }} {{ 'abc'[::-1] }} {{ 'a' < 'b' }} {{ 'abc'[-1] }} {{ 'a,b'.split(',')[-1] }} {{ 'a' 'b' }} {{ 'x' if false }}|",
    "{{ true == 1 }} {{ none == missing }} {{ missing == '' }} {{ 1 == 1.0 }} {{ 'a' == \"a\" }} {{ [1] == [1] }} {{ 1 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ none is none }} {{ none is defined }} {{ missing is none }}",
    "{% for c in 'ab' %}{{ c }}.{% endfor %}{% for m in missing %}x{% endfor %}{{ missing | length }}{% for k in {'a': 1} %}{{ k }}{% endfor %}{% for a, b in [('x', 1), ('y', 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{{ messages | map(attribute='content') | map('trim') | join('/') }}{{ messages | map(attribute='role') | map('upper') | join }}{{ messages | map(attribute='name', default='n') | join }}",
    "{% if messages[9] is defined %}9{% endif %}{% if messages[0].name is not defined %}n{% endif %}{{ messages[9] }}|{{ messages[0].name }}|{% if 'role' in messages[0] %}r{% endif %}{% if 'name' in messages[0] %}x{% endif %}",
    "{% for m in messages %}{{ loop.nextitem.role if not loop.last else 'end' }}{{ loop.cycle('-', '+') }}{{ loop.depth }}{{ loop.revindex0 }}{% endfor %}",
    "{% macro outer() %}<{{ caller() }}>{% endmacro %}{% call outer() %}inner{% endcall %}{% macro d(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ d(1) }}{{ d(1, c=3) }}",
    "a\n\t {%- if true %}\n\tb\n\t{% endif -%}\n c\n\t{# x #}\n\td {{- ' e ' -}} f",
    "{% if messages | length == 2 and messages[0].role == 'query' or false %}pair{% elif messages | length == 3 %}with{% else %}alone{% endif %}",
    "{{ (messages | list)[0].role }}{{ messages[messages | length - 1].role }}{{ messages[1:] | map(attribute='role') | join(',') }}{{ (messages | first).role }}{% set rest = messages[1:] %}{{ rest | length }}",
    "{% set x = namespace(items=[]) %}{% for m in messages %}{% set x.items = x.items + [m.role] %}{% endfor %}{{ x.items | join(' ') }}",
    "{{ messages[0].content.strip().split(' ')[0] }}{{ messages[0].content | trim | length }}{{ '  ' | trim == '' }}{{ 'xxaxx'.strip('x') }}{{ 'xxaxx' | trim('x') }}",
    "{{ 'yes' if 'hello' in messages[0].content | lower else 'no' }}{{ 'A' not in 'abc' }}{{ messages[0]['role'] in ['query', 'user'] }}{{ messages[0].role not in ['x'] }}",
    "{{ 10 % 4 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 2 - 5 }}{{ 3 * 'ab' }}{{ 1 + 2 * 3 }}{{ (1 + 2) * 3 }}{{ 5 | string ~ 'x' }}",
    "{{ messages[0].content | length }}{{ 'ÀÉß' | lower }}{{ 'àéß' | upper }}{{ '\u00a0 x\u001c' | trim }}",
]
# What the worker's engine refuses by name.
REFUSED = [
    "{{ messages | groupby('role') }}",
    "{{ messages[0].content.title() }}",
    "{{ messages | tojson }}",
    "{{ messages[0].content | indent(2) }}",
    "{% generation %}x{% endgeneration %}",
    "{{ strftime_now('%Y') }}",
    "{{ messages[0].content is upper }}",
    "{{ dict(a=1) }}",
    "{{ messages }}",
    "{{ [1, 'a', true, none] | string }}",
    "{{ 7 / 2 }}",
    "{{ messages | length is even }}",
    "{{ '%s' | format('x') }}",
    "{{ 1e16 ~ '' }}",
    "{{ 0.00001 ~ '' }}",
    "{{ (6 / 2) ~ '' }}",
    "{{ [1e-7, 2] | join(',') }}",
]
# What both refuse.
WRONG = [
    "{{ missing.content }}",
    "{% if %}",
    "{{ x",
    "{{ raise_exception('not this') }}",
    "{{ messages[0].content.nothing() }}",
    "{{ 'a' + 1 }}",
    "{{ messages | nofilter }}",
    "{% include 'file' %}",
    "{{ messages[0].content(1) }}",
]
CHATS = [
    [("query", " hello world "), ("document", "Déjà vu\n日本 <s>x</s>")],
    [("system", "Find it"), ("query", "hx"), ("document", "")],
    [("user", "one text")],
]
VARIABLES = [
    {},
    {"eos_token": "</s>", "bos_token": "<s>", "add_generation_prompt": True, "note": "a note", "depth": {"inner": 3}, "flag": False},
]


def message(role: str, text: str, parts: bool) -> dict:
    return {"role": role, "content": [{"type": "text", "text": text}] if parts else text}


def case(template: str, messages: list, variables: dict, parts: bool) -> dict:
    made = {"template": template, "messages": messages, "variables": variables, "structured": parts}
    try:
        shown = [message(role, text, parts) for role, text in messages]
        rendered, _ = render_jinja_template(conversations=[shown], chat_template=template, **variables)
        return made | {"rendered": rendered[0]}
    except Exception as error:  # noqa: BLE001 - whatever Jinja raises, it makes no text
        return made | {"error": type(error).__name__}


def main() -> None:
    whole = [*chat.PAIRS.values(), *chat.SINGLE.values(), *chat.BAD.values()]
    cases = [
        case(template, messages, variables, "content[0]" in template or ".type" in template)
        for template in [*whole, *PIECES, *WRONG]
        for messages in CHATS
        for variables in VARIABLES
    ]
    cases += [case(template, CHATS[0], {}, False) | {"refused": True} for template in REFUSED]
    OUT.write_text("[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in cases) + "\n]\n")
    print(f"{len(cases)} cases in {OUT}, {sum('error' in one for one in cases)} of which Jinja refuses")


if __name__ == "__main__":
    main()
