//! Latencies by the million in some 200 KiB, each known to a thousandth of itself.

use std::time::Duration;

use crate::failure::{Context, Result};

/// Decimal digits of a latency that count: within 0.1 %.
const DIGITS: u8 = 3;
/// Longer latencies, in microseconds, count as this one: a day, which no step of a run may take.
/// With a bound from the start the table of counts never grows while something is measured.
const LONGEST_MICROS: u64 = 24 * 60 * 60 * 1_000_000;

/// How often each latency was seen, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    /// The counts know the longest latency only as closely as all others.
    longest: u64,
}

impl Histogram {
    /// An empty one.
    ///
    /// # Errors
    /// If the library refuses the bounds above.
    pub(crate) fn new() -> Result<Self> {
        let counts = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)
            .context(|| "a histogram".to_owned())?;
        Ok(Self { counts, longest: 0 })
    }

    pub(crate) fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_MICROS);
        self.counts.saturating_record(micros);
        self.longest = self.longest.max(micros.min(LONGEST_MICROS));
    }

    /// Forgets all latencies.
    pub(crate) fn clear(&mut self) {
        self.counts.reset();
        self.longest = 0;
    }

    /// The latency in milliseconds that `share` of all did not exceed; 0 if there are none.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        self.counts.value_at_quantile(share).min(self.longest) as f64 / 1e3
    }

    /// The longest latency in milliseconds; 0 if there are none.
    pub(crate) fn max_ms(&self) -> f64 {
        self.longest as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: impl IntoIterator<Item = Duration>) -> Histogram {
        let mut histogram = Histogram::new().unwrap();
        latencies.into_iter().for_each(|latency| histogram.add(latency));
        histogram
    }

    #[test]
    fn a_latency_is_known_within_a_thousandth() {
        let small = (0..3000).chain((3000..100_000).step_by(97));
        for value in small.chain([1 << 34, (1 << 34) + 12_345_678]) {
            // A longer one beside it, so that the longest does not stand in for the quantile.
            let micros = [value, LONGEST_MICROS].map(Duration::from_micros);
            let found = (of(micros).quantile_ms(0.5) * 1e3).round() as u64;
            assert!((value..=value + value / 1000).contains(&found), "{value} {found}");
        }
    }

    #[test]
    fn quantiles() {
        let histogram = of((1..=1000).map(Duration::from_millis));
        assert!((histogram.quantile_ms(0.5) - 500.0).abs() < 1.0);
        assert!((histogram.quantile_ms(0.99) - 990.0).abs() < 1.0);
        assert!((histogram.max_ms() - 1000.0).abs() < 0.1);
        assert!(histogram.quantile_ms(1.0) <= histogram.max_ms());
    }

    #[test]
    fn nothing_is_zero_and_too_long_is_a_day() {
        let mut histogram = of([Duration::MAX, Duration::from_secs(2 * 24 * 60 * 60)]);
        assert!((histogram.max_ms() - 86_400_000.0).abs() < 0.1);
        histogram.clear();
        assert!(histogram.quantile_ms(0.99) == 0.0 && histogram.max_ms() == 0.0);
    }
}
