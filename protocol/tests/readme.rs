//! README.md is the reference for people who write clients: its examples are real frames, and
//! nothing of the protocol is missing from it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use herenow_protocol::{CloseCode, ErrorCode, Event, ServerFrame, parse, shorthand};
use serde_json::{Value, json};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The contents of the code blocks that are fenced as `language`.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let Some(fenced) = line.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if fenced == language {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// The constants under the property `tag` (`type` or `event`) of a committed schema.
fn kinds(schema: &Value, tag: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(schema, &mut |map| {
        let constant = map.get(tag).and_then(|property| property.get("const"));
        found.extend(constant.and_then(Value::as_str).map(str::to_owned));
    });
    found
}

/// Calls `visit` with every object inside `value`.
fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(map) => {
            visit(map);
            map.values().for_each(|item| walk(item, visit));
        }
        _ => (),
    }
}

fn schema(file: &str) -> Value {
    serde_json::from_str(&read(file)).unwrap()
}

fn check_server(example: &Value) {
    let frame: ServerFrame =
        serde_json::from_value(example.clone()).unwrap_or_else(|e| panic!("{example}: {e}"));
    assert_eq!(json!(frame), *example, "the broker would write this otherwise");
}

fn check_client(example: &Value) {
    let frame = parse(&example.to_string()).unwrap_or_else(|e| panic!("{example}: {e:?}"));
    let meant = json!(frame);
    for (key, value) in example.as_object().unwrap() {
        // A field that the parser does not know would be ignored in silence.
        assert_eq!(meant.get(key), Some(value), "{key} of {example}");
    }
}

#[test]
fn every_example_is_a_real_frame() {
    let readme = read("README.md");
    let (client, server) =
        (schema("schema/client.schema.json"), schema("schema/server.schema.json"));
    let (mut requests, mut frames) = (kinds(&client, "type"), kinds(&server, "type"));
    let (from_client, mut events) = (requests.clone(), kinds(&server, "event"));
    for block in blocks(&readme, "json") {
        for example in serde_json::Deserializer::from_str(&block).into_iter::<Value>() {
            let example = example.unwrap_or_else(|e| panic!("{e} in:\n{block}"));
            let kind = example["type"].as_str().unwrap_or_default();
            if let Some(event) = example["event"].as_str() {
                let read: Event = serde_json::from_value(example.clone()).unwrap();
                assert_eq!(json!(read), example);
                events.remove(event);
            } else if from_client.contains(kind) {
                check_client(&example);
                requests.remove(kind);
            } else {
                check_server(&example);
                frames.remove(kind);
            }
        }
    }
    assert!(requests.is_empty(), "requests without an example: {requests:?}");
    assert!(frames.is_empty(), "frames without an example: {frames:?}");
    assert!(events.is_empty(), "events without an example: {events:?}");
}

#[test]
fn the_session_by_hand_is_possible() {
    let sessions = blocks(&read("README.md"), "text");
    let session = sessions.iter().find(|block| block.starts_with("$ wscat")).unwrap();
    for line in session.lines().skip(1) {
        match line.split_at(2) {
            ("> ", typed) => drop(parse(typed).unwrap_or_else(|e| panic!("{typed}: {e:?}"))),
            ("< ", told) => check_server(&serde_json::from_str(told).unwrap()),
            _ => panic!("neither typed nor told: {line}"),
        }
    }
}

#[test]
fn every_code_is_in_its_table() {
    let readme = read("README.md");
    for code in ErrorCode::ALL {
        let row = format!("\n| `{}` | ", json!(code).as_str().unwrap());
        assert!(readme.contains(&row), "no row of errors for {code:?}");
    }
    for code in CloseCode::ALL {
        let row = format!("\n| {} | ", code.number());
        assert!(readme.contains(&row), "no row of close codes for {code:?}");
    }
}

/// The prose and tables under the heading `### kind`, without the examples.
fn section(readme: &str, kind: &str) -> String {
    let heading = format!("\n### {kind}\n");
    let (_, after) = readme.split_once(&heading).unwrap_or_else(|| panic!("no section for {kind}"));
    let section = after.split("\n#").next().unwrap_or_default();
    section.split("```").step_by(2).collect()
}

#[test]
fn every_frame_has_a_section_that_names_its_fields() {
    let readme = read("README.md");
    for file in ["schema/client.schema.json", "schema/server.schema.json"] {
        walk(&schema(file), &mut |variant| {
            let Some(properties) = variant.get("properties").and_then(Value::as_object) else {
                return;
            };
            let kind = properties.get("type").and_then(|property| property.get("const"));
            let Some(kind) = kind.and_then(Value::as_str) else { return };
            let section = section(&readme, kind);
            // What every frame has is explained once, for all of them.
            let is_common = |field: &str| field == "type" || field == "id" && kind != "ok";
            for field in properties.keys().filter(|field| !is_common(field)) {
                assert!(names(&section, field), "{field} of {kind} is not in its section");
            }
        });
    }
}

/// Whatever is nested in a frame, and every value of a fixed set.
#[test]
fn every_word_is_explained() {
    let readme = read("README.md");
    let prose: String = readme.split("```").step_by(2).collect();
    for file in ["schema/client.schema.json", "schema/server.schema.json"] {
        walk(&schema(file), &mut |map| {
            let constant = map.get("const").and_then(Value::as_str);
            let properties = map.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flat_map(|map| map.keys().map(String::as_str));
            for word in constant.into_iter().chain(fields) {
                assert!(names(&prose, word), "{word} of {file} is not explained");
            }
        });
    }
}

/// Whether `text` says `word` as code, or in a row of a table.
fn names(text: &str, word: &str) -> bool {
    let is_code = |form: String| text.contains(&form);
    let is_word = |row: &str| row.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
    is_code(format!("`{word}`"))
        || is_code(format!("`\"{word}\"`"))
        || text.lines().any(|line| line.starts_with('|') && is_word(line))
}

#[test]
fn every_shorthand_is_in_its_table() {
    let readme = read("README.md");
    for line in shorthand::help() {
        let form = line.split("  ").next().unwrap_or_default();
        let row = format!("\n| `{form}`");
        assert!(readme.contains(&row), "no row of the shorthand for {form:?}");
    }
}
