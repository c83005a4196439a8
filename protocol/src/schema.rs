//! The JSON Schema of the frames, generated from the types. `protocol/schema/` holds the result;
//! a test compares.

use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::reply::ServerFrame;
use crate::request::ClientFrame;

/// The schema of every frame from client to broker, as pretty JSON: what the broker accepts, so an
/// optional field may be null.
#[must_use]
pub fn client() -> String {
    pretty::<ClientFrame>(Contract::Deserialize, |_| ())
}

/// The schema of every frame from broker to client, as pretty JSON: what the broker writes, so an
/// optional field is absent and never null.
#[must_use]
pub fn server() -> String {
    pretty::<ServerFrame>(Contract::Serialize, without_null)
}

fn pretty<T: JsonSchema>(contract: Contract, transform: fn(&mut Schema)) -> String {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(on_one_line).transform(&mut schema);
    RecursiveTransform(transform).transform(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Rustdoc wraps its lines; a description is one sentence.
fn on_one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// Takes the null out of "a T or null", which is how an optional field is derived.
pub fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        schema.ensure_object().extend(only);
    }
}
