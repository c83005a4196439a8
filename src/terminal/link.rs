//! One WebSocket, from its welcome to its end. It says that we live, and notices if nobody answers.

use std::fmt;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use herenow_protocol::{ClientFrame, FrameId, PROTOCOL_VERSION, Request};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::address::{Address, SOCKET};
use super::ask::{As, Asker};
use super::back_off::Ended;
use super::heard::{Heard, Refused, Welcome, read};
use super::safe::shown;
use super::seen::{Handshake, Unreached};
use crate::limits::{
    TERMINAL_ANSWER, TERMINAL_GOODBYE, TERMINAL_LIVELY, TERMINAL_MESSAGE_BYTES, TERMINAL_NAME,
    TERMINAL_PATIENCE,
};

/// The `id` of heartbeats, which nobody else uses.
const BEAT: i64 = 0;

/// A WebSocket to a broker.
pub struct Link {
    line: Line,
    beat: Interval,
}

struct Line {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    /// Heartbeats since anything at all came.
    unanswered: u32,
    /// What the broker said of the end.
    refused: Option<Box<Refused>>,
    back_in_ms: Option<u64>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// What a connection brings.
#[derive(Debug)]
pub enum Came {
    /// A frame.
    Frame(Heard),
    /// The broker asked whether the socket lives.
    Ping,
}

/// The path of the WebSocket, for whoever that is.
#[must_use]
pub fn path(address: &Address, user: Option<&str>) -> String {
    let mut path = address.path(SOCKET);
    if let Some(user) = user {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("user", user).finish();
        path.extend(["?", &query]);
    }
    path
}

impl Link {
    /// Connects, and waits for the welcome.
    ///
    /// # Errors
    /// How it ended.
    pub async fn open(
        address: &Address,
        whose: As,
        user: Option<&str>,
    ) -> Result<(Self, Welcome), Ended> {
        let to = shown(&address.to_string(), TERMINAL_NAME);
        let at_fault = |why: &str| format!("{to}: {why}; herenow doctor {to} says more");
        let (asker, _) = Asker::connect(address, whose).await.map_err(|why| match why {
            Unreached::Tls(_) => Ended::Never(at_fault(&why.why())),
            why => Ended::Lost(at_fault(&why.why())),
        })?;
        let upgraded = asker.upgrade(&path(address, user)).await.map_err(|came| match came {
            Handshake::Answered(answer) => match answer.refused() {
                Some(refused) => Ended::refused(refused),
                None if answer.status >= 500 => {
                    Ended::Lost(at_fault(&format!("answered with {}", answer.status)))
                }
                None => {
                    Ended::Never(at_fault(&format!("no broker: answered with {}", answer.status)))
                }
            },
            Handshake::Broken(why) => Ended::Lost(at_fault(&why)),
            Handshake::Done => Ended::Lost(at_fault("no WebSocket")),
        })?;
        let mut link = Self::over(upgraded).await;
        match link.first().await? {
            Heard::Welcome(welcome) if welcome.protocol == u64::from(PROTOCOL_VERSION) => {
                link.keep(welcome.heartbeat.interval_ms);
                Ok((link, welcome))
            }
            _ => Err(Ended::Never(at_fault("it speaks no protocol that is known here"))),
        }
    }

