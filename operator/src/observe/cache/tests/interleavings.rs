//! Every order in which a watch and the answers to the operator's own writes can arrive.
//!
//! A history is what happens to one object at the API server: writes of the operator, edits and deletions by others. The
//! server carries it out in its order. The watch shows each step some time after it happened, in order; an answer comes
//! some time after its write; and the operator sends its next write only after the answer to the one before. All orders
//! that keep to this are played, and after each the cache has to say what a fresh list would say.

use super::*;

/// What happens to the object at the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The operator applies it, which makes it or sets it back.
    Own,
    /// Someone edits it.
    Edit,
    /// Someone deletes it.
    Delete,
}

const STEPS: [Step; 3] = [Step::Own, Step::Edit, Step::Delete];

/// Where the play stands: how many steps were sent, carried out, shown and answered.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    sent: usize,
    done: usize,
    shown: usize,
    answered: usize,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Send(usize),
    Do,
    Show(usize),
    Answer(usize),
}

/// What can come next.
fn moves(history: &[Step], at: Position) -> Vec<Move> {
    let next_own = |from: usize| (from..history.len()).find(|index| history[*index] == Step::Own);
    let mut moves = vec![];
    let unanswered = next_own(at.answered).filter(|index| *index < at.sent);
    if unanswered.is_none()
        && let Some(index) = next_own(at.sent.max(at.done))
    {
        moves.push(Move::Send(index));
    }
    if at.done < history.len() && (history[at.done] != Step::Own || at.done < at.sent) {
        moves.push(Move::Do);
    }
    if at.shown < at.done {
        moves.push(Move::Show(at.shown));
    }
    if let Some(index) = unanswered.filter(|index| *index < at.done) {
        moves.push(Move::Answer(index));
    }
    moves
}

fn advance(at: Position, step: Move) -> Position {
    match step {
        Move::Send(index) => Position { sent: index + 1, ..at },
        Move::Do => Position { done: at.done + 1, ..at },
        Move::Show(index) => Position { shown: index + 1, ..at },
        Move::Answer(index) => Position { answered: index + 1, ..at },
    }
}

/// All orders of a history.
fn orders(history: &[Step]) -> Vec<Vec<Move>> {
    let mut whole = vec![];
    let mut begun = vec![(Position::default(), vec![])];
    while let Some((at, order)) = begun.pop() {
        let next = moves(history, at);
        if next.is_empty() {
            whole.push(order);
            continue;
        }
        for step in next {
            begun.push((advance(at, step), [order.clone(), vec![step]].concat()));
        }
    }
    whole
}

/// The version of the object after a step; versions begin at 10.
fn version(index: usize) -> u64 {
    10 + index as u64
}

/// Whether a history can happen: only what is there is edited or deleted.
fn is_possible(history: &[Step]) -> bool {
    let mut exists = false;
    history.iter().all(|step| {
        let is_possible = exists || *step == Step::Own;
        exists = *step != Step::Delete;
        is_possible
    })
}

/// All histories of one to four steps, possible or not.
fn histories() -> impl Iterator<Item = Vec<Step>> {
    let longer = |histories: Vec<Vec<Step>>| -> Vec<Vec<Step>> {
        histories.iter().flat_map(|history| STEPS.map(|step| [history.as_slice(), &[step]].concat())).collect()
    };
    (1..=4).flat_map(move |length| (0..length).fold(vec![vec![]], |histories, _| longer(histories)))
}

fn object(history: &[Step], index: usize) -> DynamicObject {
    if history[index] == Step::Edit { edited(version(index)) } else { service(version(index)) }
}

/// Plays one order on a child, and returns the cache's view of it.
fn play_child(history: &[Step], order: &[Move]) -> Option<LiveChild> {
    let scene = Scene::new();
    let mut write = None;
    for step in order {
        match *step {
            Move::Send(_) => write = Some(scene.sends()),
            Move::Do => {}
            Move::Show(index) if history[index] == Step::Delete => scene.ends(version(index)),
            Move::Show(index) => drop(scene.shows(&object(history, index))),
            Move::Answer(index) => scene.answers(write.take().unwrap(), version(index)),
        }
    }
    scene.live()
}

#[test]
fn a_child_is_in_the_cache_as_a_fresh_list_would_show_it_in_every_order() {
    let mut played = 0;
    for history in histories().filter(|history| is_possible(history)) {
        for order in orders(&history) {
            played += 1;
            let live = play_child(&history, &order);
            let last = history.len() - 1;
            let said = || format!("{history:?} in the order {order:?}: {live:?}");
            match history[last] {
                Step::Delete => assert!(live.is_none(), "{}", said()),
                step => {
                    let live = live.as_ref().unwrap_or_else(|| panic!("{}", said()));
                    assert_eq!(live.version(), version(last), "{}", said());
                    // An edit must be seen. Of an own write it may be left open, which costs one more write.
                    assert!(step == Step::Own || live.holds.is_none(), "{}", said());
                }
            }
        }
    }
    assert!(played > 5_000, "{played} orders");
}

#[test]
fn a_model_is_in_the_cache_as_a_fresh_list_would_show_it_in_every_order() {
    // A model is made by others, so that a history begins with it; the operator writes the status of what is there.
    let is_real = |history: &Vec<Step>| {
        let mut exists = true;
        history.iter().all(|step| {
            let is_real = exists || *step == Step::Edit;
            exists = *step != Step::Delete;
            is_real
        })
    };
    let mut played = 0;
    for history in histories().filter(is_real) {
        for order in orders(&history) {
            played += 1;
            let cache = Cache::default();
            cache.model_seen(model(1));
            let mut write = None;
            for step in &order {
                match *step {
                    Move::Send(_) => write = Some(cache.writes_model(&key())),
                    Move::Do => {}
                    Move::Show(index) if history[index] == Step::Delete => {
                        cache.model_gone(&key(), version(index));
                    }
                    Move::Show(index) => drop(cache.model_seen(model(version(index)))),
                    Move::Answer(index) => cache.model_answered(&write.take().unwrap(), model(version(index))),
                }
            }
            let found = cache.observed(&key()).map(|observed| super::super::version(&*observed.model));
            let last = history.len() - 1;
            let wanted = (history[last] != Step::Delete).then(|| version(last));
            assert_eq!(found, wanted, "{history:?} in the order {order:?}");
        }
    }
    assert!(played > 5_000, "{played} orders");
}
