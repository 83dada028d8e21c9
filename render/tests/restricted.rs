//! Whatever the specification says: the pod passes the Pod Security level `restricted`, and no text of a user gets out of
//! its quotes.
//!
//! Specifications are drawn from the CRD's own schema, also such as its CEL rules would refuse, so that nothing rests on a
//! rule that a later version may loosen. A failure prints its seed; `BELFRY_SEED` runs that one again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;

#[path = "restricted/generate.rs"]
mod generate;
#[path = "restricted/hostile.rs"]
mod hostile;
#[path = "restricted/profile.rs"]
mod profile;
#[path = "support/tool.rs"]
mod tool;

use belfry_render::children::deployment::deployment;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use generate::Generator;

/// Models that a property is tried on.
const CASES: usize = 10_000;

/// The seeds of a run: the given one, or that many.
fn seeds(count: usize) -> Box<dyn Iterator<Item = u64>> {
    match std::env::var("BELFRY_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => Box::new(std::iter::once(seed)),
        None => Box::new(0..count as u64),
    }
}

#[test]
fn every_specification_of_the_schema_renders_a_restricted_pod() {
    // On all cores: it is the longest test of the crate.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |first: usize| {
        let share = seeds(CASES * 20).skip(first).step_by(threads);
        restricted(&Generator::new(), share, CASES.div_ceil(threads))
    };
    let rendered: usize = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(rendered >= CASES || std::env::var("BELFRY_SEED").is_ok(), "only {rendered} specifications were accepted");
}

/// Renders models of these seeds, as many as asked for, and returns their number. Some specifications contradict themselves
/// and are refused; they are drawn again.
fn restricted(generator: &Generator, seeds: impl Iterator<Item = u64>, wanted: usize) -> usize {
    let mut rendered = 0;
    for seed in seeds {
        let model = generator.model(seed);
        let Ok(valid) = validate(&model, &Settings::default()) else { continue };
        let template = deployment(&valid).spec.expect("a specification").template;
        let violations = profile::violations(&serde_json::to_value(&template).unwrap());
        assert!(
            violations.is_empty(),
            "seed {seed}: {violations:?}\n{}",
            serde_json::to_string_pretty(&template).unwrap()
        );
        rendered += 1;
        if rendered == wanted {
            break;
        }
    }
    rendered
}

/// A property that holds only because no value is ever drawn proves nothing.
#[test]
fn every_field_of_the_schema_is_drawn() {
    let generator = Generator::new();
    let mut missing = generator.fields();
    for seed in 0..2000 {
        generate::remove_seen("spec", &generator.spec(seed), &mut missing);
    }
    assert!(missing.is_empty(), "never drawn: {missing:?}");
}

#[test]
fn the_profile_finds_what_it_forbids() {
    let model = support::valid(&support::sample("full"));
    let template = deployment(&model).spec.expect("a specification").template;
    let good = serde_json::to_value(&template).unwrap();
    assert_eq!(profile::violations(&good), Vec::<String>::new());
    for (pointer, value) in profile::SINS {
        let mut bad = good.clone();
        profile::put(&mut bad, pointer, serde_json::from_str(value).unwrap());
        assert!(!profile::violations(&bad).is_empty(), "{pointer} = {value} was not found");
    }
}
