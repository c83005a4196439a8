//! What holds in a channel, by its name: what the flags say, or a section of the configuration file.
//! Looked up once, when the channel comes to be; from then on it is a number.

use std::time::Duration;

use herenow_protocol::ChannelName;
use herenow_protocol::reply::HeartbeatInfo;

use crate::auth::Patterns;
use crate::config::{ChannelSection, Config};
use crate::limits::{RECORD_BYTES, RECORD_KEYS};
use crate::presence::Bounds;

/// What holds in a channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelRules {
    /// Members, their attributes, and how many are told one by one.
    pub bounds: Bounds,
    /// The cadence that keeps members present.
    pub heartbeat: HeartbeatInfo,
    /// Whether that is another than what clients are told when they connect.
    pub has_own_heartbeat: bool,
    /// Grace of whoever asks for none, in milliseconds.
    pub default_grace_ms: u64,
    /// Longest grace that is given, in milliseconds.
    pub max_grace_ms: u64,
    /// Whether those may join whose name nobody vouches for.
    pub guests_join: bool,
    /// Whether they may look.
    pub guests_look: bool,
}

/// The rules of all channels.
#[derive(Debug)]
pub(super) struct AllChannelRules {
    /// Those of most channels, of the channel of records, and of each section.
    all: Vec<ChannelRules>,
    /// Which channels the sections are for, in their order.
    sections: Vec<Patterns>,
}

/// The place of the rules of most channels, of records, and of the first section.
const MOST: u16 = 0;
const RECORDS: u16 = 1;
const FIRST_SECTION: u16 = 2;

impl AllChannelRules {
    /// What `config` sets.
    pub(super) fn new(config: &Config) -> Self {
        let most = of_flags(config);
        let records = ChannelRules {
            bounds: Bounds {
                attribute_bytes: most.bounds.attribute_bytes + RECORD_BYTES,
                attribute_keys: RECORD_KEYS,
                ..most.bounds
            },
            ..most
        };
        let sections = config.channels.iter().map(|section| of_section(section, &most));
        let all = [most, records].into_iter().chain(sections).collect();
        let sections = config.channels.iter().map(|section| section.patterns.clone()).collect();
        Self { all, sections }
    }

    /// The number of the rules of a channel that comes to be. No section is for what the broker keeps
    /// for itself.
    pub(super) fn number_of(&self, name: &ChannelName) -> u16 {
        if name.is_of_records() {
            return RECORDS;
        }
        if self.sections.is_empty() || name.is_status() {
            return MOST;
        }
        let matches = |patterns: &Patterns| patterns.match_any(name.as_str());
        // There are at most as many as the file may have.
        self.sections.iter().position(matches).map_or(MOST, |place| FIRST_SECTION + place as u16)
    }

    /// Those of that number.
    pub(super) fn get(&self, number: u16) -> &ChannelRules {
        self.all.get(usize::from(number)).unwrap_or(&self.all[usize::from(MOST)])
    }

    /// Those of most channels.
    pub(super) fn most(&self) -> &ChannelRules {
        self.get(MOST)
    }

    /// Whether guests may join and look everywhere.
    pub(super) fn trust_guests(&self) -> bool {
        self.all.iter().all(|rules| rules.guests_join && rules.guests_look)
    }
}

fn of_flags(config: &Config) -> ChannelRules {
    let limits = &config.limits;
    ChannelRules {
        bounds: Bounds {
            members: limits.max_members as usize,
            attribute_bytes: limits.max_attribute_bytes as usize,
            attribute_keys: limits.max_attribute_keys as usize,
            roster: limits.roster_limit as usize,
        },
        heartbeat: HeartbeatInfo {
            interval_ms: ms(config.heartbeat_interval()),
            timeout_ms: ms(config.presence_timeout),
        },
        has_own_heartbeat: false,
        default_grace_ms: 0,
        max_grace_ms: ms(limits.max_grace),
        guests_join: true,
        guests_look: true,
    }
}

fn of_section(section: &ChannelSection, most: &ChannelRules) -> ChannelRules {
    let sets = &section.sets;
    let or = |set: Option<u32>, usual: usize| set.map_or(usual, |number| number as usize);
    let bounds = Bounds {
        members: or(sets.max_members, most.bounds.members),
        attribute_bytes: or(sets.max_attribute_bytes, most.bounds.attribute_bytes),
        attribute_keys: or(sets.max_attribute_keys, most.bounds.attribute_keys),
        roster: or(sets.roster_limit, most.bounds.roster),
    };
    let own = sets
        .presence_timeout
        .map(|timeout| HeartbeatInfo { interval_ms: ms(timeout / 2), timeout_ms: ms(timeout) });
    ChannelRules {
        bounds,
        heartbeat: own.unwrap_or(most.heartbeat),
        has_own_heartbeat: own.is_some_and(|own| own != most.heartbeat),
        default_grace_ms: sets.default_grace.map_or(0, ms),
        max_grace_ms: sets.max_grace.map_or(most.max_grace_ms, ms),
        guests_join: sets.guests_join.unwrap_or(true),
        guests_look: sets.guests_look.unwrap_or(true),
    }
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ChannelFlags;

    #[test]
    fn the_first_section_that_matches_holds_alone() {
        let section = |pattern, roster_limit, max_members| ChannelSection {
            patterns: Patterns::parse([pattern]).unwrap(),
            sets: ChannelFlags { roster_limit, max_members, ..<_>::default() },
        };
        let channels = vec![section("stage-1*", Some(7), None), section("*", None, Some(5))];
        let rules = AllChannelRules::new(&Config { channels, ..Config::default() });
        let bounds = |name: &str| {
            let name = ChannelName::parse(name, "channel").unwrap();
            let Bounds { roster, members, .. } = rules.get(rules.number_of(&name)).bounds;
            (roster, members)
        };
        assert_eq!(bounds("stage-12"), (7, 100_000));
        assert_eq!(bounds("stage-2"), (1_000, 5));
        // No pattern reaches what is the broker's own.
        assert_eq!(rules.number_of(&ChannelName::of_records()), RECORDS);
        let user = herenow_protocol::UserId::parse("ada", "user").unwrap();
        assert_eq!(rules.number_of(&ChannelName::of_status(&user, &user)), MOST);
    }
}
