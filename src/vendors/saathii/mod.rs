//! Saathii: the status API. A user's status here is Saathii's; its ids are whole numbers.
//!
//! - [`failure`]: what goes wrong, as Saathii says it.
//! - [`input`]: ids and changes out of a request.
//! - [`manner`]: who asks.
//! - [`shapes`]: what is answered, as JSON.
//! - [`routes`](mod@routes): what is answered where.

pub mod failure;
pub mod input;
pub mod manner;
pub mod routes;
pub mod shapes;

pub use routes::routes;
