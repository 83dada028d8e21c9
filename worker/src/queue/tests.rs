use super::*;

#[derive(Clone, Debug)]
struct Text {
    name: String,
    tokens: usize,
    deadline: Instant,
    cancelled: bool,
}

impl Work for Text {
    fn tokens(&self) -> usize {
        self.tokens
    }
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn is_cancelled(&self) -> bool {
        self.cancelled
    }
}

const MANY: BatchLimits = BatchLimits { tokens: 1000, texts: 100 };

struct Bench {
    queue: Queue<Text>,
    now: Instant,
}

impl Bench {
    fn new(capacity: usize) -> Self {
        Self { queue: Queue::new(capacity), now: Instant::now() }
    }

    fn text(&self, name: &str, tokens: usize) -> Text {
        Text { name: name.into(), tokens, deadline: self.now + Duration::from_secs(30), cancelled: false }
    }

    /// Adds a request whose texts are called a0, a1, … and have these lengths.
    fn request(&mut self, name: &str, lengths: &[usize]) {
        let texts = lengths.iter().enumerate().map(|(i, n)| self.text(&format!("{name}{i}"), *n)).collect();
        self.queue.reserve(lengths.len()).unwrap();
        self.queue.push(texts, self.now);
    }

    fn take(&mut self, limits: BatchLimits) -> String {
        let taken = self.queue.take(limits, self.now);
        taken.batch.iter().map(|text| text.name.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn an_empty_queue_gives_nothing() {
    assert_eq!(Bench::new(4).take(MANY), "");
}

#[test]
fn a_batch_takes_one_text_of_each_request_in_turn() {
    let mut bench = Bench::new(100);
    bench.request("a", &[10, 10, 10, 10]);
    bench.request("b", &[10]);
    bench.request("c", &[10, 10]);
    assert_eq!(bench.take(BatchLimits { tokens: 1000, texts: 4 }), "a0 b0 c0 a1");
    assert_eq!(bench.take(MANY), "a2 c1 a3");
    assert_eq!(bench.queue.depth(), 0);
}

#[test]
fn the_oldest_text_is_that_of_the_request_that_came_first() {
    let mut bench = Bench::new(100);
    assert_eq!(bench.queue.oldest(), None);
    let first = bench.now;
    bench.request("a", &[10, 10]);
    bench.now += Duration::from_secs(3);
    bench.request("b", &[10]);
    assert_eq!(bench.queue.oldest(), Some(first));
    assert_eq!(bench.take(BatchLimits { tokens: 1000, texts: 2 }), "a0 b0");
    assert_eq!(bench.queue.oldest(), Some(first), "a1 waits still");
    bench.take(MANY);
    assert_eq!(bench.queue.oldest(), None);
}

#[test]
fn a_batch_stays_within_its_tokens_and_a_shorter_text_fills_the_gap() {
    let mut bench = Bench::new(100);
    bench.request("a", &[60]);
    bench.request("b", &[60]);
    bench.request("c", &[40]);
    assert_eq!(bench.take(BatchLimits { tokens: 100, texts: 100 }), "a0 c0");
    assert_eq!(bench.take(MANY), "b0");
}

#[test]
fn a_text_longer_than_the_budget_goes_alone() {
    let mut bench = Bench::new(100);
    bench.request("a", &[500, 5]);
    assert_eq!(bench.take(BatchLimits { tokens: 100, texts: 100 }), "a0");
    assert_eq!(bench.take(MANY), "a1");
}

#[test]
fn a_long_text_is_not_starved_by_a_stream_of_short_ones() {
    let mut bench = Bench::new(100);
    let limits = BatchLimits { tokens: 100, texts: 100 };
    bench.request("short", &[60]);
    bench.request("long", &[90]);
    for pass in 0..3 {
        bench.request(&format!("later{pass}-"), &[30, 30, 30]);
        if bench.take(limits).contains("long0") {
            assert_eq!(pass, 1, "as soon as its request is the oldest");
            return;
        }
    }
    panic!("the long text was passed over");
}

#[test]
fn room_is_counted_from_admission_on() {
    let mut bench = Bench::new(4);
    bench.request("a", &[1, 1]);
    bench.queue.reserve(2).unwrap();
    assert_eq!(bench.queue.reserve(1), Err(Full { retry_after: 1 }));
    assert_eq!((bench.queue.depth(), bench.queue.waiting()), (4, 2));
    bench.queue.release(2);
    assert!(bench.queue.reserve(1).is_ok());
}

#[test]
fn texts_of_requests_that_ended_are_dropped_before_compute() {
    let mut bench = Bench::new(10);
    let gone = Text { cancelled: true, ..bench.text("gone", 10) };
    let late = Text { deadline: bench.now, ..bench.text("late", 10) };
    let good = bench.text("good", 10);
    bench.queue.reserve(3).unwrap();
    bench.queue.push(vec![gone, late, good], bench.now);
    let taken = bench.queue.take(MANY, bench.now);
    assert_eq!(taken.batch.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(taken.expired.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["late"]);
    assert_eq!(bench.queue.depth(), 0);
}

#[test]
fn retry_after_is_the_time_that_the_waiting_texts_take() {
    let mut bench = Bench::new(100);
    bench.request("a", &[1; 100]);
    assert_eq!(bench.queue.reserve(1), Err(Full { retry_after: 1 }), "nothing is known yet");
    bench.queue.observe(10, Duration::from_millis(500));
    assert_eq!(bench.queue.reserve(1), Err(Full { retry_after: 5 }));
    bench.queue.observe(1, Duration::from_mins(1));
    assert_eq!(bench.queue.reserve(1), Err(Full { retry_after: 30 }), "never more than half a minute");
}

#[test]
fn whatever_is_pushed_comes_out_once_and_within_the_limits() {
    let mut bench = Bench::new(10_000);
    let mut state = 7_u64;
    let mut random = move |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let (mut pushed, mut taken) = (0, 0);
    for round in 0..200 {
        let lengths: Vec<usize> = (0..random(20)).map(|_| 1 + random(256) as usize).collect();
        pushed += lengths.len();
        bench.request(&format!("r{round}-"), &lengths);
        let batch = bench.queue.take(BatchLimits { tokens: 512, texts: 8 }, bench.now).batch;
        assert!(batch.len() <= 8 && batch.iter().map(|t| t.tokens).sum::<usize>() <= 512);
        taken += batch.len();
        assert_eq!(bench.queue.depth(), pushed - taken);
    }
    while bench.queue.depth() > 0 {
        taken += bench.queue.take(BatchLimits { tokens: 512, texts: 8 }, bench.now).batch.len();
    }
    assert_eq!(pushed, taken);
}
