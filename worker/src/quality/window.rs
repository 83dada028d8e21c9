//! Counts of the last hour's texts, in memory of a fixed size: a slice for every five minutes, with bins for each feature.
//!
//! Counting takes no lock. A slice that begins anew is cleared by the thread that finds it old; what other threads would count
//! there in these microseconds is left out.

use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use belfry_crds::contract::quality::{CONFIDENCE, EMBEDDING, INPUT_LENGTH, WINDOW_SECONDS};

/// Time of a slice.
const SLICE: Duration = Duration::from_secs(300);

/// Slices of a window, and one more that is not full yet.
const SLICES: usize = (WINDOW_SECONDS / SLICE.as_secs()) as usize + 1;

/// Number of a slice that is being cleared.
const CLEARED_NOW: u64 = u64::MAX;

/// Bins of a length, each half a power of two wide: the last is of 46,341 tokens and more.
const LENGTHS: usize = 32;

/// Bins of a probability, by its logarithm of odds from -8 to 8, a quarter wide: near 0 and 1 is where models differ.
const PROBABILITIES: usize = 64;

/// Bins of a place along a direction, from -4 to 4, a sixteenth wide.
const PLACES: usize = 128;

/// Directions that vectors are measured along.
const DIRECTIONS: usize = 8;

/// What is counted of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text<'a> {
    /// Tokens that went through the model.
    pub(super) tokens: usize,
    /// Its vector, as the model computed it.
    pub(super) vector: Option<&'a [f32]>,
    /// Probability of its likeliest label.
    pub(super) confidence: Option<f32>,
}

/// The window of one model.
pub(super) struct Window {
    began: Instant,
    slices: [Slice; SLICES],
    /// Of each dimension, the sign that it has in each direction; none in a model without vectors.
    directions: Vec<[f32; DIRECTIONS]>,
    has_confidence: bool,
}

struct Slice {
    /// Number of the slice since the beginning, from 1 on; 0 if it was never used.
    number: AtomicU64,
    texts: AtomicU32,
    bins: Vec<AtomicU32>,
}

impl Window {
    /// An empty window for vectors of this length, if there are any, and for probabilities, if there are any.
    pub(super) fn new(dimensions: Option<usize>, has_confidence: bool, began: Instant) -> Self {
        let directions: Vec<_> = (0..dimensions.unwrap_or(0)).map(signs).collect();
        let embedding = if directions.is_empty() { 0 } else { DIRECTIONS * PLACES };
        let bins = LENGTHS + PROBABILITIES + embedding;
        let slice = |_| Slice {
            number: AtomicU64::new(0),
            texts: AtomicU32::new(0),
            bins: (0..bins).map(|_| AtomicU32::new(0)).collect(),
        };
        Self { began, slices: array::from_fn(slice), directions, has_confidence }
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / SLICE.as_secs() + 1
    }

    /// Counts a text. It takes less than a microsecond.
    pub(super) fn count(&self, text: Text<'_>, now: Instant) {
        let number = self.number(now);
        let Some(slice) = self.slices[number as usize % SLICES].at(number) else { return };
        let add = |bin: usize| slice.bins[bin].fetch_add(1, Ordering::Relaxed);
        add(length_bin(text.tokens));
        if let Some(probability) = text.confidence.filter(|_| self.has_confidence) {
            add(LENGTHS + probability_bin(probability));
        }
        if let Some(places) = text.vector.and_then(|vector| self.places(vector)) {
            for (direction, place) in places.into_iter().enumerate() {
                add(LENGTHS + PROBABILITIES + direction * PLACES + place_bin(place));
            }
        }
        slice.texts.fetch_add(1, Ordering::Relaxed);
    }

    /// The vector's place along each direction, in widths of a vector whose direction is random; `None` of one without a direction.
    fn places(&self, vector: &[f32]) -> Option<[f32; DIRECTIONS]> {
        let (mut sums, mut square) = ([0.0_f32; DIRECTIONS], 0.0_f32);
        for (value, signs) in vector.iter().zip(&self.directions) {
            square += value * value;
            for (sum, sign) in sums.iter_mut().zip(signs) {
                *sum += value * sign;
            }
        }
        let length = square.sqrt();
        (length.is_normal()).then(|| sums.map(|sum| sum / length))
    }

