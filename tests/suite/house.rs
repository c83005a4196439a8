//! What each part must not know, read off the sources. `house/plan.rs` says what that is.

mod crates;
mod graph;
mod javascript;
mod plan;
mod sources;
mod syntax;

use sources::Sources;

#[test]
fn arrows_point_one_way_and_make_no_circles() {
    let faults = plan::faults(&sources::ours());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
