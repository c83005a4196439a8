//! The configuration file: every flag by its name, and sections for some channels. What a flag takes
//! is judged by the flag itself, so that a value means the same wherever it stands.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::channels::{ChannelFlags, ChannelSection};
use crate::auth::Patterns;
use crate::limits::{MAX_CHANNEL_SECTIONS, MAX_CONFIG_BYTES};

/// The sections for some channels, as the file calls them.
const SECTION: &str = "channel";

/// What says in a section which channels it is for.
const PATTERN: &str = "pattern";

/// The flag that names the file, which can't name another.
const FLAG: &str = "config";

/// A configuration file that was read, and of which every value is good.
#[derive(Debug)]
pub struct ConfigFile {
    name: String,
    flags: Keys,
    channels: Vec<(ChannelSection, Keys)>,
}

/// A value, as text, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) line: usize,
    pub(super) values: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Text,
    List,
}

/// What is set, by its key.
pub(super) type Keys = BTreeMap<String, Given>;

impl ConfigFile {
    /// Reads the file, in which `flags` may be set.
    ///
    /// # Errors
    /// One line: a file that can't be read, is too large or is no TOML; a key that is none, or a value
    /// that is not good for it, with the line where it stands.
    pub fn read(path: &Path, flags: &Command) -> Result<Self, String> {
        let name = path.display().to_string();
        let wrong = |why: &dyn std::fmt::Display| format!("--{FLAG} {name}: {why}");
        let mut text = String::new();
        let file = File::open(path).map_err(|error| wrong(&error))?;
        // Not more, or a device without end would never be read.
        let read = file.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| wrong(&error))?;
        if text.len() as u64 > MAX_CONFIG_BYTES {
            return Err(wrong(&format_args!("is larger than {MAX_CONFIG_BYTES} bytes")));
        }
        Self::parse(&name, &text, flags)
    }

    /// As [`ConfigFile::read`], of a text that is there already. `name` is what messages call it.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn parse(name: &str, text: &str, flags: &Command) -> Result<Self, String> {
        let reading = Reading { name, text };
        let table = DeTable::parse(text).map_err(|error| {
            let begin = error.span().map_or(0, |span| span.start);
            reading.wrong(reading.line(begin), error.message())
        })?;
        let mut file = Self { name: name.to_owned(), flags: Keys::new(), channels: Vec::new() };
        let sections_take = ChannelFlags::augment_args(Command::new(SECTION));
        for (key, value) in table.get_ref() {
            let line = reading.line(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                (SECTION, DeValue::Array(sections)) => {
                    if sections.len() > MAX_CHANNEL_SECTIONS {
                        let why = format!("must be at most {MAX_CHANNEL_SECTIONS} sections");
                        return Err(reading.wrong(line, &format!("[[{SECTION}]]: {why}")));
                    }
                    for section in sections {
                        file.channels.push(reading.section(section, &sections_take)?);
                    }
                }
                (SECTION, _) => {
                    let why = format!("{SECTION}: is written as [[{SECTION}]], once for each");
                    return Err(reading.wrong(line, &why));
                }
                (key, value) => {
                    let given = reading.given(key, line, value)?;
                    reading.check(key, &given, flags)?;
                    file.flags.insert(key.to_owned(), given);
                }
            }
        }
        Ok(file)
    }

    /// The sections, in the order in which they stand.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelSection> {
        self.channels.iter().map(|(section, _)| section.clone()).collect()
    }

    /// `command` and its subcommands with what the file sets as their defaults: so the command line and
    /// the environment beat it.
    #[must_use]
    pub fn beneath(&self, command: Command) -> Command {
        let one = |command: Command| {
            command.mut_args(|arg| match arg.get_long().and_then(|key| self.flags.get(key)) {
                Some(given) => arg.default_values(given.values.clone()),
                None => arg,
            })
        };
        one(command).mut_subcommands(one)
    }

    /// What messages call the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the file says of that flag.
    pub(super) fn flag(&self, key: &str) -> Option<&Given> {
        self.flags.get(key)
    }

    /// What each section says, key by key.
    pub(super) fn sections(&self) -> impl Iterator<Item = &Keys> {
        self.channels.iter().map(|(_, keys)| keys)
    }
}

/// A file that is being read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    name: &'a str,
    text: &'a str,
}