    /// Bytes that it holds, whatever is asked.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of_val(self.directions.as_slice())
            + self.slices.iter().map(|slice| size_of_val(slice.bins.as_slice())).sum::<usize>()
    }

    /// The texts of the last hour, and each feature's counts.
    pub(super) fn counts(&self, now: Instant) -> (u64, BTreeMap<String, Vec<Vec<u64>>>) {
        let newest = self.number(now);
        let is_young = |number: u64| number > 0 && number <= newest && number + SLICES as u64 > newest;
        let mut bins = vec![0; self.slices[0].bins.len()];
        let mut texts = 0;
        for slice in self.slices.iter().filter(|slice| is_young(slice.number.load(Ordering::Acquire))) {
            texts += u64::from(slice.texts.load(Ordering::Relaxed));
            for (sum, bin) in bins.iter_mut().zip(&slice.bins) {
                *sum += u64::from(bin.load(Ordering::Relaxed));
            }
        }
        let (lengths, rest) = bins.split_at(LENGTHS);
        let (probabilities, places) = rest.split_at(PROBABILITIES);
        let mut features = BTreeMap::from([(INPUT_LENGTH.to_owned(), vec![lengths.to_vec()])]);
        if self.has_confidence {
            features.insert(CONFIDENCE.to_owned(), vec![probabilities.to_vec()]);
        }
        if !places.is_empty() {
            features.insert(EMBEDDING.to_owned(), places.chunks(PLACES).map(<[u64]>::to_vec).collect());
        }
        (texts, features)
    }
}

