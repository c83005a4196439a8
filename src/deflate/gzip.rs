//! An HTTP answer, smaller (RFC 1952).

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::limits::SQUEEZE_LEVEL;

/// The same bytes, gzipped; `None`: they get no smaller.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let room = Vec::with_capacity(bytes.len() / 2);
    let mut encoder = GzEncoder::new(room, Compression::new(SQUEEZE_LEVEL));
    // Into memory, so neither ever fails.
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|packed| packed.len() < bytes.len())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_gets_smaller_is_the_same_again() {
        let text = br#"{"user":"ada","attributes":{}},"#.repeat(100);
        let packed = gzip(&text).unwrap();
        assert!(packed.len() < text.len() / 10);
        let mut back = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        assert_eq!(gzip(b"short"), None);
    }
}
