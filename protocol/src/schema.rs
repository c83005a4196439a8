//! The JSON Schema of the frames, generated from the types. `protocol/schema/` holds the result;
//! a test compares.

use schemars::generate::SchemaSettings;

use crate::reply::ServerFrame;
use crate::request::ClientFrame;

/// The schema of every frame from client to broker, as pretty JSON.
#[must_use]
pub fn client() -> String {
    pretty::<ClientFrame>()
}

/// The schema of every frame from broker to client, as pretty JSON.
#[must_use]
pub fn server() -> String {
    pretty::<ServerFrame>()
}

fn pretty<T: schemars::JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