impl Slice {
    /// The slice, cleared if it was of another time; `None` while another thread clears it.
    fn at(&self, number: u64) -> Option<&Self> {
        let found = self.number.load(Ordering::Acquire);
        if found == number {
            return Some(self);
        }
        // A thread that was held up for an hour would clear what is newer.
        let is_old = found < number;
        let mine =
            is_old && self.number.compare_exchange(found, CLEARED_NOW, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !mine {
            return None;
        }
        self.texts.store(0, Ordering::Relaxed);
        for bin in &self.bins {
            bin.store(0, Ordering::Relaxed);
        }
        self.number.store(number, Ordering::Release);
        Some(self)
    }
}

fn length_bin(tokens: usize) -> usize {
    (((tokens.max(1) as f32).log2() * 2.0) as usize).min(LENGTHS - 1)
}

fn probability_bin(probability: f32) -> usize {
    let odds = (probability / (1.0 - probability)).ln();
    bin(odds, 8.0, PROBABILITIES)
}

fn place_bin(place: f32) -> usize {
    bin(place, 4.0, PLACES)
}

/// The bin of a value between `-most` and `most`; what is outside is in the first or the last.
fn bin(value: f32, most: f32, bins: usize) -> usize {
    let place = (value + most) / (2.0 * most) * bins as f32;
    (place.clamp(0.0, (bins - 1) as f32)) as usize
}

/// The signs of a dimension in each direction: the same ones in every process, so that a baseline of one can be compared with by
/// another.
///
/// A change of what texts are about moves their vectors' mean by some δ. Along a random direction it shows as δ times a normal
/// number, in widths of the spread there: so of a few directions one sees a change in any of the hundreds of dimensions (Johnson and
/// Lindenstrauss). Signs do as well as normal numbers (Achlioptas,
/// Database-friendly random projections, 2003), and cost no multiplication by a table of numbers.
fn signs(dimension: usize) -> [f32; DIRECTIONS] {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let mut z = (dimension as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    array::from_fn(|direction| if z >> direction & 1 == 0 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    fn text(tokens: usize) -> Text<'static> {
        Text { tokens, ..Text::default() }
    }

    #[test]
    fn a_text_counts_for_an_hour_and_then_no_more() {
        let began = Instant::now();
        let window = Window::new(None, false, began);
        window.count(text(5), at(began, 10));
        window.count(text(5), at(began, 1000));
        for (seconds, texts) in [(1000, 2), (3899, 2), (3900, 1), (4799, 1), (4800, 0), (100_000, 0)] {
            assert_eq!(window.counts(at(began, seconds)).0, texts, "{seconds}");
        }
        // A slice is used again, and begins at 0.
        window.count(text(5), at(began, 13 * 300 + 20));
        let (texts, features) = window.counts(at(began, 13 * 300 + 20));
        assert_eq!((texts, features[INPUT_LENGTH][0].iter().sum::<u64>()), (2, 2));
    }

    #[test]
    fn a_value_is_in_the_bin_of_its_size_and_nothing_is_outside() {
        assert_eq!([0, 1, 2, 3, 4, 8, 512, 46_341, usize::MAX].map(length_bin), [0, 0, 2, 3, 4, 6, 18, 31, 31]);
        assert_eq!([0.0, 0.5, 1.0, f32::NAN].map(probability_bin), [0, 32, 63, 0]);
        assert_eq!([-9.0, -4.0, 0.0, 3.99, f32::INFINITY].map(place_bin), [0, 0, 64, 127, 127]);
    }

    #[test]
    fn a_vector_is_measured_by_its_direction_alone() {
        let began = Instant::now();
        let window = Window::new(Some(4), true, began);
        let places = |vector: &[f32]| window.places(vector);
        assert_eq!(places(&[1.0, 2.0, -1.0, 0.5]), places(&[4.0, 8.0, -4.0, 2.0]));
        assert_ne!(places(&[1.0, 2.0, -1.0, 0.5]), places(&[1.0, 2.0, 1.0, 0.5]));
        assert_eq!(places(&[0.0; 4]), None);
        window.count(Text { tokens: 3, vector: Some(&[0.0; 4]), confidence: Some(0.5) }, began);
        window.count(Text { tokens: 3, vector: Some(&[1.0; 4]), confidence: None }, began);
        let (texts, features) = window.counts(began);
        let sums = |name: &str| features[name].iter().map(|list| list.iter().sum()).collect::<Vec<u64>>();
        assert_eq!((texts, sums(EMBEDDING), sums(CONFIDENCE)), (2, vec![1; DIRECTIONS], vec![1]));
    }

    #[test]
    fn directions_are_the_same_in_every_process_and_none_is_like_another() {
        let signs: Vec<_> = (0..384).map(signs).collect();
        assert_eq!(signs[0].map(|sign| sign > 0.0), FIRST);
        for one in 0..DIRECTIONS {
            for two in 0..one {
                let cosine: f32 = signs.iter().map(|signs| signs[one] * signs[two]).sum::<f32>() / 384.0;
                assert!(cosine.abs() < 0.2, "{one} and {two}: {cosine}");
            }
        }
    }

    /// A baseline that was saved by an earlier version is measured along these.
    const FIRST: [bool; DIRECTIONS] = [false, false, false, false, true, false, true, false];

    #[test]
    fn counting_a_text_costs_microseconds() {
        let (began, vector) = (Instant::now(), vec![0.5; 1024]);
        let window = Window::new(Some(1024), true, began);
        let text = Text { tokens: 100, vector: Some(&vector), confidence: Some(0.9) };
        let cost = (0..5).map(|_| {
            let from = Instant::now();
            (0..1000).for_each(|_| window.count(std::hint::black_box(text), began));
            from.elapsed() / 1000
        });
        let cost = cost.min().unwrap();
        println!("a text with a vector of 1024 numbers: {cost:?}; the window: {} kB", window.bytes() / 1000);
        // Without optimization it takes some thirty times as long.
        assert!(cost < Duration::from_micros(if cfg!(debug_assertions) { 500 } else { 20 }), "{cost:?}");
        assert!(window.bytes() < 128 << 10);
    }

    #[test]
    fn threads_that_count_at_once_lose_nothing_within_a_slice() {
        let began = Instant::now();
        let window = Window::new(Some(8), false, began);
        window.count(text(1), began);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..1000).for_each(|_| window.count(Text { vector: Some(&[1.0; 8]), ..text(2) }, began));
                });
            }
        });
        assert_eq!(window.counts(began).0, 4001);
    }
}
