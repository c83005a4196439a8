//! A message of a client, back to what it says (RFC 7692, section 7.2.2), and no further than a
//! message may be.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

/// Why a message can't be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It says more than a message may.
    TooBig,
    /// It is no whole message.
    Broken,
}

/// What the sender took away from the end of each message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// An empty last block. Behind the tail a whole message has just ended a block; one that was cut is in
/// the midst of one, and takes this for something else.
const END: [u8; 2] = [3, 0];

/// Bytes to which the result may grow before anything was inflated: a message that says little in many
/// bytes shall not reserve what it does not need.
const FIRST_BYTES: usize = 4 * 1024;

/// Most bytes that a message may have while it is compressed, if it may say `limit` bytes: what does
/// not get smaller grows by a little for each of its blocks.
#[must_use]
pub fn most_squeezed(limit: usize) -> usize {
    limit + limit / 64 + 64
}

/// What the message in `payload` says, if it is at most `limit` bytes. Nothing beyond them is
/// inflated.
///
/// # Errors
/// What is wrong with it.
pub fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
    thread_local! {
        static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    }
    let mut out = Vec::new();
    // Nothing at all should be written as an empty block, and is understood all the same.
    if !payload.is_empty() {
        INFLATER.with_borrow_mut(|inflater| {
            inflater.reset(false);
            whole(inflater, payload, limit, &mut out)
        })?;
    }
    Ok(out)
}

