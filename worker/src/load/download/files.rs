//! Which files of a repository belong to a model: everything that the loader may read, and nothing else.

use crate::model::m3::FILES;

/// Files other than the weights, in the model's own folder or in a module's.
const SETTINGS: &[&str] = &[
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "adapter_config.json",
    "chat_template.jinja",
    "artifact.metadata",
];

/// The folder and the name of a file, if the folder is the model's own or a module's: `1_Pooling` and the like.
fn placed(path: &str) -> Option<(&str, &str)> {
    let Some((folder, name)) = path.split_once('/') else { return Some(("", path)) };
    let (number, module) = folder.split_once('_')?;
    let is_module = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !module.is_empty();
    (is_module && !name.contains('/')).then_some((folder, name))
}

/// Whether a file says how the model works.
pub(super) fn is_setting(path: &str) -> bool {
    placed(path).is_some_and(|(_, name)| {
        // sentence_bert_config.json and its sister names.
        SETTINGS.contains(&name) || (name.starts_with("sentence_") && name.ends_with("_config.json"))
    })
}

/// Whether a file is a head beside a network.
pub(super) fn is_head(path: &str) -> bool {
    placed(path).is_some_and(|(_, name)| FILES.contains(&name))
}

/// The weights of each folder: one file, or the shards with their index.
pub(super) fn weights(paths: &[String]) -> Vec<String> {
    let whole = |folder: &str| {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        paths.iter().any(|path| *path == format!("{prefix}model.safetensors"))
    };
    let belongs = |path: &&String| {
        placed(path).is_some_and(|(folder, name)| {
            name == "model.safetensors"
                || (!whole(folder) && name.starts_with("model") && name.contains(".safetensors"))
        })
    };
    paths.iter().filter(belongs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn settings_are_those_of_the_model_and_of_its_modules() {
        let settings = [
            "config.json",
            "1_Pooling/config.json",
            "config_sentence_transformers.json",
            "sentence_xlm-roberta_config.json",
            "0_Transformer/tokenizer_config.json",
            "vocab.txt",
        ];
        let others = [
            "README.md",
            "onnx/config.json",
            "1_Pooling/x/config.json",
            "train_script.py",
            "_x/config.json",
            "1_/config.json",
        ];
        assert!(settings.iter().all(|name| is_setting(name)));
        assert!(!others.iter().any(|name| is_setting(name)));
    }

    #[test]
    fn heads_are_those_that_are_loaded_and_no_pickles() {
        assert!(is_head("sparse_linear.safetensors") && is_head("0_Transformer/colbert_linear.safetensors"));
        assert!(!is_head("sparse_linear.pt") && !is_head("onnx/sparse_linear.safetensors"));
        assert_eq!(weights(&names(&["sparse_linear.safetensors"])), [""; 0], "a head alone is no model");
    }

    #[test]
    fn weights_are_one_file_or_its_shards_in_each_folder() {
        let whole = names(&[
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "2_Dense/model.safetensors",
            "onnx/model.safetensors",
        ]);
        assert_eq!(weights(&whole), ["model.safetensors", "2_Dense/model.safetensors"]);
        let shards = names(&["model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"]);
        assert_eq!(weights(&shards), ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]);
    }
}
