#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests wait for what is real")]
//! Many nodes on one store.

mod bus;
mod channels;
mod nodes;
#[allow(dead_code, reason = "others need more of it")]
mod store;
mod users;

/// The number that a variable of the environment gives.
fn numbered(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}
