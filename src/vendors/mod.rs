//! Wings for the client libraries of other presence systems, which are pointed here unmodified. Each
//! translates its vendor's requests into actions at the [desk](crate::actions) and into
//! [followers](crate::hub::Follower), and answers in the vendor's shape. Rights, limits and refusals
//! are the desk's. No wing keeps presence of its own, and none knows another.
//!
//! In the order in which the files need each other:
//!
//! - [`keepers`]: the leases of each vendor, apart from the others'.
//! - [`credential`]: whom a vendor's credential stands for.
//! - [`times`]: moments as vendors write them.
//! - [`refusing`]: what a refusal's answer carries in whatever shape.
//! - [`appwrite`], [`livelike`], [`saathii`], [`social_plus`]: the wings.
//! - [`serving`]: the routes of those that are switched on.

pub mod appwrite;
pub mod credential;
pub mod keepers;
pub mod livelike;
pub mod refusing;
pub mod saathii;
pub mod serving;
pub mod social_plus;
pub mod times;

pub use serving::routes;
