//! The routes of the vendors that are switched on.

use axum::Router;
use axum::routing::MethodRouter;

use super::{appwrite, livelike, saathii, social_plus};
use crate::config::{Vendor, Vendors};
use crate::web::state::Web;

type Wing = fn(&Web) -> Router<Web>;

/// The routes of `vendors`, with whatever holds for requests by their libraries. `sockets` takes over
/// the WebSockets of Appwrite's.
pub fn routes(web: &Web, vendors: &Vendors, sockets: MethodRouter<Web>) -> Router<Web> {
    let wings: [(Vendor, Wing); 3] = [
        (Vendor::LiveLike, livelike::routes),
        (Vendor::SocialPlus, social_plus::routes),
        (Vendor::Saathii, saathii::routes),
    ];
    let served = wings.into_iter().filter(|&(vendor, _)| vendors.serve(vendor));
    let served = served.fold(Router::new(), |all, (_, wing)| all.merge(wing(web)));
    if vendors.serve(Vendor::Appwrite) {
        return served.merge(appwrite::routes(web, sockets));
    }
    served
}
