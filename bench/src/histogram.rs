//! Latencies by the million in a few KiB: buckets of 1.6 % width.

use std::time::Duration;

/// Buckets for each power of two.
const FINE: u64 = 64;
const FINE_BITS: u32 = FINE.trailing_zeros();

/// How often each latency was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX >> 1);
        let bucket = bucket(micros);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.total += 1;
        self.longest = self.longest.max(micros);
    }

    /// The latency in milliseconds that `share` of all did not exceed.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let rank = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return upper(bucket as u64).min(self.longest) as f64 / 1e3;
            }
        }
        0.0
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.longest as f64 / 1e3
    }
}

/// Values below `FINE` have a bucket each; above, each power of two has `FINE`.
fn bucket(value: u64) -> usize {
    let power = (value | (FINE - 1)).ilog2() + 1 - FINE_BITS;
    (u64::from(power) * FINE + (value >> power)) as usize
}

/// The largest value of a bucket.
fn upper(bucket: u64) -> u64 {
    let power = bucket / FINE;
    // From the first power on, only the upper half of the range is used: the top bit is set.
    ((bucket - power * FINE + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values() {
        for value in (0..100_000).chain([1 << 40, (1 << 40) + 12_345]) {
            let upper = upper(bucket(value) as u64);
            assert!(
                upper >= value && upper as f64 <= value as f64 * 1.033 + 1.0,
                "{value} {upper}"
            );
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        assert!((histogram.quantile_ms(0.5) - 500.0).abs() < 20.0);
        assert!((histogram.quantile_ms(0.99) - 990.0).abs() < 35.0);
        assert!((histogram.max_ms() - 1000.0).abs() < 0.1);
    }
}
