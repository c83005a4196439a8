//! A giant channel of which nobody here is told each change: its summary alone is followed.
//!
//! This node's own members are in the summary as everybody's are, and never added: so the count does
//! not jump back and forth, and all nodes show the same. While the store is away, or has lost data and
//! not all nodes have said theirs again, the last summary holds.

use super::channel::Replica;
use crate::cluster::peers::Peers;
use crate::cluster::summary::{SUMMARY_MS, Summary};
use crate::limits::{SUMMARY_AGAIN_MS, SUMMARY_HELD_MS};
use crate::now::Now;

/// What follows from a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Nothing: it is as known, or older, or does not count yet.
    AsBefore,
    /// It is what is known from here on.
    Anew,
    /// Members are not counted any longer: the channel is to be loaded whole.
    NoLonger,
}

/// A question for a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummaryAsked {
    /// The version of it that is known, 0 for none.
    pub version: u64,
    /// The last gap before it was asked; 0 if nobody here follows the summary.
    gap: u32,
}

impl Replica {
    /// From here on what is published of the summary is told to [`Replica::summary_told`], without a
    /// gap. Also after a gap: what is known stays until another one was answered.
    pub fn follow_summary(&mut self) {
        let summed = self.summed.get_or_insert_default();
        (summed.anew, summed.ask_ms, summed.gap) = (true, 0, summed.gap + 1);
    }

    /// The summary is not followed any longer.
    pub fn unfollow_summary(&mut self) {
        self.summed = None;
    }

    /// The summary that is known; `None`: none is followed, or it did not come yet.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.summed.as_ref()?.known.as_ref()
    }

    /// Whether what is known of the summary may not be all: nothing yet, or it is of data that were
    /// lost.
    #[must_use]
    pub fn is_summary_partial(&self) -> bool {
        self.summed.as_ref().is_none_or(|summed| summed.lost || summed.known.is_none())
    }

    /// Whether the summary is to be asked for now: to be asked about once a second while it is
    /// followed. Whoever owes it may have died, and after a loss it counts once all nodes have said
    /// everything again.
    #[must_use]
    pub fn wants_summary(&self, now: Now) -> bool {
        self.summed.as_ref().is_some_and(|summed| summed.ask_ms <= now.mono_ms)
    }

    /// The summary is asked for.
    pub fn ask_summary(&mut self, now: Now) -> SummaryAsked {
        let Some(summed) = &mut self.summed else { return SummaryAsked::default() };
        let again_ms = if summed.lost { SUMMARY_MS } else { SUMMARY_AGAIN_MS };
        summed.ask_ms = now.mono_ms + again_ms;
        let known = summed.known.as_ref().filter(|_| !(summed.anew || summed.lost));
        SummaryAsked { version: known.map_or(0, |known| known.version), gap: summed.gap }
    }

    /// Asking for the summary failed, or may have: it is asked for again.
    pub fn summary_fails(&mut self) {
        self.summed.iter_mut().for_each(|summed| summed.ask_ms = 0);
    }

    /// The store published this summary, or answered it to that question.
    pub fn summary_told(
        &mut self,
        summary: &Summary,
        answers: Option<SummaryAsked>,
        peers: &Peers,
        now: Now,
    ) -> Counted {
        self.knows_data(summary.era, summary.now, now);
        let is_said = self.has_said_all() && peers.are_complete();
        // Whoever knows all of it knows it better.
        let is_missed = self.lost && self.is_whole();
        let Some(summed) = &mut self.summed else { return Counted::AsBefore };
        if is_missed && summed.known.is_none() && !is_said {
            return Counted::AsBefore;
        }
        // What others have is missing only until they have said it again.
        if summed.lost && !is_said {
            let held_until_ms = *summed.held_until_ms.get_or_insert(now.mono_ms + SUMMARY_HELD_MS);
            if now.mono_ms < held_until_ms {
                return Counted::AsBefore;
            }
        }
        let begins_anew = summed.anew && answers.is_some_and(|asked| asked.gap == summed.gap);
        let known = summed.known.as_ref().filter(|_| !(begins_anew || summed.lost));
        if known.is_some_and(|known| summary.version <= known.version) {
            return Counted::AsBefore;
        }
        (summed.anew, summed.lost, summed.held_until_ms) = (false, false, None);
        self.stands(summary.version, summary.counted);
        let Some(summed) = &mut self.summed else { return Counted::AsBefore };
        if !summary.counted {
            return Counted::NoLonger;
        }
        summed.known = Some(summary.clone());
        Counted::Anew
    }
}
