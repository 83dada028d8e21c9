//! Rerankers that answer with a word, and other models whose texts become messages of a chat: what a folder says is honoured, or
//! refused by its name. `tests/parity.rs` compares their numbers with sentence-transformers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::collections::BTreeMap;
use std::fs;

use belfry_crds::contract::load_failure::LoadFailure;
use belfry_worker::device::{Device, own_this_thread};
use belfry_worker::engine::Output;
use belfry_worker::load::{Loaded, load, manifest};
use belfry_worker::metrics::Metrics;
use belfry_worker::state::{Model, Prompt};
use belfry_worker::tokenize::Refused;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const SENTENCE: &str = "sentence_bert_config.json";
const TOKENIZER: &str = "tokenizer_config.json";
const SCORE: &str = "1_LogitScore/config.json";

/// The folder that is built as Qwen3-Reranker is.
#[derive(Deserialize)]
struct Folder {
    files: BTreeMap<String, Value>,
    tensors: BTreeMap<String, BTreeMap<String, cases::Tensor>>,
}

impl Folder {
    fn reranker() -> Self {
        serde_json::from_slice(&fs::read("tests/shapes/qwen3-reranker.json").unwrap()).unwrap()
    }

    /// The same with another file.
    fn with(mut self, name: &str, content: Value) -> Self {
        self.files.insert(name.to_owned(), content);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.files.remove(name).unwrap_or_else(|| panic!("{name}"));
        self
    }

    /// The same with another value at a place in a file.
    fn set(mut self, name: &str, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let file = self.files.get_mut(name).unwrap();
        file.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        self
    }

    fn open(&self, flags: &str) -> Result<Loaded, LoadFailure> {
        let _no_grad = own_this_thread(1);
        let dir = TempDir::new().unwrap();
        cases::write(dir.path(), &self.files, &self.tensors);
        let args = support::args(&format!("--dtype float32 {flags} --model {}", dir.path().display()));
        load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())
    }

    fn model(&self) -> Model {
        self.open("").unwrap_or_else(|failure| panic!("{}", failure.message)).model
    }
}

/// The tokens of a pair as text.
fn shown(model: &Model, prompt: &Prompt, pair: (&str, &str)) -> String {
    let encoded = model.encode_pair(prompt, pair, true).unwrap();
    model.tokenizer.decode(encoded.ids(), false).unwrap()
}

#[test]
fn a_pair_is_said_as_the_model_card_says_it_and_the_prompt_is_the_instruction() {
    let model = Folder::reranker().model();
    assert!(model.outputs.has(Output::Score));
    let said = |instruct: &str| {
        format!(
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that \
             the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: {instruct}\n<Query>: who\n<Document>: me<|im_end|>\n\
             <|im_start|>assistant\n<think>\n\n</think>\n\n"
        )
    };
    let usual = "Given a web search query, retrieve relevant passages that answer the query";
    assert_eq!(shown(&model, &Prompt::default(), ("who", "me")), said(usual));
    assert_eq!(shown(&model, &model.prompt("Find people".to_owned()), ("who", "me")), said("Find people"));
}

#[test]
fn the_end_of_the_template_stays_where_a_long_text_is_cut() {
    let long = "a long document that goes on ".repeat(200);
    let end = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
    let model = Folder::reranker().model();
    let cut = shown(&model, &Prompt::default(), ("who", &long));
    assert!(cut.ends_with(end) && cut.contains("that goes on") && cut.len() < long.len(), "{cut}");
    let refused = model.encode_pair(&Prompt::default(), ("who", &long), false).unwrap_err();
    assert!(matches!(refused, Refused::TooManyTokens { limit: 300, .. }), "{refused}");
    let restores = json!({ "chat_template": { "restore_suffix": false } });
    let model = Folder::reranker().set(SENTENCE, "/processing_kwargs", restores).model();
    assert!(!shown(&model, &Prompt::default(), ("who", &long)).ends_with(end));
}

#[test]
fn a_text_alone_is_refused_where_the_template_has_no_place_for_it() {
    let model = Folder::reranker().model();
    let refused = model.encode(&Prompt::default(), "alone", true).unwrap_err();
    assert_eq!(refused, Refused::NoSingle);
    assert!(refused.to_string().contains("send a pair"));
    assert!(model.encode_any("a").unwrap().ids().len() > 20, "the worker asks itself with a pair");
}

#[test]
fn settings_of_the_call_are_variables_of_the_template() {
    let template =
        "{{ note }}:{{ messages[0].content }}:{{ messages[1].content }}:{{ eos_token }}{{ add_generation_prompt }}";
    let folder = Folder::reranker().with("chat_template.jinja", json!(template)).set(
        SENTENCE,
        "/processing_kwargs",
        json!({ "chat_template": { "note": "yes", "add_generation_prompt": true } }),
    );
    assert_eq!(shown(&folder.model(), &Prompt::default(), ("q", "d")), "yes:q:d:</s>True");
}

