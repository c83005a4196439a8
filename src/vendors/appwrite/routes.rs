//! What is answered where.

use axum::Router;

use crate::web::state::Web;

/// The routes.
pub fn routes(_web: &Web) -> Router<Web> {
    Router::new()
}
