//! What every action works with.

use std::sync::Arc;

use super::rules::Rules;
use crate::auth::Auth;
use crate::hub::Hub;
use crate::now::Now;

/// Where everything is asked for.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(super) hub: Arc<Hub>,
    auth: Arc<Auth>,
    rules: Rules,
}

impl Desk {
    /// A desk at which `hub` is acted on, under `rules`, by callers whom `auth` knows.
    #[must_use]
    pub fn new(hub: Arc<Hub>, auth: Arc<Auth>, rules: Rules) -> Arc<Self> {
        Arc::new(Self { hub, auth, rules })
    }

    /// All channels and connections.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Who a client is, and what it may do.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// What holds for everybody.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Now {
        self.hub.clock().now()
    }
}
