//! Where randomness comes from: a seed that is printed, and can be given again.

/// The seed of a random test: `HERENOW_SEED` if set, else a new one. Printed, so that a failure can
/// be repeated with `HERENOW_SEED=… cargo test NAME`.
#[expect(clippy::print_stdout, reason = "cargo shows it when the test fails")]
pub(crate) fn seed(test: &str) -> u64 {
    let seed = std::env::var("HERENOW_SEED")
        .ok()
        .map_or_else(|| fastrand::u64(..), |text| text.parse().expect("HERENOW_SEED is a number"));
    println!("{test}: HERENOW_SEED={seed}");
    seed
}
