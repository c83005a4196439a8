//! An old copy of the data may have what this node has no more: whoever went since then.
//!
//! What is followed is compared with what is here, and said to be gone if it is not. So each channel in
//! which the store says that this node has something is followed for a moment.
//!
//! Not so a giant that is followed by its summary: to load it just now, while others have not said all
//! again, would tell whoever looks that most have gone. What the copy has too many there is found by
//! whoever lists it.

use std::sync::Arc;

use herenow_protocol::ChannelName;

use super::joint::Joint;
use crate::hub::Hub;
use crate::limits::COMPARE_AGAIN;

impl Joint {
    /// Compares after each loss of data, for as long as the hub lives.
    pub(super) async fn keep_comparing(self: Arc<Self>) {
        loop {
            self.to_compare.notified().await;
            while !self.compare_all().await {
                tokio::time::sleep(COMPARE_AGAIN).await;
            }
        }
    }

    /// Whether it got through.
    async fn compare_all(&self) -> bool {
        let (me, mut cursor) = (self.me(), 0);
        loop {
            let Ok(mut page) = self.store.channels_of_node(me, cursor).await else { return false };
            let Some(hub) = self.hub() else { return true };
            page.items.retain(|name| !is_of_somebody_here(&hub, name) && !hub.sums_up(name));
            if hub.attend_channels(&page.items).await {
                return false;
            }
            cursor = page.next;
            if cursor == 0 {
                return true;
            }
        }
    }
}

/// Whether it is the status of a user whom this node has: what is said again of it is all there is.
fn is_of_somebody_here(hub: &Arc<Hub>, name: &ChannelName) -> bool {
    name.status_of().is_some_and(|user| hub.has_own(name, &user))
}
