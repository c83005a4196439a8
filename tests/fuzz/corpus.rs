//! Each target over its kept corpus, and over that mutated at random. scripts/fuzz looks for more, guided
//! by what the code covers, and adds what it found.
#![allow(clippy::print_stdout, reason = "a seed, and what was read when a promise broke")]

use std::path::Path;

use herenow_fuzz::TARGETS;

/// Mutations of each target. HERENOW_FUZZ_MUTATIONS asks for more.
const MUTATIONS: usize = 3_000;

/// Bytes that mean something somewhere.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"\n",
];

/// Longer than any of the bounds that are tried.
const MOST_BYTES: usize = 4_096;

/// The corpus of a target: one entry a line, in hexadecimal digits.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{name}.hex"));
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let entry = |line: &str| {
        let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("two digits");
        (0..line.len()).step_by(2).map(byte).collect()
    };
    lines.lines().map(entry).collect()
}

fn mutated(random: &mut fastrand::Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        let end = random.usize(at..=bytes.len().min(at + 16));
        match random.u8(..6) {
            0 => drop(bytes.drain(at..end)),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 if at < bytes.len() => bytes[at] = random.u8(..),
            3 => {
                let word = random.choice(WORDS).unwrap_or_default();
                drop(bytes.splice(at..at, word.iter().copied()));
            }
            4 => {
                let again = bytes[at..end].repeat(random.usize(1..8));
                drop(bytes.splice(at..at, again));
            }
            _ => {
                let other = random.choice(corpus).cloned().unwrap_or_default();
                let from = random.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

/// Says what was read when a target panics.
struct Reading<'a>(&'a str, &'a [u8], u64);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(name, bytes, seed) = self;
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{name}, HERENOW_SEED={seed}: {}\n{hex}", bytes.escape_ascii());
        }
    }
}

#[test]
fn every_target_keeps_its_promises() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("HERENOW_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mutations = number("HERENOW_FUZZ_MUTATIONS").map_or(MUTATIONS, |n| n as usize);
    println!("HERENOW_SEED={seed}");
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        let mut random = fastrand::Rng::with_seed(seed);
        for bytes in &corpus {
            let _reading = Reading(name, bytes, seed);
            target(bytes);
        }
        for _ in 0..mutations {
            let bytes = mutated(&mut random, &corpus);
            let _reading = Reading(name, &bytes, seed);
            target(&bytes);
        }
    }
}
