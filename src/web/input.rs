//! Names, numbers and bodies out of a request, or what is wrong with them.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};
use hyper::body::Body as _;

use super::held::no_room;
use super::problem::Problem;
use super::state::Web;
use crate::auth::Credential;
use crate::delivery::Held;

/// The channel that the path names.
#[derive(Debug)]
pub struct OfChannel(pub ChannelName);

/// The channel and the user that the path names.
#[derive(Debug)]
pub struct OfMember(pub ChannelName, pub UserId);

/// The user that the path names.
#[derive(Debug)]
pub struct OfUser(pub UserId);

/// The user and the connection that the path names.
#[derive(Debug)]
pub struct OfConnection(pub UserId, pub String);

async fn segment<T>(
    parts: &mut Parts,
    name: &'static str,
    parse: impl FnOnce(&str, &'static str) -> Result<T, Refusal>,
) -> Result<T, Problem> {
    let params = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Refusal::invalid(name, "must be percent-encoded UTF-8"))?;
    let value = params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    Ok(parse(value, name)?)
}

impl<S: Send + Sync> FromRequestParts<S> for OfChannel {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        segment(parts, "channel", ChannelName::parse).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        segment(parts, "user", UserId::parse).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfMember {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let channel = segment(parts, "channel", ChannelName::parse).await?;
        let user = segment(parts, "user", UserId::parse).await?;
        Ok(Self(channel, user))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfConnection {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let user = segment(parts, "user", UserId::parse).await?;
        Ok(Self(user, segment(parts, "connection", connection).await?))
    }
}

/// A connection's name: `c7`, or `c7@1f2e3d4c5b6a` of one of many nodes.
fn connection(text: &str, field: &'static str) -> Result<String, Refusal> {
    let (number, node) = text.split_once('@').unwrap_or((text, "000000000000"));
    let digits = number.strip_prefix('c').unwrap_or_default();
    let is_number =
        (1..=19).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    let is_node =
        node.len() == 12 && node.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    if is_number && is_node {
        return Ok(text.to_owned());
    }
    Err(Refusal::invalid(field, "must be a connection's name, as c7"))
}

/// Refuses an address that is not percent-encoded UTF-8. Taken as it comes, `%zz` would be a name of
/// three characters, and `%ff` one that nobody wrote.
///
/// # Errors
/// `invalid_field`: `path` or `query`.
pub fn check_address(uri: &Uri) -> Result<(), Refusal> {
    for (text, field) in [(uri.path(), "path"), (uri.query().unwrap_or_default(), "query")] {
        if percent_decoded(text).is_none() {
            return Err(Refusal::invalid(field, "must be percent-encoded UTF-8"));
        }
    }
    Ok(())
}

/// What `text` stands for; `None`: some % does not begin two hexadecimal digits, or it is no UTF-8.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        decoded.push((high * 16 + low) as u8);
    }
    String::from_utf8(decoded).ok()
}

/// The query's parameters. Those that nobody knows are ignored.
#[derive(Debug)]
pub struct Query(String);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.uri))
    }
}

impl Query {
    /// Of an address.
    #[must_use]
    pub fn of(uri: &Uri) -> Self {
        Self(uri.query().unwrap_or_default().to_owned())
    }

    /// The parameter's text, decoded.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// All that is given by that name, decoded, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.filter(move |(key, _)| key == name).map(|(_, value)| value)
    }

    /// The parameter as a whole number.
    ///
    /// # Errors
    /// `invalid_field`: it is none, or not within `least` and `most`.
    pub fn number(
        &self,
        name: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // Not as Rust would: no sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            Refusal::invalid(name, format_args!("must be a whole number from {least} to {most}"))
        })
    }
}

/// A JSON body as text; empty if there is none.
#[derive(Debug)]
pub struct JsonText(pub String);

impl FromRequest<Web> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        text_of(request, web).await.map(Self)
    }
}

/// The body of a request as text, whatever its content type says; empty if there is none.
///
/// # Errors
/// `too_large`, `bad_json`: it did not come whole, or is no UTF-8; `unauthenticated`: the user was
/// signed out meanwhile.
pub async fn text_of(request: Request, web: &Web) -> Result<String, Problem> {
    text_within(request, web, web.body_bytes).await
}

/// A JSON body that may be larger than a message: as text, at most `most` bytes. It counts against
/// `--max-backlog` for as long as the second result lives.
///
/// # Errors
/// As [`text_of`]; `invalid_field`: it is no JSON; `unavailable`: as much is kept as may be.
pub async fn text_up_to(
    mut request: Request,
    web: &Web,
    most: usize,
) -> Result<(String, Held), Problem> {
    check_content_type(request.headers())?;
    let backlog = web.desk.hub().backlog();
    if !backlog.has_room() {
        return Err(no_room().into());
    }
    let told = request.body().size_hint().upper().map_or(most, |it| it.min(most as u64) as usize);
    let held = backlog.hold(told);
    DefaultBodyLimit::max(most).apply(&mut request);
    Ok((text_within(request, web, most).await?, held))
}

async fn text_within(request: Request, web: &Web, most: usize) -> Result<String, Problem> {
    let credential = request.extensions().get::<Credential>().cloned();
    let text = read(request, web, most).await?;
    // A body may take its time, and the user may be signed out meanwhile.
    if let Some(credential) = credential {
        web.desk.auth().check_signed_in(credential.caller(), web.desk.now())?;
    }
    Ok(text)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json"
        || essence.starts_with("application/") && essence.ends_with("+json")
    {
        return Ok(());
    }
    let refusal = Refusal::invalid("content-type", "must be application/json");
    Err(Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal))
}

/// The bound on its bytes is a layer of the router's.
async fn read(request: Request, web: &Web, most: usize) -> Result<String, Problem> {
    let read = Bytes::from_request(request, web);
    let bytes = match tokio::time::timeout(web.body_time, read).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            let rule = format_args!("must be at most {most} bytes");
            return Err(Refusal::field(ErrorCode::TooLarge, "body", rule).into());
        }
        Ok(Err(_)) => {
            return Err(Refusal::new(ErrorCode::BadJson, "the body did not come whole").into());
        }
        Err(_) => {
            let refusal = Refusal::new(ErrorCode::BadJson, "the body did not come in time");
            return Err(Problem::with_status(StatusCode::REQUEST_TIMEOUT, refusal));
        }
    };
    String::from_utf8(bytes.into())
        .map_err(|_| Refusal::new(ErrorCode::BadJson, "the body is not UTF-8").into())
}
