//! The routes of the vendors that are switched on.

use axum::Router;

use super::{appwrite, livelike, saathii, social_plus};
use crate::config::{Vendor, Vendors};
use crate::web::state::Web;

type Wing = fn(&Web) -> Router<Web>;

/// The routes of `vendors`, with whatever holds for requests by their libraries.
pub fn routes(web: &Web, vendors: &Vendors) -> Router<Web> {
    let wings: [(Vendor, Wing); 4] = [
        (Vendor::Appwrite, appwrite::routes),
        (Vendor::LiveLike, livelike::routes),
        (Vendor::SocialPlus, social_plus::routes),
        (Vendor::Saathii, saathii::routes),
    ];
    let served = wings.into_iter().filter(|&(vendor, _)| vendors.serve(vendor));
    served.fold(Router::new(), |all, (_, wing)| all.merge(wing(web)))
}
