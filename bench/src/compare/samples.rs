//! The numbers of a comparison.

use crate::compare::work::Work;
use crate::peer::Peer;
use crate::table::median;

/// One number that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) work: Work,
    pub(crate) peer: Peer,
    pub(crate) repeat: u32,
    pub(crate) metric: &'static str,
    pub(crate) value: f64,
}

/// All numbers of a run.
#[derive(Debug, Default)]
pub(crate) struct Samples(pub(super) Vec<Sample>);

impl Samples {
    /// The median over the repeats.
    pub(crate) fn median(&self, work: Work, peer: Peer, metric: &str) -> Option<f64> {
        let matching = self
            .0
            .iter()
            .filter(|sample| sample.work == work && sample.peer == peer && sample.metric == metric);
        median(&mut matching.map(|sample| sample.value).collect::<Vec<_>>())
    }
}
