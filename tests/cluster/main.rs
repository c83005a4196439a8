//! Many nodes on one store.

mod bus;
mod nodes;
mod store;
mod users;
