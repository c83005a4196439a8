//! One answer out of several rings: everything that a poll lacks in all channels that it listens to,
//! in order. Pure.

use std::sync::Arc;

use super::ring::{Kept, Ring};
use crate::presence::Viewer;

/// What a poll asks of the rings, and what it has got of them so far.
#[derive(Debug)]
pub struct Gathering {
    /// It has had everything up to this.
    since: u64,
    /// The last stamp of the broker before the rings were looked at: what comes later is for the
    /// next poll, else an event of a ring that was looked at already would be lost.
    until: u64,
    most: usize,
    /// The stamps are another broker's.
    foreign: bool,
    events: Vec<(usize, Arc<Kept>)>,
    more: bool,
    /// Rings that were looked at, and those of them in which events are gone that the poll lacks.
    rings: usize,
    lacking: Vec<usize>,
}

/// What a poll is told.
#[derive(Debug)]
pub struct Gathered {
    /// The events, each with the place of its channel, in order.
    pub events: Vec<(usize, Arc<Kept>)>,
    /// Places of channels in which who came and who went replaces the events.
    pub repairs: Vec<usize>,
    /// With this the poll has had everything up to here.
    pub until: u64,
}

impl Gathering {
    /// Nothing yet. `most`: events at most.
    #[must_use]
    pub fn new(since: u64, until: u64, most: usize, foreign: bool) -> Self {
        // A stamp from the future is none of ours.
        let foreign = foreign || since > until;
        let (events, lacking) = (Vec::new(), Vec::new());
        Self { since, until, most, foreign, events, more: false, rings: 0, lacking }
    }

    /// Takes what there is in the next ring.
    pub fn add(&mut self, ring: &Ring, viewer: Viewer<'_>) {
        let place = self.rings;
        self.rings += 1;
        let found = ring.read(self.since, self.until, viewer, self.most);
        let Some(found) = found.filter(|_| !self.foreign) else {
            self.lacking.push(place);
            return;
        };
        self.more |= found.more;
        self.events.extend(found.events.into_iter().map(|kept| (place, kept)));
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Gathered {
        let Self { until, most, mut events, more, rings, lacking, .. } = self;
        if !more && events.len() <= most {
            events.sort_by_key(|(_, kept)| kept.stamp);
            return Gathered { events, repairs: lacking, until };
        }
        // Only some of the events would be told now, and what is lacking has to be told as it was at
        // one moment: so all of it is.
        if !lacking.is_empty() {
            return Gathered { events: Vec::new(), repairs: (0..rings).collect(), until };
        }
        events.sort_by_key(|(_, kept)| kept.stamp);
        events.truncate(most);
        let until = events.last().map_or(until, |(_, kept)| kept.stamp);
        Gathered { events, repairs: lacking, until }
    }
}
