//! Giving back the room of a map that was much fuller once.

use std::hash::Hash;

use dashmap::DashMap;

/// A map keeps room for so many times what it holds: less would have it grow again soon.
const ROOMY: usize = 4;

/// So much room is never given back.
const SMALL: usize = 1024;

/// Gives back the room of `map` beyond what it holds, if most of it is empty. Takes time for what
/// the map holds, which is little then.
pub(crate) fn shrink<K: Eq + Hash, V>(map: &DashMap<K, V>) {
    let room = map.capacity();
    if room > SMALL && map.len() < room / ROOMY {
        map.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_map_that_is_mostly_empty_gives_back() {
        let mut map = DashMap::new();
        map.extend((0..100_000).map(|number| (number, ())));
        let full = map.capacity();
        shrink(&map);
        assert_eq!(map.capacity(), full);
        map.retain(|number, ()| *number < 1_000);
        shrink(&map);
        assert!((1_000..full / 20).contains(&map.capacity()));
        assert!((0..1_000).all(|number| map.contains_key(&number)));
    }
}
