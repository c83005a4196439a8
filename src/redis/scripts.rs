//! The scripts: what Redis does at once and whole.

use std::fmt;

use redis::Script;

/// All of them. Redis keeps each after its first use, under a hash of its text.
pub struct Scripts {
    pub(super) say: Script,
    pub(super) bury: Script,
    pub(super) load: Script,
    pub(super) renew: Script,
    pub(super) claim: Script,
    pub(super) forget: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            say: Script::new(concat!(
                include_str!("scripts/common.lua"),
                include_str!("scripts/say.lua")
            )),
            bury: Script::new(concat!(
                include_str!("scripts/common.lua"),
                include_str!("scripts/bury.lua")
            )),
            load: Script::new(include_str!("scripts/load.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
            claim: Script::new(include_str!("scripts/claim.lua")),
            forget: Script::new(include_str!("scripts/forget.lua")),
        }
    }
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripts")
    }
}