#[test]
fn the_template_and_the_words_are_part_of_the_digest() {
    let digest = |folder: &Folder| {
        let dir = TempDir::new().unwrap();
        cases::write(dir.path(), &folder.files, &folder.tensors);
        manifest(dir.path()).unwrap().digest()
    };
    let usual = Folder::reranker();
    assert_eq!(usual.model().about.digest, digest(&usual));
    let template = "{{ messages[0].content }} {{ messages[1].content }}";
    let other = Folder::reranker().with("chat_template.jinja", json!(template));
    assert_eq!(other.model().about.digest, digest(&other));
    assert_ne!(digest(&other), digest(&usual));
    assert_ne!(digest(&Folder::reranker().set(SCORE, "/true_token_id", json!(5))), digest(&usual));
}

#[test]
fn without_modules_a_network_that_continues_texts_ranks_by_yes_and_no_if_that_is_asked_for() {
    let alone =
        || Folder::reranker().without("modules.json").without(SENTENCE).without("config_sentence_transformers.json");
    assert!(alone().open("--task rerank").unwrap().model.outputs.has(Output::Score));
    // The template has no place for a text alone, as an embedding model would have it.
    let failure = alone().open("").err().unwrap();
    assert!(failure.message.contains("it writes no text of the role user"), "{}", failure.message);
}

#[test]
fn what_the_worker_can_not_do_as_the_library_is_refused_by_name() {
    let template = |text: &str| Folder::reranker().set(TOKENIZER, "/chat_template", json!(text));
    let call = |name: &str, value: Value| {
        Folder::reranker().set(SENTENCE, "/processing_kwargs", json!({ "chat_template": { name: value } }))
    };
    let message = |entry: Value| Folder::reranker().set(SENTENCE, "/modality_config/message", entry);
    let words = Folder::reranker().set(SCORE, "/true_token_id", json!(1_000_000));
    let chat_of = |format: &str| json!({ "method": "forward", "method_output_name": "logits", "format": format });
    let cases = [
        (words, "not below the vocabulary"),
        (Folder::reranker().set(SCORE, "/false_token_id", json!(-1)), "false_token_id"),
        (Folder::reranker().set(SCORE, "/module_input_name", json!("logits")), "module_input_name"),
        (Folder::reranker().set(SCORE, "/temperature", json!(2)), "temperature"),
        (Folder::reranker().set("modules.json", "/1/type", json!("x.Pooling")), "LogitScore alone after a Transformer"),
        (
            Folder::reranker().set("config_sentence_transformers.json", "/model_type", json!("SentenceTransformer")),
            "text-generation",
        ),
        (Folder::reranker().set("config_sentence_transformers.json", "/activation_fn", json!("torch.nn.Tanh")), "Tanh"),
        (
            Folder::reranker().set("config_sentence_transformers.json", "/keep_in_fp32_modules", json!(["0"])),
            "keep_in_fp32_modules",
        ),
        (template("{{ messages[0].content }}"), "no text of the role document"),
        (
            template("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"),
            "query and of the role document",
        ),
        (template("{{ strftime_now('%d') }}"), "strftime_now"),
        (template("{{ x"), "syntax error"),
        (Folder::reranker().set(TOKENIZER, "/chat_template", Value::Null), "chat_template.jinja"),
        (
            Folder::reranker().set(TOKENIZER, "/chat_template", json!([{ "name": "rag", "template": "x" }])),
            "name default",
        ),
        (Folder::reranker().set(TOKENIZER, "/chat_template", json!(5)), "neither a text nor a list"),
        (Folder::reranker().with("additional_chat_templates/rag.jinja", json!("x")), "additional_chat_templates"),
        (call("max_length", json!(5)), "processing_kwargs.chat_template.max_length"),
        (call("tools", json!([])), "processing_kwargs.chat_template.tools"),
        (call("restore_suffix", json!("no")), "restore_suffix"),
        (message(chat_of("other")), "format other"),
        (message(json!({ "method": "generate", "method_output_name": "logits" })), "modality_config"),
    ];
    for (folder, says) in cases {
        let failure = folder.open("").err().unwrap_or_else(|| panic!("{says}: it loaded"));
        assert!(failure.message.contains(says), "{says}: {}", failure.message);
        assert!(!failure.message.contains('\n') && failure.message.len() < 700, "{}", failure.message);
    }
}

#[test]
fn a_network_that_does_not_continue_texts_has_no_answer() {
    let bert: Folder = serde_json::from_slice(&fs::read("tests/shapes/splade.json").unwrap()).unwrap();
    let own = Folder::reranker();
    let module = own.files["modules.json"][1].clone();
    let bert = bert
        .set("config_sentence_transformers.json", "/model_type", json!("CrossEncoder"))
        .with("modules.json", json!([own.files["modules.json"][0], module]))
        .with(SCORE, json!({ "true_token_id": 1 }))
        .with(SENTENCE, json!({ "transformer_task": "text-generation" }));
    let failure = bert.open("").err().unwrap();
    assert!(failure.message.contains("a network that continues texts"), "{}", failure.message);
}
