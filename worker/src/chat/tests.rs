use serde_json::{Map, Value, json};

use super::*;

/// A template of the kind that Qwen3's rerankers have.
const RERANKER: &str = "{%- set task = messages | selectattr('role', 'eq', 'system') | map(attribute='content') | first | default('judge') -%}\n\
    <s>{{ task }}\nQ: {{ messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first }}\n\
    D: {{ messages | selectattr('role', 'eq', 'document') | map(attribute='content') | first }}\n<a>\n\n\n";

fn chat(template: &str) -> Result<Chat, String> {
    Chat::new(template, Form::Flat, &Map::new(), true)
}

fn rendered(template: &str) -> Result<String, String> {
    chat(template)?.render(&messages("", "one", Some("two")))
}

#[test]
fn a_pair_and_its_prompt_stand_where_the_template_says() {
    let own = chat(RERANKER).unwrap();
    own.check_pairs().unwrap();
    assert_eq!(own.render(&messages("", "a", Some("b"))).unwrap(), "<s>judge\nQ: a\nD: b\n<a>\n\n");
    assert_eq!(own.render(&messages("rank", "a", Some("b"))).unwrap(), "<s>rank\nQ: a\nD: b\n<a>\n\n");
    assert!(!own.takes_single(), "it has no place for a user");
}

#[test]
fn a_template_that_leaves_a_text_of_a_pair_out_is_refused() {
    let error = |template: &str| chat(template).unwrap().check_pairs().unwrap_err();
    let first = error("{{ messages[0].content }}");
    assert!(first.starts_with("it writes no text of the role document; set one"), "{first}");
    let usual = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}";
    assert!(error(usual).starts_with("it writes no text of the role query and of the role document; "));
    assert!(chat(usual).unwrap().takes_single());
    assert!(error("{{ raise_exception('no ' + messages[0].role) }}").contains("the template says: no query"));
}

#[test]
fn content_is_a_text_or_a_list_of_parts() {
    let parts = "{{ messages[1].content[0].type }}={{ messages[1].content[0].text }}";
    let own = Chat::new(parts, Form::of(parts), &Map::new(), true).unwrap();
    assert_eq!(own.render(&messages("", "a", Some("b"))).unwrap(), "text=b");
    assert_eq!(Form::of("{{ messages[0].content }}"), Form::Flat);
    assert_eq!(Form::of(""), Form::Structured);
}

#[test]
fn settings_of_the_folder_are_variables_and_others_are_none_or_missing() {
    let Value::Object(variables) = json!({ "eos_token": "</s>", "add_generation_prompt": true, "task": "x" }) else {
        panic!("an object")
    };
    let template = "{{ eos_token }}{{ add_generation_prompt }}{{ task }}{{ tools }}{{ documents is none }}{{ more }}";
    let own = Chat::new(template, Form::Flat, &variables, true).unwrap();
    assert_eq!(own.render(&messages("", "a", None)).unwrap(), "</s>TruexNoneTrue");
    assert_eq!(rendered("{{ add_generation_prompt }}").unwrap(), "False");
}

#[test]
fn what_the_engine_lacks_is_refused_by_its_name() {
    for (template, name) in [
        ("{{ messages | groupby('role') }}", "groupby"),
        ("{{ strftime_now('%Y') }}", "strftime_now"),
        ("{% generation %}x{% endgeneration %}", "generation"),
        ("{% include 'x' %}", "include"),
        ("{{ messages[0].content.title() }}", "title"),
        ("{{ messages | tojson }}", "tojson"),
        ("{{ messages[0].content is sameas 1 }}", "sameas"),
        ("{{ 1e16 ~ '' }}", "fractions"),
        ("{{ [1e-5] | join }}", "fractions"),
    ] {
        let error = rendered(template).expect_err(template);
        assert!(error.contains(name), "{template}: {error}");
    }
    assert!(rendered("{{ x").unwrap_err().contains("line 1"));
}

#[test]
fn size_steps_and_memory_of_a_template_are_bounded() {
    assert!(chat(&"x".repeat(TEMPLATE_LIMIT + 1)).unwrap_err().contains("at most 262144"));
    for endless in [
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(s='ab') %}{% for a in range(64) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{{ 'x' * 1000000000000 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        assert!(rendered(endless).is_err(), "{endless}");
    }
}

#[test]
fn blanks_are_those_of_python() {
    let own = chat("{{ messages[0].content.strip() }}|{{ messages[0].content | trim }}|{{ messages[0].content.split() | join('+') }}").unwrap();
    assert_eq!(own.render(&messages("", "\u{1c} a\u{a0}b\u{1f}", None)).unwrap(), "a\u{a0}b|a\u{a0}b|a+b");
}