fn whole(
    inflater: &mut Decompress,
    payload: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Damage> {
    let ended = some(inflater, payload, limit, out)?;
    if ended {
        // Its last block said so itself.
        return Ok(());
    }
    let end = [&TAIL[..], &END].concat();
    if some(inflater, &end, limit, out)? { Ok(()) } else { Err(Damage::Broken) }
}

/// Inflates `input`; whether it ended with a last block. What comes behind a last block begins anew.
fn some(
    inflater: &mut Decompress,
    mut input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<bool, Damage> {
    loop {
        if out.len() == out.capacity() {
            // One byte more than there may be shows that there is more.
            let most = (limit + 1 - out.len()).min(out.len().max(FIRST_BYTES));
            out.reserve_exact(most);
        }
        let (taken, made) = (inflater.total_in(), out.len());
        let status = inflater
            .decompress_vec(input, out, FlushDecompress::Sync)
            .map_err(|_| Damage::Broken)?;
        let taken = (inflater.total_in() - taken) as usize;
        input = &input[taken..];
        if out.len() > limit {
            return Err(Damage::TooBig);
        }
        match status {
            Status::StreamEnd if input.is_empty() => return Ok(true),
            Status::StreamEnd => inflater.reset(false),
            // It may have more to say than there was room for.
            _ if out.len() == out.capacity() => {}
            _ if input.is_empty() => return Ok(false),
            _ if taken == 0 && out.len() == made => return Err(Damage::Broken),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    use super::*;

    /// As a client compresses: with a flush in between, if it likes, and without the tail.
    fn deflate(parts: &[&[u8]], level: u32, window: u8) -> Vec<u8> {
        let mut compress = Compress::new_with_window_bits(Compression::new(level), false, window);
        let mut out = Vec::new();
        for part in parts {
            let mut rest = *part;
            loop {
                out.reserve(1_024);
                let before = compress.total_in();
                compress.compress_vec(rest, &mut out, FlushCompress::Sync).unwrap();
                rest = &rest[(compress.total_in() - before) as usize..];
                if rest.is_empty() && out.len() < out.capacity() {
                    break;
                }
            }
        }
        assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }

    /// RFC 7692, section 7.2.3.
    #[test]
    fn the_examples_of_the_rfc() {
        let hello: [(&str, &[u8]); 5] = [
            ("one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
            ("no compression", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]),
            ("a last block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
            (
                "two blocks",
                &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            ),
            // The byte behind a last block was forgotten.
            ("a last block alone", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        ];
        for (what, bytes) in hello {
            assert_eq!(inflate(bytes, 5), Ok(b"Hello".to_vec()), "{what}");
            assert_eq!(inflate(bytes, 4), Err(Damage::TooBig), "{what}");
        }
        assert_eq!(inflate(&[0], 0), Ok(Vec::new()), "an empty message");
        assert_eq!(inflate(&[], 0), Ok(Vec::new()), "no byte at all");
    }

    #[test]
    fn a_bomb_is_inflated_to_its_limit_and_no_further() {
        let zeros = vec![b'0'; 100 << 20];
        let bomb = deflate(&[&zeros], 9, 15);
        assert!(bomb.len() < 200_000, "{}", bomb.len());
        let limit = 16 * 1024;
        assert_eq!(inflate(&bomb, limit), Err(Damage::TooBig));
        let mut out = Vec::new();
        assert!(whole(&mut Decompress::new(false), &bomb, limit, &mut out).is_err());
        assert!(out.capacity() <= 2 * limit, "{}", out.capacity());
        // Blocks that say nothing at all are read once, and that is all.
        let nothing = [0, 0, 0, 0xff, 0xff].repeat(3_000);
        assert_eq!(inflate(&[&nothing[..], &[0]].concat(), limit), Ok(Vec::new()));
        // So are streams that end and begin anew.
        let ends = [3, 0].repeat(3_000);
        assert_eq!(inflate(&ends, limit), Ok(Vec::new()));
    }

    #[test]
    fn the_limit_itself_is_fine_and_one_more_is_not() {
        for size in [1, 125, 4_096, 4_097, 16_384, 65_536] {
            let text: Vec<u8> = (0..size).map(|n| (n * 7919 % 251) as u8).collect();
            for level in [0, 1, 9] {
                let squeezed = deflate(&[&text], level, 15);
                assert!(squeezed.len() <= most_squeezed(size), "{size} {level}");
                assert_eq!(inflate(&squeezed, size).as_ref(), Ok(&text), "{size} {level}");
                assert_eq!(inflate(&squeezed, size - 1), Err(Damage::TooBig), "{size} {level}");
            }
        }
    }

    #[test]
    fn what_is_damaged_is_told_so() {
        let text = br#"{"type":"join","channel":"room","attributes":{"mood":"happy"}}"#;
        let good = deflate(&[text], 6, 15);
        assert_eq!(inflate(&good, 999), Ok(text.to_vec()));
        for end in 1..good.len() {
            let cut = inflate(&good[..end], 999);
            assert!(
                cut.as_ref().is_err() || cut.as_ref().is_ok_and(|it| it == text),
                "{end}: {cut:?}"
            );
        }
        // A block of a kind that there is not, a length that does not fit its complement.
        for bytes in [&[0x06][..], &[0xff; 9], &[0, 1, 0, 0, 0, b'x']] {
            assert_eq!(inflate(bytes, 999), Err(Damage::Broken), "{bytes:x?}");
        }
        // And whoever comes next on this thread is not harmed.
        assert_eq!(inflate(&good, 999), Ok(text.to_vec()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

        /// Whatever its kind, its blocks and its window.
        #[test]
        fn what_was_deflated_is_inflated(
            texts in prop::collection::vec("([a-e]{0,300}|[ -~é€]{0,60})", 1..6),
            level in 0..10u32,
            window in 9..16u8,
        ) {
            let parts: Vec<_> = texts.iter().map(String::as_bytes).collect();
            let whole = parts.concat();
            let squeezed = deflate(&parts, level, window);
            prop_assert_eq!(inflate(&squeezed, whole.len()), Ok(whole));
        }

        /// Noise does no harm, and comes to an end.
        #[test]
        fn noise_is_damage_or_some_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(out) = inflate(&bytes, 2_000) {
                prop_assert!(out.len() <= 2_000);
            }
        }
    }
}
