//! Modules beside each other that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::Crate;

/// One line for each parent with a circle: its modules in circles, and those between two circles.
pub(crate) fn circles(found: &Crate) -> Vec<String> {
    let mut levels = BTreeMap::<_, BTreeSet<_>>::new();
    for (parent, from, to) in found.arrows() {
        levels.entry(parent).or_default().insert((from, to));
    }
    let tied = levels.into_iter().map(|(parent, arrows)| (parent, knot(arrows)));
    tied.filter(|(_, knot)| !knot.is_empty())
        .map(|(parent, knot)| format!("in {}: {}", parent.join("::"), knot.join(", ")))
        .collect()
}

/// What is left when modules that use no other, or that no other uses, are taken away again and again.
fn knot(mut arrows: BTreeSet<(String, String)>) -> Vec<String> {
    loop {
        let users: BTreeSet<_> = arrows.iter().map(|(from, _)| from.clone()).collect();
        let used: BTreeSet<_> = arrows.iter().map(|(_, to)| to.clone()).collect();
        let before = arrows.len();
        arrows.retain(|(from, to)| used.contains(from) && users.contains(to));
        if arrows.len() == before {
            return users.into_iter().collect();
        }
    }
}