impl Reading<'_> {
    fn line(self, byte: usize) -> usize {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// A mistake, in one line.
    fn wrong(self, line: usize, why: &str) -> String {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}, line {line}: {why}", self.name)
    }

    fn given(self, key: &str, line: usize, value: &DeValue<'_>) -> Result<Given, String> {
        let (kind, values) = match value {
            DeValue::Boolean(value) => (Kind::Bool, vec![value.to_string()]),
            DeValue::Array(list) => {
                let texts = list.iter().map(|one| one.get_ref().as_str().map(str::to_owned));
                let Some(texts) = texts.collect::<Option<Vec<_>>>() else {
                    return Err(self.wrong(line, &format!("{key}: must be a list of texts")));
                };
                (Kind::List, texts)
            }
            value => match text_of(value) {
                Some(text) => (Kind::Text, vec![text]),
                None => {
                    let rule = "must be true, false, a text, a whole number or a list of texts";
                    return Err(
                        self.wrong(line, &format!("{key}: {rule}, not {}", value.type_str()))
                    );
                }
            },
        };
        Ok(Given { line, values, kind })
    }

    /// Whether `flags` has a flag of that name that takes the value, as it would on the command line.
    fn check(self, key: &str, given: &Given, flags: &Command) -> Result<(), String> {
        let wrong = |why: &str| Err(self.wrong(given.line, &format!("{key}: {why}")));
        let known = flags.get_arguments().find(|arg| arg.get_long() == Some(key));
        let Some(arg) = known.filter(|_| key != FLAG) else {
            return wrong(&unknown(key, flags));
        };
        let many = matches!(arg.get_action(), ArgAction::Append);
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        match given.kind {
            Kind::List if !many => return wrong("takes one value, not a list"),
            Kind::Text if switch => return wrong("must be true or false"),
            Kind::Bool if switch => return Ok(()),
            _ => {}
        }
        let alone =
            Command::new(SECTION).no_binary_name(true).disable_help_flag(true).arg(alone(arg));
        let words = given.values.iter().map(|value| format!("--{key}={value}"));
        match alone.try_get_matches_from(words) {
            Ok(_) => Ok(()),
            Err(error) => wrong(&rule_of(&error)),
        }
    }

    fn section(
        self,
        section: &Spanned<DeValue<'_>>,
        takes: &Command,
    ) -> Result<(ChannelSection, Keys), String> {
        let line = self.line(section.span().start);
        let Some(table) = section.get_ref().as_table() else {
            return Err(self.wrong(line, &format!("{SECTION}: is written as [[{SECTION}]]")));
        };
        let mut keys = Keys::new();
        for (key, value) in table {
            let (key, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            let given = self.given(key, line, value.get_ref())?;
            if key != PATTERN {
                self.check(key, &given, takes)?;
            }
            keys.insert(key.to_owned(), given);
        }
        let Some(pattern) = keys.get(PATTERN) else {
            let why = format!("[[{SECTION}]] has no {PATTERN}: which channels is it for?");
            return Err(self.wrong(line, &why));
        };
        let patterns = Patterns::parse(pattern.values.iter().map(String::as_str))
            .and_then(|patterns| match pattern.values.is_empty() {
                true => Err("must be one pattern, or several".to_owned()),
                false => Ok(patterns),
            })
            .map_err(|why| self.wrong(pattern.line, &format!("{PATTERN}: {why}")))?;
        let words = keys.iter().filter(|(key, _)| *key != PATTERN);
        let words = words.map(|(key, given)| format!("--{key}={}", given.values.concat()));
        let matches = takes.clone().no_binary_name(true).try_get_matches_from(words);
        let sets = matches.and_then(|matches| ChannelFlags::from_arg_matches(&matches));
        let sets = sets.map_err(|error| self.wrong(line, &rule_of(&error)))?;
        if let (Some(default), Some(most)) = (sets.default_grace, sets.max_grace)
            && default > most
        {
            let line = keys.get("default-grace").map_or(line, |given| given.line);
            return Err(self.wrong(line, "default-grace: must be at most max-grace"));
        }
        Ok((ChannelSection { patterns, sets }, keys))
    }
}

/// A flag as it stands for itself: whatever the environment says, and whatever else there is.
fn alone(arg: &Arg) -> Arg {
    arg.clone().env(Resettable::Reset).required(false).default_value(Resettable::Reset)
}

/// Texts as they are, and whole numbers as texts.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// That there is no such key, and what may have been meant.
fn unknown(key: &str, flags: &Command) -> String {
    let asked = flags.clone().no_binary_name(true).try_get_matches_from([format!("--{key}=x")]);
    let meant = asked.err().and_then(|error| match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    });
    match meant.filter(|meant| key != FLAG && meant != FLAG) {
        Some(meant) => format!("there is no such key; is {meant} meant?"),
        None => "there is no such key".to_owned(),
    }
}

/// What is wrong with a value, without the flag that the sentence names already. clap says it as
/// `invalid value 'soon' for '--max-grace <TIME>': the rule`, or has the rule in the next line.
fn rule_of(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let next = lines.next().unwrap_or_default().trim_matches(['[', ']']);
    let told = first.split_once("' for '--").map(|(value, flag)| {
        let value = value.split_once('\'').map_or(value, |(_, value)| value);
        format!("{value:?}: {}", flag.split_once("': ").map_or(next, |(_, rule)| rule))
    });
    told.unwrap_or_else(|| format!("{first} {next}"))
}
