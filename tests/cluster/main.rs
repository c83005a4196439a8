//! Many nodes on one store.

mod nodes;
mod store;
