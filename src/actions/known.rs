//! What is answered from the live state of a cluster.

/// An answer, and whether it may not be all: of other nodes not everything was known. Never so where
/// the broker runs alone.
#[derive(Clone, Debug)]
pub struct Known<T> {
    /// The answer.
    pub is: T,
    /// It may not be all.
    pub partial: bool,
}

impl<T> Known<T> {
    /// The answer as something else.
    #[must_use]
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Known<U> {
        Known { is: to(self.is), partial: self.partial }
    }
}
