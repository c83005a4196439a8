//! `protocol/schema/` holds what the types say.
//!
//! After a change of the types: `UPDATE_SCHEMA=1 cargo test -p herenow-protocol --all-features`,
//! then read the difference: it is a change of the protocol.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use herenow_protocol::schema;

fn compare(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "schema/{file} is not what the types say. To write it anew:\n\
         UPDATE_SCHEMA=1 cargo test -p herenow-protocol --all-features"
    );
}

#[test]
fn the_client_schema_is_current() {
    compare("client.schema.json", &schema::client());
}

#[test]
fn the_server_schema_is_current() {
    compare("server.schema.json", &schema::server());
}
