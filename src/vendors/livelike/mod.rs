//! LiveLike: user presence, over long polls as PubNub's, which LiveLike's client library speaks.
//!
//! - [`manner`]: who asks, and how a refusal is told.
//! - [`input`]: what a request asks for.
//! - [`stamps`], [`ring`], [`gather`]: timetokens; the events of one channel; what a poll is told.
//! - [`listened`], [`listening`]: a channel that is listened to, and all of them.
//! - [`shapes`]: how answers are written.
//! - [`start`]: how LiveLike's library begins.
//! - [`poll`], [`presence`]: PubNub's requests.
//! - [`routes`](mod@routes): what is answered where.

pub mod gather;
pub mod input;
pub mod listened;
pub mod listening;
pub mod manner;
pub mod poll;
pub mod presence;
pub mod ring;
pub mod routes;
pub mod shapes;
pub mod stamps;
pub mod start;

pub use routes::routes;
