//! How far a distribution is from another: the population stability index.

use belfry_crds::contract::quality::FEWEST_TEXTS;

/// Groups of about equal size that a baseline is divided into.
const GROUPS: u64 = 10;

/// What is added to the count of every group, so that an empty one has a logarithm (Jeffreys' prior).
const SMOOTHING: f64 = 0.5;

/// The population stability index of a window against a baseline, less what chance alone would give; 0 at least. `None` if either
/// has fewer than [`FEWEST_TEXTS`] texts, or if they have other bins.
///
/// `PSI = Σ (q - p) ln(q / p)` over groups, with `p` the share of the baseline in a group and `q` that of the window. It is the
/// symmetrised divergence of Kullback and Leibler; for two normal distributions of equal width, `d` widths apart, about `d²`. Below
/// 0.1 counts as no change and above 0.2 as one to act on (Siddiqi, Credit Risk Scorecards, 2006; Yurdakul and Naranjo, Statistical
/// properties of the population stability index, Journal of Risk Model Validation 14(4), 2020).
///
/// - Groups are runs of bins with about a tenth of the baseline each. A bin that has a tenth by itself is a group by itself, so
///   that a baseline of equal values leaves groups beside it in which other values show.
/// - Each group gets half a text more on both sides, so that an empty one has a logarithm.
/// - Without any change the index of `B` groups is on average `(B - 1)(1/n + 1/m)`, for `n` and `m` texts (the same paper). That
///   is subtracted.
pub(super) fn psi(baseline: &[u64], window: &[u64]) -> Option<f64> {
    let (m, n) = (baseline.iter().sum::<u64>(), window.iter().sum::<u64>());
    if baseline.len() != window.len() || m < FEWEST_TEXTS || n < FEWEST_TEXTS {
        return None;
    }
    let groups: Vec<(u64, u64)> =
        grouped(baseline, window, m).into_iter().filter(|(before, now)| before + now > 0).collect();
    let count = groups.len() as f64;
    let share = |part: u64, all: u64| (part as f64 + SMOOTHING) / (all as f64 + SMOOTHING * count);
    let term = |(before, now): &(u64, u64)| {
        let (p, q) = (share(*before, m), share(*now, n));
        (q - p) * (q / p).ln()
    };
    let chance = (count - 1.0) * (1.0 / n as f64 + 1.0 / m as f64);
    Some((groups.iter().map(term).sum::<f64>() - chance).max(0.0))
}

/// The counts of both in each group.
fn grouped(baseline: &[u64], window: &[u64], all: u64) -> Vec<(u64, u64)> {
    let target = all.div_ceil(GROUPS);
    let mut groups = Vec::new();
    let (mut before, mut now) = (0, 0);
    for (one, two) in baseline.iter().zip(window) {
        if *one >= target {
            groups.extend([(before, now), (*one, *two)]);
            (before, now) = (0, 0);
            continue;
        }
        (before, now) = (before + one, now + two);
        if before >= target {
            groups.push((before, now));
            (before, now) = (0, 0);
        }
    }
    groups.push((before, now));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A normal distribution of `texts` in 128 bins of a sixteenth of its width, moved by `by` widths.
    fn normal(texts: f64, by: f64) -> Vec<u64> {
        let density = |bin: usize| {
            let z = (bin as f64 + 0.5) / 16.0 - 4.0 - by;
            (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() / 16.0
        };
        (0..128).map(|bin| (texts * density(bin)).round() as u64).collect()
    }

    /// Draws from a distribution, the same ones each time.
    fn drawn(from: &[u64], texts: usize, seed: u64) -> Vec<u64> {
        let all: u64 = from.iter().sum();
        let mut state = seed;
        let mut bins = vec![0; from.len()];
        for _ in 0..texts {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut left = (state >> 33) % all;
            let bin = from.iter().position(|count| {
                let here = left < *count;
                left = left.saturating_sub(*count);
                here
            });
            bins[bin.unwrap()] += 1;
        }
        bins
    }

    #[test]
    fn a_shift_gives_about_its_square() {
        let baseline = normal(1e6, 0.0);
        assert!(psi(&baseline, &baseline).unwrap() < 1e-9);
        for by in [0.25_f64, 0.5] {
            let found = psi(&baseline, &normal(1e6, by)).unwrap();
            assert!((0.85..1.05).contains(&(found / by.powi(2))), "{by}: {found}");
        }
        assert!(psi(&baseline, &normal(1e6, 2.0)).unwrap() > 2.0);
    }

    #[test]
    fn chance_alone_stays_far_below_an_alert_even_with_the_fewest_texts() {
        let whole = normal(1e6, 0.0);
        let found: Vec<f64> = (0..200)
            .map(|seed| psi(&drawn(&whole, 500, seed * 2 + 1), &drawn(&whole, 500, seed * 2 + 2)).unwrap())
            .collect();
        let (mean, most) = (found.iter().sum::<f64>() / 200.0, found.iter().copied().fold(0.0, f64::max));
        assert!(mean < 0.02 && most < 0.1, "mean {mean}, most {most}");
        // And half a width is found with as few.
        let moved: Vec<f64> = (0..50)
            .map(|seed| psi(&drawn(&whole, 500, seed + 1), &drawn(&normal(1e6, 0.6), 500, seed + 900)).unwrap())
            .collect();
        assert!(moved.iter().all(|found| *found > 0.2), "{moved:?}");
    }

    #[test]
    fn values_that_the_baseline_never_had_show() {
        let mut baseline = vec![0; 32];
        baseline[5] = 1000;
        assert!(psi(&baseline, &baseline).unwrap() < 1e-9);
        for bin in [0, 4, 6, 31] {
            let mut window = vec![0; 32];
            (window[5], window[bin]) = (800, 200);
            assert!(psi(&baseline, &window).unwrap() > 0.2, "{bin}");
        }
        // One stray text is no drift.
        let mut window = baseline.clone();
        window[31] = 1;
        assert!(psi(&baseline, &window).unwrap() < 0.01);
    }

    #[test]
    fn too_few_texts_or_other_bins_have_no_index() {
        let enough = vec![FEWEST_TEXTS, 0];
        assert!(psi(&enough, &enough).is_some());
        for (one, two) in [(&enough, &vec![FEWEST_TEXTS - 1, 0]), (&vec![0, 1], &enough), (&enough, &vec![0, 0, 900])] {
            assert_eq!(psi(one, two), None);
        }
    }
}
