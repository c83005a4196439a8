//! How many events make up one frame: so many that no frame is a burden to read.

use herenow_protocol::{Attributes, Event};

use super::member::OVERHEAD_BYTES;
use crate::limits::PART_BYTES;

/// How many of the first `events` make up the next frame; at least one, if there is one.
#[must_use]
pub fn events_in_a_frame(events: &[Event]) -> usize {
    in_a_frame(events.iter().map(|event| {
        let written = match event {
            Event::Join { attributes, info, .. } => attributes.bytes() + info.bytes(),
            Event::UpdateAttributes { attributes, info, .. } => {
                attributes.bytes() + info.as_ref().map_or(0, Attributes::bytes)
            }
            Event::Leave { .. } | Event::Timeout { .. } => 0,
        };
        OVERHEAD_BYTES + event.user().as_str().len() + written
    }))
}

fn in_a_frame(mut sizes: impl Iterator<Item = usize>) -> usize {
    let Some(first) = sizes.next() else { return 0 };
    let mut bytes = first;
    let more = sizes.take_while(|size| {
        bytes += size;
        bytes <= PART_BYTES
    });
    1 + more.count()
}

/// Joins less leaves and timeouts.
#[must_use]
pub fn net_joins(events: &[Event]) -> i64 {
    events
        .iter()
        .map(|event| match event {
            Event::Join { .. } => 1,
            Event::Leave { .. } | Event::Timeout { .. } => -1,
            Event::UpdateAttributes { .. } => 0,
        })
        .sum()
}
