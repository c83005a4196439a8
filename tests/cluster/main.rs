//! Many nodes on one store.

mod store;
