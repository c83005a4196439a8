//! Who is told of a channel on one node, and folds it.

use std::collections::BTreeMap;

use herenow::presence::pending::Changed;
use herenow::presence::{ChannelState, Member, Viewer};
use herenow_protocol::{Event, UserId};

/// Somebody was told that a user is gone.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) at: usize,
    pub(super) user: UserId,
}

/// Knows what it was told.
#[derive(Debug)]
pub(super) struct Observer(BTreeMap<UserId, String>);

fn show(member: &Member) -> String {
    let (attributes, info) = (member.attributes.as_str(), member.info().as_str());
    format!("{attributes} {info} {} {}", member.away, member.joined_at)
}

/// Everybody, with all of it.
pub(super) fn shown(state: &ChannelState) -> BTreeMap<UserId, String> {
    let list = state.members(1_000, None, Viewer::All).members;
    let text = |member: &Member| format!("{} {:?}", show(member), member.audience());
    list.iter().map(|member| (member.user.clone(), text(member))).collect()
}

/// In the order of the list.
pub(super) fn order(state: &ChannelState) -> Vec<UserId> {
    let list = state.members(1_000, None, Viewer::All).members;
    list.iter().map(|member| member.user.clone()).collect()
}

impl Observer {
    pub(super) fn new(state: &ChannelState) -> Self {
        Self(known(state))
    }

    pub(super) fn fold(
        &mut self,
        at: usize,
        changed: &[Changed],
        told: &mut Vec<Told>,
    ) -> Result<(), String> {
        for change in changed {
            let user = change.user().clone();
            match change.event_for(Viewer::All) {
                None => {}
                Some(Event::Join { .. }) => {
                    let now = change.now().map(|member| show(member)).unwrap_or_default();
                    if self.0.insert(user.clone(), now).is_some() {
                        return Err(format!("{user} joined twice"));
                    }
                }
                Some(Event::UpdateAttributes { .. }) => {
                    let now = change.now().map(|member| show(member)).unwrap_or_default();
                    if self.0.insert(user.clone(), now).is_none() {
                        return Err(format!("{user} changed and never joined"));
                    }
                }
                Some(Event::Leave { .. } | Event::Timeout { .. }) => {
                    if self.0.remove(&user).is_none() {
                        return Err(format!("{user} went and never joined"));
                    }
                    told.push(Told { at, user });
                }
            }
        }
        Ok(())
    }

    /// Whether it knows what is there.
    pub(super) fn agrees(&self, state: &ChannelState) -> bool {
        self.0 == known(state)
    }
}

fn known(state: &ChannelState) -> BTreeMap<UserId, String> {
    let list = state.members(1_000, None, Viewer::All).members;
    list.iter().map(|member| (member.user.clone(), show(member))).collect()
}
