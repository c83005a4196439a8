//! What an operator sets for some channels apart from all others: a `[[channel]]` section of the
//! configuration file.

use std::time::Duration;

use clap::Args;

use crate::auth::Patterns;
use crate::duration;

/// One section. The first that a channel's name matches holds for the channel, and it alone.
#[derive(Clone, Debug, Default)]
pub struct ChannelSection {
    /// Which channels it is for.
    pub patterns: Patterns,
    /// What holds for them.
    pub sets: ChannelFlags,
}

/// What a section may set. What it leaves out is as the flags say.
#[derive(Args, Clone, Debug, Default)]
pub struct ChannelFlags {
    /// Members above which subscribers are told the count instead of every change; 0: always
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub roster_limit: Option<u32>,

    /// Members of the channel
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_members: Option<u32>,

    /// Bytes of a member's attributes, as JSON without white space
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    pub max_attribute_bytes: Option<u32>,

    /// Top-level keys of a member's attributes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub max_attribute_keys: Option<u32>,

    /// Grace of whoever joins without asking for one; none, where it is not set
    #[arg(long, value_name = "TIME", value_parser = duration::any)]
    pub default_grace: Option<Duration>,

    /// Longest grace that a join is given
    #[arg(long, value_name = "TIME", value_parser = duration::any)]
    pub max_grace: Option<Duration>,

    /// Silence after which a member is gone
    #[arg(long, value_name = "TIME", value_parser = duration::positive)]
    pub presence_timeout: Option<Duration>,

    /// Whether those may join whose name nobody vouches for: without a token, and without an API key
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    pub guests_join: Option<bool>,

    /// Whether they may look: subscribe, list, count
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    pub guests_look: Option<bool>,
}
