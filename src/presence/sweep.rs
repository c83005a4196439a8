//! The whole state, part by part, for whoever holds only a place: each part is made when its reader
//! can take it, of the members as observers know them then. So nothing is copied for anybody, and
//! entries may be newer than the seq at which the snapshot began.

use herenow_protocol::reply::SnapshotReason;

use super::channel::ChannelState;
use super::snapshot::{Part, Rest, SnapshotPlace};
use super::viewer::Viewer;

impl ChannelState {
    /// Where a snapshot begins that comes for `reason`.
    #[must_use]
    pub fn begin_snapshot(&self, reason: SnapshotReason) -> SnapshotPlace {
        let seq = self.log.next_seq() - 1;
        let rest = Rest::Public(u64::MAX);
        SnapshotPlace { seq, reason, rest, missed: false, renewed: false }
    }

    /// The part at `place` for `viewer`, of about so many bytes, and the place of the part after it,
    /// if there is one. First come members visible to all, in parts that are the same for everyone,
    /// and then whom else the viewer sees. Two viewers who differ only in that have the same public
    /// parts but for the last one's `more`.
    #[must_use]
    pub fn snapshot_part(
        &self,
        place: SnapshotPlace,
        viewer: Viewer<'_>,
        bytes: usize,
    ) -> (Part, Option<SnapshotPlace>) {
        let (members, rest) = match place.rest {
            Rest::Public(below) => {
                let (members, next) = self.told_part(below, Viewer::Public, bytes);
                let own = || self.sees_more(viewer).then_some(Rest::Own(u64::MAX));
                (members, next.map(Rest::Public).or_else(own))
            }
            Rest::Own(below) => {
                let (members, next) = self.told_own_part(below, viewer, bytes);
                (members, next.map(Rest::Own))
            }
        };
        let SnapshotPlace { seq, reason, .. } = place;
        let count = self.told_count() as u64;
        let (more, partial) = (rest.is_some(), self.is_partial());
        let part = Part { seq, count, members, more, reason, partial };
        (part, rest.map(|rest| SnapshotPlace { rest, ..place }))
    }

    /// Whether `viewer` sees somebody, as observers know the members, whom not everyone may see.
    #[must_use]
    pub fn sees_more(&self, viewer: Viewer<'_>) -> bool {
        self.hides() && !self.told_own_part(u64::MAX, viewer, 0).0.is_empty()
    }
}
