//! The document that describes the HTTP API: it is whole, and true of the routes.

use std::collections::BTreeSet;

use herenow::http::openapi::{Terms, describe as describe_tables};
use herenow::server::routes::TABLES;
use herenow::web::operation::Port;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::http::ask;
use crate::source::Source;

/// Those of a broker without flags.
const TERMS: Terms =
    Terms { open: true, lease_ms: 3_600_000, attribute_keys: 64, port: Port::Only };

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

/// What the broker serves beside the API: the demo page with its crowd, the client library, and the
/// socket.
const BESIDE: [(&str, &[&str]); 5] = [
    ("/", &["get"]),
    ("/{file}", &["get"]),
    ("/client/{file}", &["get"]),
    ("/demo/crowd", &["get", "put"]),
    ("/ws", &["get"]),
];

/// Names that stand in no path, so that whoever adds a route by one of them is asked for it here.
const STRANGERS: [&str; 6] = ["some", "admin", "debug", "events", "v2", "tokens"];

/// Paths as templates, each with its methods.
type Table = Vec<(Vec<String>, BTreeSet<String>)>;

fn segments(path: &str) -> Vec<String> {
    path.trim_start_matches('/').split('/').map(str::to_owned).collect()
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// All that should be routed: what the document describes, and what is beside it.
fn table(document: &Value) -> Table {
    let described = document["paths"].as_object().unwrap().iter().map(|(path, methods)| {
        (segments(path), methods.as_object().unwrap().keys().cloned().collect())
    });
    let beside = BESIDE.iter().map(|(path, methods)| {
        (segments(path), methods.iter().map(|&method| method.to_owned()).collect())
    });
    described.chain(beside).collect()
}

/// The methods of a path by the table; of two templates that fit, the one with fewer parameters
/// counts.
fn methods_of(table: &Table, path: &[String]) -> BTreeSet<String> {
    let fits = |template: &[String]| {
        template.len() == path.len()
            && template.iter().zip(path).all(|(a, b)| a == b || is_parameter(a) && !b.is_empty())
    };
    let parameters =
        |template: &[String]| template.iter().filter(|part| is_parameter(part)).count();
    let fitting = table.iter().filter(|(template, _)| fits(template));
    let found = fitting.min_by_key(|(template, _)| parameters(template));
    found.map(|(_, methods)| methods.clone()).unwrap_or_default()
}

/// The paths of the table, and all that differ from one of them in one segment: another, one fewer,
/// one more.
fn paths(table: &Table) -> BTreeSet<Vec<String>> {
    let literals =
        table.iter().flat_map(|(template, _)| template).filter(|part| !is_parameter(part));
    let words: BTreeSet<_> = literals
        .cloned()
        .chain(STRANGERS.map(str::to_owned))
        .filter(|word| !word.is_empty())
        .collect();
    let mut paths = BTreeSet::new();
    for (template, _) in table {
        let path: Vec<_> = template
            .iter()
            .map(|part| if is_parameter(part) { "some".to_owned() } else { part.clone() })
            .collect();
        paths.extend((1..path.len()).map(|length| path[..length].to_vec()));
        for word in &words {
            paths.insert([path.as_slice(), std::slice::from_ref(word)].concat());
            for place in 0..path.len() {
                let mut other = path.clone();
                other[place].clone_from(word);
                paths.insert(other);
            }
        }
        paths.insert(path);
    }
    paths
}

/// The methods that the broker itself says a path has: none if there is no such path.
async fn routed(broker: &Broker, path: &str) -> BTreeSet<String> {
    let answer = ask(broker.address(), "OPTIONS", path, &[], "").await;
    match answer.status {
        404 => {
            assert_eq!(answer.code(), "not_found", "{path}");
            BTreeSet::new()
        }
        204 => {
            let allowed = answer.header("allow").unwrap().split(',').map(str::trim);
            allowed.filter(|&name| name != "head").map(str::to_owned).collect()
        }
        other => panic!("{other} for OPTIONS {path}"),
    }
}

/// Asked of the broker itself, for thousands of paths: nothing is routed that neither the document
/// nor this file knows.
#[tokio::test]
async fn there_is_no_route_beside_the_table() {
    let broker = unlimited();
    let table = table(&describe(&TERMS));
    let paths = paths(&table);
    assert!(paths.len() > 1_000);
    for path in paths {
        let name = format!("/{}", path.join("/"));
        assert_eq!(routed(&broker, &name).await, methods_of(&table, &path), "{name}");
    }
}

/// A broker that counts no requests.
fn unlimited() -> Broker {
    Broker::with(|config| {
        config.limits.max_requests_burst = 1_000_000;
        config.limits.max_requests_per_second = 1_000_000;
    })
}

/// A body that the operation takes.
fn body_of(operation: &Value) -> &'static str {
    match operation["operationId"].as_str().unwrap() {
        "setStatus" => r#"{"busy":true}"#,
        "leaseMembers" => r#"{"leases":[{"channel":"room","user":"ada"}]}"#,
        _ if operation.get("requestBody").is_some() => "{}",
        _ => "",
    }
}

