//! The scripts: what Redis does at once and whole.

use std::fmt;

use redis::Script;

/// All of them. Redis keeps each after its first use, under a hash of its text.
pub struct Scripts {
    pub(super) say: Script,
    pub(super) bury: Script,
    pub(super) load: Script,
    pub(super) summary: Script,
    pub(super) renew: Script,
    pub(super) claim: Script,
    pub(super) forget: Script,
}

/// A script behind what all share.
macro_rules! script {
    ($($name:literal),+) => {
        Script::new(concat!(include_str!("scripts/common.lua"), $("\n", include_str!($name)),+))
    };
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            say: script!("scripts/channel.lua", "scripts/say.lua"),
            bury: script!("scripts/channel.lua", "scripts/bury.lua"),
            load: script!("scripts/load.lua"),
            summary: script!("scripts/channel.lua", "scripts/summary.lua"),
            renew: script!("scripts/renew.lua"),
            claim: script!("scripts/claim.lua"),
            forget: script!("scripts/forget.lua"),
        }
    }
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripts")
    }
}
