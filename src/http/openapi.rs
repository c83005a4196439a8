//! The document that describes the API: OpenAPI 3.1, made from the tables of operations and the types
//! themselves.

use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use axum::response::Response;
use herenow_protocol::schema::without_null;
use herenow_protocol::{ChannelName, UserId};
use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::limits::HEADER_BYTES;
use crate::web::compressed::ForAll;
use crate::web::operation::{Content, Operation, Parameter, ParameterPlace, Port, Tables, V1};
use crate::web::problem::Details;
use crate::web::tagged::{tag_of, tagged};

/// What any request below `/v1` may meet.
const REFUSALS: [u16; 5] = [400, 401, 403, 429, 500];

/// The document of one broker.
#[derive(Debug)]
pub struct Document {
    tables: Tables,
    terms: Terms,
    /// Made when somebody asks for it first; and its tag.
    text: OnceLock<(Bytes, String)>,
}

impl Document {
    /// Describes these tables.
    #[must_use]
    pub fn new(tables: Tables, terms: Terms) -> Self {
        Self { tables, terms, text: OnceLock::new() }
    }

    fn text(&self) -> &(Bytes, String) {
        self.text.get_or_init(|| {
            let text = describe(self.tables, &self.terms).to_string();
            let tag = tag_of(&Sha256::digest(&text).into());
            (text.into(), tag)
        })
    }
}

/// Answers `GET /openapi.json`.
pub async fn document(Extension(document): Extension<Arc<Document>>, asked: HeaderMap) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    let (text, tag) = document.text();
    // Given with the bytes, their type would be the one that bytes have.
    tagged(tag, &asked, Extension(ForAll), (headers, text.clone()))
}

/// What of the document depends on how the broker is set.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// It wants no credentials.
    pub open: bool,
    /// Longest lease, in milliseconds.
    pub lease_ms: u64,
    /// Top-level keys of a member's attributes.
    pub attribute_keys: u32,
    /// The port that answers it.
    pub port: Port,
}

impl Terms {
    /// Those that `config` sets; `open`: the broker wants no credentials.
    #[must_use]
    pub fn new(config: &Config, open: bool) -> Self {
        let limits = &config.limits;
        let lease_ms = limits.max_lease.as_millis() as u64;
        let port = Port::of_clients(config);
        Self { open, lease_ms, attribute_keys: limits.max_attribute_keys, port }
    }
}

/// The document that describes these tables.
#[must_use]
pub fn describe(tables: Tables, terms: &Terms) -> Value {
    let mut book = Book::new(terms.open);
    let mut paths = Map::new();
    let answered = |operation: &&Operation| operation.is_at(terms.port);
    for operation in tables.iter().copied().flatten().filter(answered) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = book.operation(operation);
    }
    let mut schemas = book.into_schemas();
    if let Some(lease) = schemas.get_mut("Lease") {
        lease["properties"]["ttlMs"]["maximum"] = json!(terms.lease_ms);
        lease["properties"]["attributes"]["maxProperties"] = json!(terms.attribute_keys);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "herenow",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Who is here, now?",
            "description": "The HTTP API of a herenow broker. Times are in milliseconds since 1970.",
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer",
                "description": "An API key, or a user's token.",
            }},
        },
    })
}

/// What is not below `/v1` is for whoever watches over the broker, and open to all.
fn asks_for_credentials(operation: &Operation) -> bool {
    operation.path.starts_with(V1)
}

