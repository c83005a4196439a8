//! The document that describes the HTTP API: it is whole, and true of the routes.

use herenow::http::openapi::{Terms, describe as describe_tables};
use herenow::server::routes::TABLES;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::http::ask;

/// Those of a broker without flags.
const TERMS: Terms = Terms { open: true, lease_ms: 3_600_000, attribute_keys: 64 };

/// The document of all that the broker serves.
fn describe(terms: &Terms) -> Value {
    describe_tables(TABLES, terms)
}

/// What the document has by that key, with where it is.
fn find<'a>(value: &'a Value, key: &str, path: &str, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).map(|value| (path.to_owned(), value)));
            map.iter().for_each(|(name, value)| find(value, key, &format!("{path}/{name}"), found));
        }
        Value::Array(values) => {
            values.iter().for_each(|value| find(value, key, path, found));
        }
        _ => {}
    }
}

fn all<'a>(document: &'a Value, key: &str) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    find(document, key, "", &mut found);
    found
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .collect()
}

#[tokio::test]
async fn what_is_described_is_routed_and_nothing_else() {
    let broker = Broker::start();
    let document = ask(broker.address(), "GET", "/openapi.json", &[], "").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.body;
    assert_eq!(document, describe(&TERMS));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        let options = ask(broker.address(), "OPTIONS", &path, &[], "").await;
        let allowed = options.header("allow").unwrap().split(',').filter(|name| *name != "head");
        let mut routed: Vec<_> = allowed.collect();
        let mut described: Vec<_> =
            methods.as_object().unwrap().keys().map(String::as_str).collect();
        routed.sort_unstable();
        described.sort_unstable();
        assert_eq!(routed, described, "{path}");
    }
}

/// The table makes its own routes. What the router has beside them is not of the API.
#[test]
fn every_route_is_in_the_table() {
    let source = include_str!("../../src/server/routes.rs");
    let beside = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert_eq!(
        beside.collect::<Vec<_>>(),
        ["/demo/crowd", "/", "/{file}", "/client/{file}", "/ws"]
    );
    for wing in [include_str!("../../src/http/mod.rs"), include_str!("../../src/demo/mod.rs")] {
        assert!(!wing.contains(".route("));
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = describe(&TERMS);
    let references = all(&document, "$ref");
    assert!(references.len() > 20);
    for (place, reference) in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} at {place} leads nowhere");
    }
}

#[test]
fn every_refusal_is_a_problem() {
    let document = describe(&TERMS);
    let problem = json!({"schema": {"$ref": "#/components/schemas/Details"}});
    for (method, path, operation) in operations(&document) {
        let below_v1 = path.starts_with("/v1");
        let always: &[&str] =
            if below_v1 { &["400", "401", "403", "405", "429", "500"] } else { &["405"] };
        for status in always {
            assert!(operation["responses"].get(status).is_some(), "{method} {path}: {status}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            // hyper refuses too long a head itself.
            if status.as_str() < "400" || status == "431" {
                continue;
            }
            let content = &response["content"]["application/problem+json"];
            assert_eq!(*content, problem, "{method} {path}: {status}");
        }
        let open = operation.get("security").is_some_and(|security| *security == json!([]));
        assert_eq!(open, !below_v1, "{method} {path}");
    }
}

#[test]
fn what_is_optional_is_absent_and_never_null() {
    let document = describe(&TERMS);
    let comes_in = ["/components/schemas/Lease", "/components/schemas/StatusPatch"];
    for (place, kind) in all(&document["components"], "type") {
        let place = format!("/components{place}");
        if !comes_in.iter().any(|schema| place.starts_with(schema)) {
            assert!(kind.is_string() || kind.is_object(), "{place}: {kind}");
        }
    }
}

/// Bounds, and whether credentials are wanted, are those of the broker that is asked.
#[test]
fn it_is_the_document_of_this_broker() {
    let terms = Terms { open: false, lease_ms: 5_000, attribute_keys: 3 };
    let document = describe(&terms);
    let lease = &document["components"]["schemas"]["Lease"]["properties"];
    assert_eq!(lease["ttlMs"]["maximum"], 5_000);
    assert_eq!(lease["ttlMs"]["minimum"], 1);
    assert_eq!(lease["attributes"]["maxProperties"], 3);
    for (document, wanted) in
        [(document, json!([{"bearer": []}])), (describe(&TERMS), json!([{}, {"bearer": []}]))]
    {
        for (method, path, operation) in operations(&document) {
            let expected = if path.starts_with("/v1") { wanted.clone() } else { json!([]) };
            assert_eq!(operation["security"], expected, "{method} {path}");
            let names = operation["parameters"].as_array().unwrap();
            let as_whom = names.iter().any(|p| p["in"] == "query" && p["name"] == "user");
            let open = wanted.as_array().unwrap().len() == 2;
            assert_eq!(as_whom, open && path.starts_with("/v1"), "{method} {path}");
        }
    }
}

#[test]
fn parameters_have_their_bounds() {
    let document = describe(&TERMS);
    let mut ids = Vec::new();
    for (method, path, operation) in operations(&document) {
        ids.push(operation["operationId"].as_str().unwrap());
        let parameters = operation["parameters"].as_array().unwrap();
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let given = parameters.iter().find(|p| p["in"] == "path" && p["name"] == name).unwrap();
            assert_eq!(given["required"], true, "{method} {path}");
            assert!(given["schema"]["pattern"].is_string(), "{method} {path}");
        }
        for limit in parameters.iter().filter(|parameter| parameter["name"] == "limit") {
            let bounds = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 200});
            assert_eq!(limit["schema"], bounds, "{method} {path}");
        }
    }
    let operations = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations, "an operationId is given twice");
}
