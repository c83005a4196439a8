//! Lines in the log of what clients do, whatever they do: one a second for each kind, with the number.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::http::HeaderMap;
use axum::http::header::HOST;
use herenow_protocol::Refusal;
use tokio::time::sleep;

use crate::limits::{FLOOD_LINE, SHOWN_CHARS};
use crate::metrics::{Metrics, TurnedAway};

/// All that clients may do and an operator reads of in the log. Whatever else is logged of single
/// clients is for `debug`, where each has its line.
#[derive(Debug)]
pub struct Floods {
    of: [Arc<Flood>; TurnedAway::ALL.len()],
}

/// One kind of it. The first is written at once; what comes within a second of a line is counted,
/// and the number written in one.
#[derive(Debug)]
struct Flood {
    kind: TurnedAway,
    unsaid: AtomicU64,
    /// A task sees to it that what is counted will be written.
    minded: AtomicBool,
}

impl Floods {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let of = TurnedAway::ALL.map(|kind| {
            let (unsaid, minded) = (AtomicU64::new(0), AtomicBool::new(false));
            Arc::new(Flood { kind, unsaid, minded })
        });
        Arc::new(Self { of })
    }

    /// It happened once more; `example` says where from, or why, and holds what a client chose only
    /// in quotation marks, and short.
    pub fn note(&self, metrics: &Metrics, kind: TurnedAway, example: impl Display) {
        metrics.turned_away.inc(kind);
        if let Some(flood) = self.of.iter().find(|flood| flood.kind == kind) {
            flood.note(example);
        }
    }

    /// A page was refused: which, under which name of the broker, and what lets it in.
    pub fn note_page(
        &self,
        metrics: &Metrics,
        from: impl Display,
        headers: &HeaderMap,
        refusal: &Refusal,
    ) {
        let host = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let host: String = host.unwrap_or_default().chars().take(SHOWN_CHARS).collect();
        let example = format_args!("{from} at host {host:?}: {}", refusal.message);
        self.note(metrics, TurnedAway::Pages, example);
    }
}

impl Flood {
    fn note(self: &Arc<Self>, example: impl Display) {
        self.unsaid.fetch_add(1, Ordering::SeqCst);
        if self.minded.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(number) = self.number() {
            tracing::warn!(number, %example, "{}", words(self.kind));
        }
        tokio::spawn(Arc::clone(self).mind());
    }

    /// Writes a line a second until there is nothing more to write.
    async fn mind(self: Arc<Self>) {
        loop {
            sleep(FLOOD_LINE).await;
            if let Some(number) = self.number() {
                tracing::warn!(number, "{}", words(self.kind));
                continue;
            }
            self.minded.store(false, Ordering::SeqCst);
            // Whoever counted just before this found somebody who minds.
            let missed = self.unsaid.load(Ordering::SeqCst) > 0;
            if !missed || self.minded.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// How many there were since the last line, if any.
    fn number(&self) -> Option<u64> {
        Some(self.unsaid.swap(0, Ordering::SeqCst)).filter(|&number| number > 0)
    }
}

fn words(kind: TurnedAway) -> &'static str {
    match kind {
        TurnedAway::Connections => "refused: too many connections",
        TurnedAway::Accepts => "can't accept connections",
        TurnedAway::Tokens => "refused: no acceptable token or key",
        TurnedAway::Pages => "refused: a foreign page, or a foreign name of this broker",
        TurnedAway::Handshakes => "refused: no whole handshake",
    }
}
