//! Many nodes on one store.

mod bus;
mod store;
mod users;
