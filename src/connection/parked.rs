//! A query whose answer is not known yet.

use std::fmt;
use std::pin::Pin;

use herenow_protocol::reply::Answer;
use herenow_protocol::{FrameId, Refusal};

use crate::actions::Known;

pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Known<Answer>, Refusal>> + Send>>;

/// A query whose answer is not known yet.
pub(super) struct Parked {
    /// Of the frame that asked.
    pub(super) id: Option<FrameId>,
    pub(super) answering: Answering,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("id", &self.id).finish_non_exhaustive()
    }
}
