//! Writes whose answer has not come yet.
//!
//! Watch and answers are two streams, and nothing orders one by the other. A watch may show an object's deletion before
//! the answer to an earlier write of it arrives. Noted as it comes, that answer would bring back what is gone: a model
//! that does not exist would get children for ever, or a child that was deleted would never be made again. So each write
//! is noted before it is sent, and a deletion marks the writes that it overtakes.

use std::collections::BTreeMap;

use super::ModelKey;
use belfry_render::kind::ChildKind;

/// An object that the operator writes: a model, of which it writes the status, or a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenObject {
    pub(super) key: ModelKey,
    /// Kind and name; `None` for the model itself.
    pub(super) child: Option<(ChildKind, String)>,
}

impl WrittenObject {
    pub(super) fn model(key: &ModelKey) -> Self {
        Self { key: key.clone(), child: None }
    }

    pub(super) fn child(key: &ModelKey, kind: ChildKind, name: &str) -> Self {
        Self { key: key.clone(), child: Some((kind, name.to_owned())) }
    }
}

/// One write, from before it is sent until its answer is noted. To be given back to the cache, in whatever way it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The writes that are under way. As many as there are passes at the same time.
#[derive(Debug, Default)]
pub(super) struct Writes {
    next: u64,
    under_way: BTreeMap<Ticket, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    target: WrittenObject,
    /// The resource version at which a watch has seen the object end since the write was sent. The highest of all where
    /// a list did not name the object, which says no version.
    ended: Option<u64>,
}

impl Writes {
    /// A write is about to be sent.
    pub(super) fn begin(&mut self, target: WrittenObject) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.under_way.insert(ticket, UnderWay { target, ended: None });
        ticket
    }

    /// A write came to its end.
    pub(super) fn end(&mut self, ticket: Ticket) {
        self.under_way.remove(&ticket);
    }

    /// Whether a write of the object is under way.
    pub(super) fn has(&self, target: &WrittenObject) -> bool {
        self.under_way.values().any(|write| write.target == *target)
    }

    /// A watch saw the object end at this resource version.
    pub(super) fn object_ended(&mut self, target: &WrittenObject, version: u64) {
        self.of(target).for_each(|write| write.ended = Some(version));
    }

    /// A watch saw the object, so that what it saw before is over.
    pub(super) fn object_seen(&mut self, target: &WrittenObject) {
        self.of(target).for_each(|write| write.ended = None);
    }

    /// Whether the answer to a write, which has this resource version, says something of the object as it is now. Not
    /// when the object has ended since.
    pub(super) fn counts(&self, ticket: Ticket, version: u64) -> bool {
        let ended = self.under_way.get(&ticket).and_then(|write| write.ended);
        ended.is_none_or(|ended| version > ended)
    }

    fn of(&mut self, target: &WrittenObject) -> impl Iterator<Item = &mut UnderWay> {
        self.under_way.values_mut().filter(move |write| write.target == *target)
    }
}
