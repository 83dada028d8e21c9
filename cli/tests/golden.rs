//! Invariant 1: `belfry render` prints, byte for byte, the golden files of the operator.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The sample as the golden files have it: in a cluster, which gives it a UID.
fn stored() -> String {
    let in_a_cluster = "metadata:\n  namespace: search\n  uid: 11111111-2222-3333-4444-555555555555\n";
    read("config/samples/minimal.yaml").replacen("metadata:\n", in_a_cluster, 1)
}

fn rendered(model: &str) -> String {
    let mut belfry = Command::new(env!("CARGO_BIN_EXE_belfry"))
        .args(["render", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    belfry.stdin.take().unwrap().write_all(model.as_bytes()).unwrap();
    let output = belfry.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A golden file without its first line, which says where it is from. Its JSON is spread over lines for readers, and is applied
/// without blanks.
fn applied(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once('\n').unwrap();
    if !text.contains("\ndata:\n") {
        return text.to_owned();
    }
    // It keeps the order of fields.
    let mut object: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    for (_, file) in object["data"].as_mapping_mut().unwrap() {
        let json: Value = serde_json::from_str(file.as_str().unwrap()).unwrap();
        *file = json.to_string().into();
    }
    serde_yaml::to_string(&object).unwrap()
}

#[test]
fn render_prints_the_golden_files_byte_for_byte() {
    let output = rendered(&stored());
    let mut printed: Vec<_> = output.strip_prefix("---\n").unwrap().split("\n---\n").map(str::trim_end).collect();
    let files = std::fs::read_dir(root().join("render/tests/golden/minimal")).unwrap();
    let golden: Vec<_> = files.map(|entry| applied(&entry.unwrap().path())).collect();
    let mut golden: Vec<_> = golden.iter().map(|text| text.trim_end()).collect();
    printed.sort_unstable();
    golden.sort_unstable();
    assert!(printed.len() >= 8);
    assert_eq!(printed, golden);
}
