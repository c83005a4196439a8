//! Questions over HTTP, one after the other on one connection, and the handshake of a WebSocket.

use std::fmt;

use axum::body::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::request::Builder;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::upgrade::{Upgraded, on};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use herenow_protocol::SUBPROTOCOL;

use super::address::Address;
use super::dial::dial;
use super::seen::{Answer, Handshake, Reached, Unreached};
use crate::limits::{TERMINAL_ANSWER, TERMINAL_BODY_BYTES};
use crate::outgoing::{self, said};

/// As whom a request is made.
#[derive(Clone, Default)]
pub struct As {
    /// Shown as `Authorization: Bearer`.
    pub token: Option<String>,
    /// The page that it seems to come from.
    pub origin: Option<String>,
}

impl fmt::Debug for As {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("As").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A connection over which to ask.
#[derive(Debug)]
pub struct Asker {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    whose: As,
}

impl Asker {
    /// Connects.
    ///
    /// # Errors
    /// Why nobody could be spoken to.
    pub async fn connect(address: &Address, whose: As) -> Result<(Self, Reached), Unreached> {
        let (wire, reached) = dial(address).await?;
        let (sender, connection) = handshake(TokioIo::new(wire))
            .await
            .map_err(|error| Unreached::Refused(said(&error)))?;
        // It ends with the sender, and tells whoever waits for an answer why it ended.
        tokio::spawn(connection.with_upgrades());
        Ok((Self { sender, authority: address.authority.clone(), whose }, reached))
    }

    /// What is answered to a `GET` of that path.
    ///
    /// # Errors
    /// There is no answer: why, in words.
    pub async fn get(&mut self, path: &str) -> Result<Answer, String> {
        let response = self.send(self.request(path)).await?;
        read(response).await
    }

    /// Asks for a WebSocket at that path.
    ///
    /// # Errors
    /// There is none: what came instead.
    pub async fn upgrade(mut self, path: &str) -> Result<TokioIo<Upgraded>, Handshake> {
        let key = generate_key();
        let request = self
            .request(path)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
            .header(SEC_WEBSOCKET_KEY, &key);
        let response = self.send(request).await.map_err(Handshake::Broken)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let answer = read(response).await.map_err(Handshake::Broken)?;
            return Err(Handshake::Answered(answer));
        }
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if accept.is_none_or(|accept| accept != &derive_accept_key(key.as_bytes())) {
            return Err(Handshake::Broken("the answer to the handshake is wrong".to_owned()));
        }
        let upgraded = on(response).await.map_err(|error| Handshake::Broken(said(&error)))?;
        Ok(TokioIo::new(upgraded))
    }

    fn request(&self, path: &str) -> Builder {
        let mut request = Request::get(path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, outgoing::USER_AGENT);
        if let Some(token) = &self.whose.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(origin) = &self.whose.origin {
            request = request.header(ORIGIN, origin);
        }
        request
    }

    async fn send(&mut self, request: Builder) -> Result<Response<Incoming>, String> {
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let asked = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let answered = timeout(TERMINAL_ANSWER, asked).await;
        answered.map_err(|_| "no answer in time")?.map_err(|error| said(&error))
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), TERMINAL_BODY_BYTES).collect();
    let body = timeout(TERMINAL_ANSWER, body).await.map_err(|_| "the answer never ends")?;
    let body = body.map_err(|error| error.to_string())?;
    Ok(Answer { status, body: body.to_bytes().to_vec() })
}