/// What the operation can't be asked without.
fn query_of(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().unwrap().iter();
    let required = parameters.filter(|it| it["in"] == "query" && it["required"] == true);
    let pairs: Vec<_> =
        required.map(|it| format!("{}=ada", it["name"].as_str().unwrap())).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Whether `body` has what the schema requires and nothing that it does not name; objects and
/// arrays in it alike.
fn fits(document: &Value, schema: &Value, body: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return fits(document, schema, body, place);
    }
    if let (Some(items), Some(values)) = (schema.get("items"), body.as_array()) {
        values.iter().for_each(|value| fits(document, items, value, place));
    }
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), body.as_object())
    else {
        return;
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(required.as_str().unwrap()), "{place}: no {required}: {body}");
    }
    for (name, value) in fields {
        let schema = properties.get(name).unwrap_or_else(|| panic!("{place}: {name}: {body}"));
        fits(document, schema, value, &format!("{place}.{name}"));
    }
}

/// Every row of the table, asked for real: it answers with a status, a type and a body that the
/// document describes, and every other method is refused.
#[tokio::test]
async fn every_operation_answers_as_described() {
    let broker = unlimited();
    let document = describe(&TERMS);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let real = path.replace("{channel}", "room").replace("{user}", "ada");
        let real = real.replace("{connection}", "c1");
        // So that there is something to read, whatever the row before has ended.
        let mut ada = broker.connect("ada").await;
        ada.ok("join room mood=happy").await;
        for method in ["get", "put", "post", "patch", "delete"] {
            let place = format!("{method} {path}");
            let verb = method.to_uppercase();
            let Some(operation) = methods.get(method) else {
                let refused = ask(broker.address(), &verb, &real, &[], "").await;
                assert_eq!(
                    (refused.status, refused.code()),
                    (405, "method_not_allowed"),
                    "{place}"
                );
                continue;
            };
            let asked = format!("{real}{}", query_of(operation));
            if let Some(kind) = operation.pointer("/responses/200/content/text~1event-stream") {
                // It goes on for as long as somebody listens: the head tells its type.
                assert_eq!((verb.as_str(), kind), ("GET", &json!({"schema": {"type": "string"}})));
                let stream = Source::open(broker.address(), &asked, &[]).await;
                let head = stream.head().to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200 "), "{place}: {head}");
                assert!(head.contains("\r\ncontent-type: text/event-stream"), "{place}: {head}");
                continue;
            }
            let answer = ask(broker.address(), &verb, &asked, &[], body_of(operation)).await;
            assert!((200..300).contains(&answer.status), "{place}: {answer:?}");
            let described = &operation["responses"][answer.status.to_string()];
            assert!(described.is_object(), "{place} answers with {}", answer.status);
            let content = described["content"].as_object().and_then(|kinds| kinds.iter().next());
            let Some((kind, content)) = content else {
                assert_eq!(answer.body, "", "{place}");
                continue;
            };
            let told = answer.header("content-type").unwrap();
            assert!(told.starts_with(kind.as_str()), "{place}: {told}");
            fits(&document, &content["schema"], &answer.body, &place);
        }
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
    let comes_in =
        ["Heartbeat", "Lease", "StatusPatch"].map(|name| format!("/components/schemas/{name}"));
    for (place, kind) in all(&document["components"], "type") {
        let place = format!("/components{place}");
        if !comes_in.iter().any(|schema| place.starts_with(&**schema)) {
            assert!(kind.is_string() || kind.is_object(), "{place}: {kind}");
        }
    }
}

/// Bounds, and whether credentials are wanted, are those of the broker that is asked.
#[test]
fn it_is_the_document_of_this_broker() {
    let terms = Terms { open: false, lease_ms: 5_000, attribute_keys: 3, port: Port::Only };
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
