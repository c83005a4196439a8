//! One target under libFuzzer: HERENOW_FUZZ names it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    herenow_fuzz::target(&std::env::var("HERENOW_FUZZ").expect("HERENOW_FUZZ names a target"))
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
