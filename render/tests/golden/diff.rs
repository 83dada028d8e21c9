//! The difference between the objects of two models, as a unified diff whose hunks name a place in place of a line: one more
//! line in `golden/minimal` moves no other hunk.

use similar::{ChangeTag, DiffOp, TextDiff};

use crate::files::File;

/// Unchanged lines around a change.
const CONTEXT: usize = 1;

/// The difference between a sample's objects and those of the whole sample.
pub(crate) fn of(sample: &str, [whole, objects]: &[Vec<File>; 2]) -> String {
    let mut output = format!(
        "# What config/samples/{sample}.yaml changes in golden/minimal, under the same name. Update it with `make golden`.\n\
         # Left out: objects that are the same. Of a dashboard it shows panels and queries; hashes stand for the rest.\n"
    );
    for old in whole {
        match objects.iter().find(|new| new.name == old.name) {
            None => output += &format!("--- minimal/{}.yaml\n+++ nothing\n", old.name),
            Some(new) if new.hash == old.hash => {}
            Some(new) => {
                output += &format!("--- minimal/{}.yaml\n+++ {sample}, hash {}\n", old.name, new.hash);
                output += &hunks(&old.comparable, &new.comparable);
            }
        }
    }
    for new in objects.iter().filter(|new| whole.iter().all(|old| old.name != new.name)) {
        output += &format!("--- nothing\n+++ {sample}, {}, hash {}\n", new.name, new.hash);
        output.extend(new.comparable.lines().map(|line| format!("+{line}\n")));
    }
    output
}

fn hunks(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let lines: Vec<_> = old.lines().collect();
    let mut output = String::new();
    for group in diff.grouped_ops(CONTEXT) {
        let first = group.iter().find(|op| !matches!(op, DiffOp::Equal { .. })).unwrap();
        let changed = diff.iter_changes(first).next().unwrap();
        output += &format!("@@ {}\n", place(&lines[..first.old_range().start], changed.value()));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            output += &format!("{sign}{}\n", change.value().trim_end_matches('\n'));
        }
    }
    output
}

/// The keys around a line: the lines above it with less indentation.
fn place(above: &[&str], line: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let mut depth = indentation(line);
    let mut path = vec![];
    for line in above.iter().rev().filter(|line| indentation(line) < line.len()) {
        if indentation(line) < depth {
            depth = indentation(line);
            path.push(line.trim_start_matches([' ', '-']).split(": ").next().unwrap().trim_end_matches(':'));
        }
    }
    path.reverse();
    path.join(".")
}

#[test]
fn a_hunk_names_the_keys_around_it() {
    let old = "a:\n  b:\n  - c: 1\n    d: 2\n  e: 3\n";
    assert_eq!(hunks(old, &old.replace("d: 2", "d: 4")), "@@ a.b\n   - c: 1\n-    d: 2\n+    d: 4\n   e: 3\n");
    assert_eq!(hunks(old, &format!("{old}  f: 5\n")), "@@ a\n   e: 3\n+  f: 5\n");
    assert_eq!(hunks(old, old), "");
}