/// Where types are described once. What comes in and what goes out are described apart: an optional
/// field may come as null, and is never sent as such.
struct Book {
    open: bool,
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Book {
    fn new(open: bool) -> Self {
        let settings = |contract| {
            let mut settings = SchemaSettings::draft2020_12();
            settings.contract = contract;
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings
        };
        let answers =
            settings(Contract::Serialize).with_transform(RecursiveTransform(without_null));
        let requests = settings(Contract::Deserialize).into_generator();
        Self { open, requests, answers: answers.into_generator() }
    }

    fn into_schemas(mut self) -> Map<String, Value> {
        let mut schemas = self.answers.take_definitions(true);
        let requests = self.requests.take_definitions(true);
        let twice = requests.keys().find(|name| schemas.contains_key(*name));
        debug_assert_eq!(
            twice, None,
            "comes in and goes out, and would be described as it comes in"
        );
        schemas.extend(requests);
        schemas.values_mut().for_each(on_one_line);
        schemas
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let mut described = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "parameters": self.parameters(operation),
            "responses": self.responses(operation),
            "security": self.security(operation),
        });
        if let Some(body) = operation.body {
            let schema = (body.schema)(&mut self.requests);
            described["requestBody"] = json!({
                "required": body.required,
                "content": {"application/json": {"schema": schema}},
            });
        }
        described
    }

    fn security(&self, operation: &Operation) -> Value {
        match (asks_for_credentials(operation), self.open) {
            (true, true) => json!([{}, {"bearer": []}]),
            (true, false) => json!([{"bearer": []}]),
            (false, _) => json!([]),
        }
    }

    fn responses(&mut self, operation: &Operation) -> Value {
        let mut responses = Map::new();
        for &(status, description, content) in operation.successes {
            let content = match content {
                Content::Nothing => json!({}),
                Content::Json(of) => {
                    json!({"application/json": {"schema": of(&mut self.answers)}})
                }
                Content::Text(kind) => json!({kind: {"schema": {"type": "string"}}}),
            };
            let response = json!({"description": description, "content": content});
            responses.insert(status.to_string(), response);
        }
        let common = asks_for_credentials(operation).then_some(REFUSALS).into_iter().flatten();
        // Under a name that is not its own an open broker answers nobody.
        let own = self.open.then_some(421);
        for status in common.chain(operation.refusals.iter().copied()).chain([405]).chain(own) {
            responses.insert(status.to_string(), self.refusal(status));
        }
        Value::Object(responses)
    }

    fn refusal(&mut self, status: u16) -> Value {
        let title = axum::http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        if status == 431 {
            let rule = format!("{title}: more than {HEADER_BYTES} bytes. There is no body.");
            return json!({"description": rule});
        }
        let schema = self.answers.subschema_for::<Details>();
        let mut response = json!({
            "description": title,
            "content": {"application/problem+json": {"schema": schema}},
        });
        let text = json!({"type": "string"});
        let seconds = json!({"type": "integer", "minimum": 0});
        let (name, description, schema) = match status {
            401 => ("WWW-Authenticate", "The scheme of credentials.", text),
            405 => ("Allow", "The methods that the path has.", text),
            429 | 503 => ("Retry-After", "When to try again, in seconds.", seconds),
            _ => return response,
        };
        response["headers"] =
            json!({name: {"description": description, "required": true, "schema": schema}});
        response
    }

    fn parameters(&mut self, operation: &Operation) -> Vec<Value> {
        let names = ["channel", "user", "connection"].into_iter();
        let in_path = names.filter(|name| operation.path.contains(&format!("{{{name}}}")));
        let mut parameters = Vec::new();
        for name in in_path {
            let schema: Value = match name {
                "channel" => self.schema::<ChannelName>().into(),
                "user" => self.schema::<UserId>().into(),
                // As `web/input` reads it.
                _ => json!({"type": "string", "pattern": "^c[0-9]{1,19}(@[0-9a-f]{12})?$"}),
            };
            parameters
                .push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
        }
        parameters.extend(operation.parameters.iter().map(|parameter| self.parameter(parameter)));
        if self.open && asks_for_credentials(operation) {
            parameters.push(json!({
                "name": "user", "in": "query", "schema": self.schema::<UserId>(),
                "description": "As whom to look, as this broker wants no credentials. Without it \
                    only what everyone may see is shown.",
            }));
        }
        parameters
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let Parameter { name, description, .. } = parameter;
        let schema = (parameter.schema)(&mut self.requests);
        let place = if parameter.place == ParameterPlace::Header { "header" } else { "query" };
        let mut described =
            json!({"name": name, "in": place, "description": description, "schema": schema});
        if parameter.required {
            described["required"] = json!(true);
        }
        if parameter.place == ParameterPlace::QueryList {
            described["style"] = json!("form");
            described["explode"] = json!(false);
        }
        described
    }

    fn schema<T: JsonSchema>(&mut self) -> Schema {
        self.requests.subschema_for::<T>()
    }
}

/// Rustdoc wraps its lines; a description is one sentence.
fn on_one_line(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            map.values_mut().for_each(on_one_line);
        }
        Value::Array(values) => values.iter_mut().for_each(on_one_line),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::routing;

    use super::*;
    use crate::web::operation::{json as json_of, operation};

    const NAMES: &[Operation] = &[operation(
        "get",
        "/v1/names",
        "listNames",
        || routing::get(async || ""),
        "All names.",
        &[(200, "They.", json_of::<UserId>())],
    )];

    const EVENTS: &[Operation] = &[operation(
        "get",
        "/v1/names/events",
        "followNames",
        || routing::get(async || ""),
        "What becomes of them.",
        &[(200, "Each change.", Content::Text("text/event-stream"))],
    )];

    /// Nothing here knows which wings there are.
    #[test]
    fn each_wing_brings_a_table() {
        let terms = Terms { open: true, lease_ms: 1, attribute_keys: 1, port: Port::Only };
        let document = describe(&[NAMES, EVENTS], &terms);
        let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["/v1/names", "/v1/names/events"]);
        let answer = &document["paths"]["/v1/names/events"]["get"]["responses"]["200"];
        let stream = json!({"text/event-stream": {"schema": {"type": "string"}}});
        assert_eq!(answer["content"], stream);
    }
}
