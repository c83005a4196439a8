//! What is in force, and where each value came from: what `herenow config` prints. It is a
//! configuration file itself.

use std::any::TypeId;
use std::ffi::OsStr;
use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::file::{ConfigFile, Given};
use crate::auth::Secret;

/// Where the sources stand, if the values leave room.
const COLUMN: usize = 44;

/// All flags of `flags` as `matches` has them, and what stands in `file` besides. `secrets` are
/// variables of the environment that have no flag, and are set. No secret is shown.
#[must_use]
pub fn shown(
    flags: &Command,
    matches: &ArgMatches,
    file: Option<&ConfigFile>,
    secrets: &[&str],
) -> String {
    let mut text = String::new();
    for arg in flags.get_arguments() {
        let Some(key) = arg.get_long() else { continue };
        let source = source_of(key, arg, matches, file);
        if key == "config" {
            if let Some(file) = file {
                line(&mut text, &format!("# {key} = {:?}", file.name()), &source);
            }
            continue;
        }
        let values: Vec<_> = matches.get_raw(arg.get_id().as_str()).into_iter().flatten().collect();
        line(&mut text, &setting(key, arg, &values), &source);
    }
    for name in secrets {
        line(&mut text, &format!("# {name} is set, and not shown"), "environment");
    }
    for section in file.into_iter().flat_map(ConfigFile::sections) {
        text.push_str("\n[[channel]]\n");
        for (key, given) in section {
            let values: Vec<_> = given.values.iter().map(OsStr::new).collect();
            let value = value_of(&values, values.len() > 1);
            line(&mut text, &format!("{key} = {value}"), &from_file(given));
        }
    }
    text
}

fn line(text: &mut String, setting: &str, source: &str) {
    let _ = writeln!(text, "{setting:COLUMN$} # {source}");
}

fn setting(key: &str, arg: &Arg, values: &[&OsStr]) -> String {
    let many = matches!(arg.get_action(), ArgAction::Append);
    if values.is_empty() {
        format!("# {key} is not set")
    } else if arg.get_value_parser().type_id() == TypeId::of::<Secret>() {
        format!("# {key} is set, and not shown")
    } else if matches!(arg.get_action(), ArgAction::SetTrue) {
        let off = ["", "0", "n", "no", "f", "false", "off"];
        let on = values.iter().any(|value| !off.iter().any(|off| value.eq_ignore_ascii_case(off)));
        format!("{key} = {on}")
    } else {
        format!("{key} = {}", value_of(values, many))
    }
}

/// As TOML writes it. What looks like a number may be one: a flag takes either.
fn value_of(values: &[&OsStr], many: bool) -> String {
    let one = |value: &OsStr| {
        let text = value.to_string_lossy();
        match text.parse::<i64>() {
            Ok(number) if !many && number.to_string() == text => text.into_owned(),
            _ if !many && matches!(&*text, "true" | "false") => text.into_owned(),
            // JSON's texts are TOML's, too.
            _ => serde_json::Value::from(text).to_string(),
        }
    };
    let all: Vec<_> = values.iter().map(|value| one(value)).collect();
    if many { format!("[{}]", all.join(", ")) } else { all.concat() }
}

fn source_of(key: &str, arg: &Arg, matches: &ArgMatches, file: Option<&ConfigFile>) -> String {
    match matches.value_source(arg.get_id().as_str()) {
        Some(ValueSource::CommandLine) => "flag".to_owned(),
        Some(ValueSource::EnvVariable) => {
            let name = arg.get_env().map(OsStr::to_string_lossy).unwrap_or_default();
            format!("environment: {name}")
        }
        _ => file.and_then(|file| file.flag(key)).map_or("default".to_owned(), from_file),
    }
}

fn from_file(given: &Given) -> String {
    format!("file, line {}", given.line)
}
