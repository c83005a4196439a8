//! Which data the store holds, and for which of them this node has said everything of its own.
//!
//! A store that failed may come back empty, or as a copy that lacks the last writes. Then each node
//! says everything again, and the others keep what they know of it until it has: so each tells for
//! which data it is done. Each group of channels may lose its data by itself.

use std::collections::BTreeMap;

/// One group's data, as this node knows them.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Names them: see [`fingerprint`](crate::cluster::life::fingerprint).
    data: u64,
    /// Channels in which this node has still to say something for them.
    owed: u64,
    /// All channels were looked at.
    walked: bool,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    groups: BTreeMap<u8, Group>,
    /// The groups of which all is to be said again, and which nobody was told yet.
    lost: BTreeMap<u8, u64>,
    /// For each group the data for which everything was said.
    said: BTreeMap<u8, u64>,
}

impl Data {
    /// The group holds that data. Whether they are other data than before: then they may lack
    /// anything.
    pub(super) fn seen(&mut self, group: u8, data: u64) -> bool {
        let before = self.groups.get(&group).copied();
        if before.is_some_and(|before| before.data == data) {
            return false;
        }
        let is_first = before.is_none();
        // Before a node first met a group it had nothing there that could be missing.
        self.groups.insert(group, Group { data, owed: 0, walked: is_first });
        if is_first {
            self.said.insert(group, data);
        } else {
            self.lost.insert(group, data);
        }
        !is_first
    }

    /// Everything is to be said again whatever the data, since the node goes by another name.
    pub(super) fn begin_again(&mut self) {
        self.said.clear();
        for (&number, group) in &mut self.groups {
            (group.owed, group.walked) = (0, false);
            self.lost.insert(number, group.data);
        }
    }

    /// The groups of which all is to be said again, each with its data: each is told once.
    pub(super) fn take_lost(&mut self) -> BTreeMap<u8, u64> {
        std::mem::take(&mut self.lost)
    }

    /// In one more channel of the group something is to be said.
    pub(super) fn owes(&mut self, group: u8, data: u64) {
        if let Some(group) = self.now(group, data) {
            group.owed += 1;
        }
    }

    /// In one channel of the group all was said, and answered by those data. Whether that was the
    /// last.
    pub(super) fn settled(&mut self, number: u8, data: u64) -> bool {
        let Some(group) = self.now(number, data) else { return false };
        group.owed = group.owed.saturating_sub(1);
        self.finish(number)
    }

    /// All channels of the group were looked at. Whether nothing is to be said in any.
    pub(super) fn walked(&mut self, number: u8, data: u64) -> bool {
        let Some(group) = self.now(number, data) else { return false };
        group.walked = true;
        self.finish(number)
    }

    fn finish(&mut self, number: u8) -> bool {
        let done = self.groups.get(&number).filter(|group| group.walked && group.owed == 0);
        done.is_some_and(|group| self.said.insert(number, group.data) != Some(group.data))
    }

    /// The group, if it still holds those data.
    fn now(&mut self, group: u8, data: u64) -> Option<&mut Group> {
        self.groups.get_mut(&group).filter(|group| group.data == data)
    }

    /// The data that each group holds.
    pub(super) fn held(&self) -> impl Iterator<Item = (u8, u64)> {
        self.groups.iter().map(|(&number, group)| (number, group.data))
    }

    /// For each group the data for which everything was said.
    pub(super) fn said(&self) -> &BTreeMap<u8, u64> {
        &self.said
    }

    /// Whether everything was said for what every group holds.
    pub(super) fn is_all_said(&self) -> bool {
        self.held().all(|(group, data)| self.said.get(&group) == Some(&data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_loss_everything_is_said_before_it_is_told() {
        let mut data = Data::default();
        assert!(!data.seen(3, 70), "met first");
        assert_eq!(data.said(), &[(3, 70)].into());
        assert!(data.seen(3, 71) && !data.seen(3, 71));
        assert_eq!(data.take_lost(), [(3, 71)].into());
        assert!(data.take_lost().is_empty(), "told once");
        data.owes(3, 71);
        data.owes(3, 71);
        assert!(!data.settled(3, 71) && !data.walked(3, 71));
        assert!(!data.settled(3, 70), "an answer of the data before");
        assert_eq!(data.said(), &[(3, 70)].into());
        assert!(!data.is_all_said());
        assert!(data.settled(3, 71));
        assert_eq!(data.said(), &[(3, 71)].into());
    }

    #[test]
    fn a_second_loss_begins_anew() {
        let mut data = Data::default();
        data.seen(0, 1);
        data.seen(0, 2);
        data.owes(0, 2);
        data.seen(0, 3);
        assert!(!data.settled(0, 2) && !data.walked(0, 2));
        assert!(data.walked(0, 3), "nothing is there");
    }

    #[test]
    fn under_another_name_everything_is_said_again_for_the_same_data() {
        let mut data = Data::default();
        data.seen(0, 1);
        data.seen(0, 2);
        data.owes(0, 2);
        assert!(!data.walked(0, 2));
        data.begin_again();
        assert!(data.said().is_empty() && !data.is_all_said());
        assert_eq!(data.take_lost(), [(0, 2)].into());
        data.owes(0, 2);
        assert!(!data.settled(0, 2), "not all channels were looked at");
        assert!(data.walked(0, 2) && data.is_all_said());
        assert!(!data.walked(0, 2), "nothing new");
    }
}
