//! The leases of each vendor are of a kind of their own: whoever leaves by one vendor's library stays
//! for as long as another's keeps them present.

use crate::presence::Keeper;

/// Appwrite's.
pub const APPWRITE: Keeper = Keeper::Vendor(0);

/// LiveLike's, and PubNub's beneath it.
pub const LIVELIKE: Keeper = Keeper::Vendor(1);

/// social.plus'.
pub const SOCIAL_PLUS: Keeper = Keeper::Vendor(2);
