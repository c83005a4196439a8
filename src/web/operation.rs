//! One thing that can be asked over HTTP, as the row of a table. Routes are made from tables, and so
//! is the document that describes them: neither can have what the other lacks. Each wing brings a
//! table of its own.

use axum::Router;
use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::state::Web;
use crate::config::Config;

/// The tables of all wings.
pub type Tables = &'static [&'static [Operation]];

/// One thing that can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// In lower case.
    pub(crate) method: &'static str,
    /// A template: `/v1/channels/{channel}`.
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) body: Option<Body>,
    pub(crate) successes: &'static [Success],
    /// Refusals beside those that any request may meet.
    pub(crate) refusals: &'static [u16],
    /// A user's token may stand in its address.
    token: bool,
    /// At which door it is answered.
    door: PortDoor,
    route: Route,
}

/// Which of the broker's ports answers something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortDoor {
    /// That of clients.
    Public,
    /// That of whoever operates the broker, where there is one.
    Admin,
    /// Both.
    Both,
}

/// A port, as what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The only one.
    Only,
    /// That of clients, beside one for whoever operates the broker.
    Public,
    /// That of whoever operates the broker.
    Admin,
}

impl Port {
    /// The one that clients come to, as `config` sets it.
    #[must_use]
    pub fn of_clients(config: &Config) -> Self {
        if config.admin_listen.is_some() { Self::Public } else { Self::Only }
    }

    fn answers(self, door: PortDoor) -> bool {
        match self {
            Self::Only => true,
            Self::Public => door != PortDoor::Admin,
            Self::Admin => door != PortDoor::Public,
        }
    }
}

/// Makes what answers.
pub(crate) type Route = fn() -> MethodRouter<Web>;

/// The schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a request carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    pub(crate) schema: SchemaOf,
    /// Otherwise there is a default for everything.
    pub(crate) required: bool,
}

/// A status that is no refusal, its description, and what it brings.
pub(crate) type Success = (u16, &'static str, Content);

/// What an answer brings.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Nothing,
    Json(SchemaOf),
    /// Text of this type, as `text/event-stream`: it may go on for as long as the client listens.
    Text(&'static str),
}

/// A parameter. Those of the path go without saying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: ParameterPlace,
    pub(crate) required: bool,
    pub(crate) description: &'static str,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Value,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterPlace {
    Query,
    /// In the query, as a list with commas in one value.
    QueryList,
    Header,
}

impl Parameter {
    /// A parameter of the query that may be left out.
    pub(crate) const fn query(
        name: &'static str,
        description: &'static str,
        schema: fn(&mut SchemaGenerator) -> Value,
    ) -> Self {
        Self { name, place: ParameterPlace::Query, required: false, description, schema }
    }
}

/// Where everything is that knows callers, rights and rates.
pub(crate) const V1: &str = "/v1";

/// The routes below `/v1`, less that beginning.
pub fn below_v1(tables: Tables) -> Router<Web> {
    routes(tables, Port::Only, |path| path.strip_prefix(V1))
}

/// The routes that are not below `/v1`, as far as the port answers them. They ask for no credentials.
pub fn beside_v1(tables: Tables, port: Port) -> Router<Web> {
    routes(tables, port, |path| (!path.starts_with(V1)).then_some(path))
}

/// Whether the path of this template takes a user's token in the address.
pub(super) fn takes_token(tables: Tables, path: &str) -> bool {
    tables.iter().copied().flatten().any(|operation| operation.token && operation.path == path)
}

fn routes(
    tables: Tables,
    port: Port,
    path: fn(&'static str) -> Option<&'static str>,
) -> Router<Web> {
    tables
        .iter()
        .copied()
        .flatten()
        .filter(|operation| operation.is_at(port))
        .filter_map(|operation| Some((path(operation.path)?, operation.route)))
        .fold(Router::new(), |router, (path, route)| router.route(path, route()))
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// JSON of that type.
pub(crate) const fn json<T: JsonSchema>() -> Content {
    Content::Json(of::<T>)
}

/// The schema of a parameter of that type.
pub(crate) fn value_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    of::<T>(generator).into()
}

/// A row without parameters, body, or refusals of its own.
pub(crate) const fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    route: Route,
    summary: &'static str,
    successes: &'static [Success],
) -> Operation {
    Operation {
        method,
        path,
        id,
        summary,
        parameters: &[],
        body: None,
        successes,
        refusals: &[],
        token: false,
        door: PortDoor::Public,
        route,
    }
}

impl Operation {
    pub(crate) const fn parameters(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    /// Needs a body, with what may be wrong with any.
    pub(crate) const fn body<T: JsonSchema>(self, refusals: &'static [u16]) -> Self {
        Self { body: Some(Body { schema: of::<T>, required: true }), refusals, ..self }
    }

    /// Takes a body, with what may be wrong with any.
    pub(crate) const fn optional_body<T: JsonSchema>(self, refusals: &'static [u16]) -> Self {
        Self { body: Some(Body { schema: of::<T>, required: false }), refusals, ..self }
    }

    /// Takes a user's token as `?token=` too, for clients that can set no header. The table lists the
    /// parameter itself.
    pub(crate) const fn token_in_address(self) -> Self {
        Self { token: true, ..self }
    }

    /// Is for whoever operates the broker, and no client's business.
    pub(crate) const fn for_operators(self) -> Self {
        Self { door: PortDoor::Admin, ..self }
    }

    /// Is for clients, and for whoever operates the broker.
    pub(crate) const fn for_both(self) -> Self {
        Self { door: PortDoor::Both, ..self }
    }

    /// Whether the port answers it.
    pub(crate) fn is_at(&self, port: Port) -> bool {
        port.answers(self.door)
    }

    pub(crate) const fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }
}