    /// A WebSocket whose handshake is done.
    pub async fn over(upgraded: TokioIo<Upgraded>) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(TERMINAL_MESSAGE_BYTES))
            .max_frame_size(Some(TERMINAL_MESSAGE_BYTES));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        let line = Line { socket, unanswered: 0, refused: None, back_in_ms: None };
        Self { line, beat: every(TERMINAL_LIVELY) }
    }

    /// The first frame.
    ///
    /// # Errors
    /// How it ended instead.
    pub async fn first(&mut self) -> Result<Heard, Ended> {
        let first = timeout(TERMINAL_ANSWER, async {
            loop {
                match self.listen().await? {
                    Came::Frame(Heard::Error(_)) | Came::Ping => {}
                    Came::Frame(frame) => return Ok(frame),
                }
            }
        });
        first.await.unwrap_or_else(|_| Err(Ended::Lost("the broker says nothing".to_owned())))
    }

    /// Says that we live this often, or more often.
    pub fn keep(&mut self, interval_ms: u64) {
        let asked = Duration::from_millis(interval_ms);
        let period = self.beat.period();
        if interval_ms > 0 && asked < period {
            self.beat = every(asked);
        }
    }

    /// Asks something.
    ///
    /// # Errors
    /// How it ended.
    pub async fn say(&mut self, id: i64, request: Request) -> Result<(), Ended> {
        let frame = ClientFrame { id: Some(FrameId::Number(id)), request };
        let text =
            serde_json::to_string(&frame).map_err(|error| Ended::Never(error.to_string()))?;
        let sent = self.line.socket.send(Message::text(text)).await;
        sent.map_err(|error| Ended::Lost(error.to_string()))
    }

    /// The next that comes. It may be dropped and asked for again at any time.
    ///
    /// # Errors
    /// How it ended.
    pub async fn next(&mut self) -> Result<Came, Ended> {
        loop {
            tokio::select! {
                biased;
                came = self.line.listen() => return came,
                _ = self.beat.tick() => {}
            }
            // Where heartbeats are to come thick and fast, several may be on the way.
            let patience = TERMINAL_PATIENCE.as_millis() / self.beat.period().as_millis().max(1);
            if u128::from(self.line.unanswered) > patience {
                return Err(Ended::Lost("the broker does not answer any more".to_owned()));
            }
            self.line.unanswered += 1;
            self.say(BEAT, Request::Heartbeat { channels: None }).await?;
        }
    }

    /// The next that comes, without a word from us.
    ///
    /// # Errors
    /// How it ended.
    pub async fn listen(&mut self) -> Result<Came, Ended> {
        self.line.listen().await
    }

    /// Ends it in good order: what was said before has been taken.
    pub async fn close(mut self) {
        let end = async {
            let _ = self.line.socket.close(None).await;
            while let Some(Ok(_)) = self.line.socket.next().await {}
        };
        let _ = timeout(TERMINAL_GOODBYE, end).await;
    }
}

impl Line {
    async fn listen(&mut self) -> Result<Came, Ended> {
        loop {
            let message = match self.socket.next().await {
                None => return Err(self.ended(None)),
                Some(Err(error)) => return Err(Ended::Lost(error.to_string())),
                Some(Ok(message)) => message,
            };
            self.unanswered = 0;
            match message {
                Message::Text(text) => match read(&text) {
                    // Of the end, if that comes next.
                    Heard::Error(refused) if refused.id.is_none() => {
                        self.refused = Some(refused.clone().into());
                        return Ok(Came::Frame(Heard::Error(refused)));
                    }
                    // A fresh token was taken, and the one before is forgotten.
                    frame @ Heard::Ok { sight: Some(_), .. } => {
                        self.refused = None;
                        return Ok(Came::Frame(frame));
                    }
                    Heard::Goaway { reconnect_in_ms } => self.back_in_ms = Some(reconnect_in_ms),
                    frame => return Ok(Came::Frame(frame)),
                },
                Message::Ping(_) => return Ok(Came::Ping),
                Message::Close(close) => return Err(self.ended(close.as_ref())),
                _ => {}
            }
        }
    }

    fn ended(&mut self, close: Option<&CloseFrame>) -> Ended {
        let (refused, back_in_ms) = (self.refused.take(), self.back_in_ms);
        match close {
            None if refused.is_none() && back_in_ms.is_none() => {
                Ended::Lost("the connection was cut".to_owned())
            }
            _ => {
                let code = close.map(|close| close.code.into());
                Ended::Closed { code, refused, back_in_ms }
            }
        }
    }
}

/// Ticks, the first time after as long as later.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}
