//! A query whose answer is not known yet.

use std::fmt;
use std::pin::Pin;

use herenow_protocol::reply::Answer;
use herenow_protocol::{FrameId, Refusal};

use crate::actions::Known;

/// What a query came to.
pub(super) struct Answered {
    pub(super) known: Known<Answer>,
    /// It is a list, and everyone may see all who stand in it: it may be compressed.
    pub(super) to_all: bool,
}

impl From<Known<Answer>> for Answered {
    /// What is no list.
    fn from(known: Known<Answer>) -> Self {
        Self { known, to_all: false }
    }
}

pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Answered, Refusal>> + Send>>;

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
