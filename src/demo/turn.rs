//! What viewers are called and what they do next: chosen by a generator that is passed in.

use std::time::Duration;

use fastrand::Rng;

use crate::limits::{DEMO_BACK_OFF_MS, DEMO_EVENTS_PER_SECOND};

const NAMES: [&str; 50] = [
    "Mia", "Noah", "Aisha", "Liam", "Yuki", "Elena", "Omar", "Sofia", "Ravi", "Emma", "Kofi",
    "Lucia", "Jonas", "Mei", "Diego", "Hanna", "Tariq", "Ines", "Leo", "Priya", "Marek", "Zoe",
    "Ahmed", "Clara", "Jin", "Nadia", "Pablo", "Freya", "Amir", "Lena", "Kenji", "Rosa", "Viktor",
    "Leila", "Hugo", "Anya", "Samir", "Greta", "Tomas", "Nia", "Felix", "Chloe", "Ivan", "Amara",
    "Oscar", "Linh", "Bruno", "Sara", "Emil", "Tara",
];

/// Those that the page offers.
const MOODS: [&str; 6] = ["happy", "calm", "focused", "curious", "tired", "away"];

/// Where there are few, a viewer pauses between two turns for so many milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 5_000..30_000;

/// How long one that left stays away, in milliseconds.
const AWAY_MS: std::ops::Range<u64> = 2_000..8_000;

/// What ten turns are on average: so many changes of mood,
const MOODS_OF_TEN: u64 = 7;
/// so many goings and comings back, less those without a goodbye,
const LEAVES_OF_TEN: u64 = 2;
/// and so the events that others are told.
const EVENTS_OF_TEN: u64 = MOODS_OF_TEN + 2 * (10 - MOODS_OF_TEN);

/// What a viewer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its mood is this now.
    Mood(&'static str),
    /// It leaves, and comes back after that time.
    Leave(Duration),
    /// It loses its connection without a goodbye, and comes back after that time.
    Drop(Duration),
}

/// The name of the viewer with that number: no two have the same.
#[must_use]
pub fn name(number: usize) -> String {
    format!("{}-{}", NAMES[number % NAMES.len()], number + 1)
}

/// Some mood.
pub fn mood(rng: &mut Rng) -> &'static str {
    MOODS[rng.usize(..MOODS.len())]
}

/// What a viewer does next, and after which pause. The more viewers there are in all, the longer
/// each pauses, so that all of them together are never busier than they may be.
pub fn next(rng: &mut Rng, viewers: usize) -> (Duration, Turn) {
    let turn = match rng.u64(..10) {
        dice if dice < MOODS_OF_TEN => Turn::Mood(mood(rng)),
        dice if dice < MOODS_OF_TEN + LEAVES_OF_TEN => Turn::Leave(away(rng)),
        _ => Turn::Drop(away(rng)),
    };
    let mean_ms = u64::midpoint(PAUSE_MS.start, PAUSE_MS.end);
    // The pause on average with which so many viewers cause just as many events as they may.
    let least_ms = viewers as u64 * EVENTS_OF_TEN * 100 / DEMO_EVENTS_PER_SECOND;
    let pause_ms = rng.u64(PAUSE_MS) * least_ms.max(mean_ms) / mean_ms;
    (Duration::from_millis(pause_ms), turn)
}

fn away(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(AWAY_MS))
}

/// How long a viewer waits that was refused so many times in a row.
pub fn back_off(rng: &mut Rng, refused: u32) -> Duration {
    let most_ms = 1_000u64.checked_shl(refused).unwrap_or(DEMO_BACK_OFF_MS).min(DEMO_BACK_OFF_MS);
    Duration::from_millis(rng.u64(most_ms / 2..=most_ms))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::limits::DEMO_VIEWERS;

    #[test]
    fn no_two_have_the_same_name() {
        let names: HashSet<_> = (0..DEMO_VIEWERS).map(name).collect();
        assert_eq!(names.len(), DEMO_VIEWERS);
        assert_eq!((name(0), name(50)), ("Mia-1".into(), "Mia-51".into()));
    }

    /// Turns of one viewer for a long time: seconds, events, and how often each kind came.
    fn watched(viewers: usize) -> (f64, f64, [usize; 3]) {
        let mut rng = Rng::with_seed(7);
        let (mut seconds, mut events, mut kinds) = (0.0, 0.0, [0; 3]);
        for _ in 0..20_000 {
            let (pause, turn) = next(&mut rng, viewers);
            seconds += pause.as_secs_f64();
            let (kind, caused, away) = match turn {
                Turn::Mood(_) => (0, 1.0, Duration::ZERO),
                Turn::Leave(away) => (1, 2.0, away),
                Turn::Drop(away) => (2, 2.0, away),
            };
            seconds += away.as_secs_f64();
            events += caused;
            kinds[kind] += 1;
        }
        (seconds, events, kinds)
    }

    #[test]
    fn few_viewers_pause_for_5_to_30_seconds_and_do_everything() {
        let mut rng = Rng::with_seed(7);
        for viewers in [1, 10, 100] {
            let (pause, _) = next(&mut rng, viewers);
            assert!((5..30).contains(&pause.as_secs()), "{pause:?}");
        }
        let (_, _, [moods, leaves, drops]) = watched(10);
        assert!(moods > leaves && leaves > drops && drops > 1_000, "{moods} {leaves} {drops}");
    }

    #[test]
    fn however_many_there_are_they_are_no_busier_than_they_may_be() {
        for viewers in [1, 100, 500, DEMO_VIEWERS] {
            let (seconds, events, _) = watched(viewers);
            let rate = viewers as f64 * events / seconds;
            assert!(rate <= DEMO_EVENTS_PER_SECOND as f64, "{viewers}: {rate}");
            assert!(viewers < DEMO_VIEWERS || rate > 25.0, "nor do many sleep: {rate}");
        }
    }

    #[test]
    fn equal_seeds_live_equal_lives() {
        let life = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..50).map(|_| next(&mut rng, 100)).collect::<Vec<_>>()
        };
        assert_eq!(life(1), life(1));
        assert_ne!(life(1), life(2));
    }

    #[test]
    fn whoever_is_refused_waits_longer_each_time_but_not_forever() {
        let mut rng = Rng::with_seed(7);
        for (refused, least, most) in
            [(1, 1_000, 2_000), (3, 4_000, 8_000), (9, 15_000, 30_000), (99, 15_000, 30_000)]
        {
            let wait = back_off(&mut rng, refused).as_millis();
            assert!((least..=most).contains(&wait), "{refused}: {wait}");
        }
    }
}
