//! A watch on its way through the proxy, event by event.

use std::io;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use tokio::sync::{broadcast, mpsc};

use super::fault::{Fault, Refusal, WatchEnd};

/// Pieces on their way to the operator; more wait in the connection to the API server.
const PIECES: usize = 64;

type Piece = Result<Bytes, io::Error>;

/// Passes on the events of a watch, and does to it what the fault says, or sooner what `ends` says.
pub(super) fn relay(upstream: Body, fault: Option<Fault>, ends: broadcast::Receiver<WatchEnd>) -> Body {
    let (sender, mut receiver) = mpsc::channel(PIECES);
    tokio::spawn(pump(upstream, fault, ends, sender));
    Body::from_stream(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))
}

async fn pump(
    upstream: Body,
    fault: Option<Fault>,
    mut ends: broadcast::Receiver<WatchEnd>,
    sender: mpsc::Sender<Piece>,
) {
    let mut chunks = upstream.into_data_stream();
    let mut pending = vec![];
    let mut seen = 0;
    loop {
        if let Some(Fault::EndWatch(events, end)) = fault
            && seen >= events
        {
            // The cut needs an event to go through, so it comes with the next one.
            let event = if end == WatchEnd::Cut { next_line(&mut chunks, &mut pending).await } else { None };
            return finish(end, event, &sender).await;
        }
        let line = tokio::select! {
            () = sender.closed() => return,
            Ok(end) = ends.recv() => return finish(end, None, &sender).await,
            line = next_line(&mut chunks, &mut pending) => line,
        };
        let Some(line) = line else { return };
        seen += 1;
        let is_skipped = fault == Some(Fault::SkipEvent(seen));
        if !is_skipped && sender.send(Ok(line)).await.is_err() {
            return;
        }
    }
}

/// The next event with its newline; none when the API server ended the watch. Cancelling it loses nothing.
async fn next_line(chunks: &mut axum::body::BodyDataStream, pending: &mut Vec<u8>) -> Option<Bytes> {
    loop {
        if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            return Some(pending.drain(..=end).collect());
        }
        pending.extend(chunks.next().await?.ok()?);
    }
}

async fn finish(end: WatchEnd, event: Option<Bytes>, sender: &mpsc::Sender<Piece>) {
    let broken = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    let pieces = match end {
        WatchEnd::Close => vec![],
        WatchEnd::Cut => {
            let event = event.unwrap_or_else(|| Bytes::from_static(br#"{"type":"ADDED","object":{"#));
            vec![Ok(event.slice(..event.len() / 2)), broken()]
        }
        WatchEnd::Garbage => vec![Ok(Bytes::from_static(b"<html>no event</html>\n"))],
        WatchEnd::Gone => vec![Ok(Refusal::new(410).event().into())],
        WatchEnd::Hang => return sender.closed().await,
    };
    for piece in pieces {
        // The other side may have gone in the meantime, which is the end as well.
        if sender.send(piece).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n";

    async fn relayed(fault: Fault) -> Result<String, axum::Error> {
        let (_ends, receiver) = broadcast::channel(1);
        let body = axum::body::to_bytes(relay(Body::from(EVENTS), Some(fault), receiver), 1 << 20).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_watch_ends_after_as_many_events_as_asked() {
        assert_eq!(relayed(Fault::EndWatch(2, WatchEnd::Close)).await.unwrap(), "{\"a\":1}\n{\"b\":2}\n");
        let gone = relayed(Fault::EndWatch(1, WatchEnd::Gone)).await.unwrap();
        assert!(gone.starts_with("{\"a\":1}\n{") && gone.contains("410"), "{gone}");
    }

    #[tokio::test]
    async fn a_cut_watch_breaks_in_the_middle_of_an_event() {
        relayed(Fault::EndWatch(1, WatchEnd::Cut)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_skipped_event_is_the_only_one_that_is_missing() {
        assert_eq!(relayed(Fault::SkipEvent(2)).await.unwrap(), "{\"a\":1}\n{\"c\":3}\n");
    }
}
