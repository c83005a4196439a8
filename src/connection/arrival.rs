//! Whose a connection is: known from its handshake on, or, in a vendor's dialect, from a word of its
//! client on; and the record that its user keeps by it.

use std::sync::Arc;

use herenow_protocol::{ErrorCode, Refusal};

use super::client::Client;
use crate::actions::Desk;
use crate::auth::{Access, Caller, Identity};
use crate::delivery::{Outlet, Sending};
use crate::hub::Channel;
use crate::now::Now;

impl Client {
    /// Where its requests go.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// The connection as others may touch it.
    #[must_use]
    pub fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// Whose the connection is, as far as that is known.
    #[must_use]
    pub fn identity(&self, sending: &Sending<'_>) -> Option<Identity> {
        let user = self.outlet.is_known().then(|| self.outlet.user().clone())?;
        Some(Identity { user, access: sending.access().cloned() })
    }

    /// The connection is that user's from here on, if nobody said whose it is.
    ///
    /// # Errors
    /// `forbidden`: it is another user's; `unavailable`: the user has too many connections;
    /// `unauthenticated`: the user was signed out meanwhile.
    pub fn identify(
        &mut self,
        sending: &mut Sending<'_>,
        identity: Identity,
        now: Now,
    ) -> Result<(), Refusal> {
        let Identity { user, access } = identity;
        let known = self.outlet.is_known();
        if !known {
            self.desk.hub().check_connections(&user)?;
        }
        if !self.outlet.identify(&user) {
            let rule = "must be one of the same user; connect anew to be another";
            return Err(Refusal::field(ErrorCode::Forbidden, "session", rule));
        }
        sending.set_access(access.clone());
        (self.warned, self.retime) = (false, true);
        if !known {
            let info = access.as_deref().map(Access::info);
            self.counts_away = self.desk.hub().user_connected(&self.outlet, info, now)?;
        }
        // From here on a kick finds the connection. One that came since the token was looked at did
        // not.
        let caller = Caller::User { user: self.outlet.user(), access: access.as_deref() };
        self.desk.auth().check_signed_in(caller, now)
    }

    /// Somebody is there, whatever was said.
    pub fn heard(&mut self, now: Now) {
        self.outlet.heard(now.mono_ms);
        if self.counts_away {
            self.count_away(now);
        }
    }

    /// The connection keeps its user's record, in that channel, until it ends.
    pub fn keeps_record(&mut self, channel: &Arc<Channel>) {
        match self.places.find(channel.name()) {
            // One that was emptied meanwhile is gone, and this is another.
            Some(place) => place.channel = Arc::clone(channel),
            None => self.places.get_or_add(channel).joined = true,
        }
    }
}
