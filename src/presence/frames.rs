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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, more: &serde_json::Value) -> Event {
        let mut event = json!({ "event": kind, "user": "ada", "at": 1 });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn a_frame_has_as_many_events_as_it_holds_bytes() {
        let text = |bytes: usize| json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
        let join = |more| event("join", &more);
        let update = |more| event("updateAttributes", &more);
        let both = || json!({ "attributes": text(1_000), "info": text(500) });
        for (one, bytes) in [
            (join(both()), 1_500),
            (update(both()), 1_500),
            (update(json!({ "attributes": text(1_000) })), 1_000),
            (event("leave", &json!({ "reason": "left" })), 0),
        ] {
            let each = OVERHEAD_BYTES + "ada".len() + bytes;
            let events = vec![one; PART_BYTES / each + 5];
            assert_eq!(events_in_a_frame(&events), PART_BYTES / each, "{:?}", events[0]);
        }
        assert_eq!(events_in_a_frame(&[]), 0);
        let large = join(json!({ "attributes": text(2 * PART_BYTES), "info": {} }));
        assert_eq!(events_in_a_frame(&[large.clone(), large]), 1, "at least one");
    }

    #[test]
    fn who_goes_is_one_less() {
        let [join, leave] = [
            event("join", &json!({ "attributes": {}, "info": {} })),
            event("leave", &json!({ "reason": "left" })),
        ];
        let timeout = event("timeout", &json!({ "reason": "connection", "lastSeen": 1 }));
        let update = event("updateAttributes", &json!({ "attributes": {} }));
        assert_eq!(net_joins(&[join.clone(), update.clone(), join.clone()]), 2);
        assert_eq!(net_joins(&[leave, update, timeout.clone(), timeout, join]), -2);
    }
}
