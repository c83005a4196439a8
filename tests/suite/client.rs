//! A typed test client.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use herenow_protocol::reply::{Answer, MemberView};
use herenow_protocol::{ClientFrame, ErrorCode, Event, FrameId, Request, ServerFrame};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) use crate::replica::Replica;

/// How long a test waits for what must come. Only a failure ever takes so long. Less than from one
/// ping to the next, since whatever comes begins the wait anew.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long [`Client::expect_quiet`] listens: many times what the broker takes for a tick, and for
/// the rest that a flusher owes after a pass to a handful of subscribers.
pub(crate) const QUIET: Duration = Duration::from_millis(40);

/// For [`Client::expect_quiet_for`]: the timers have had a turn (250 ms), so whatever was due when
/// the wait began was told.
pub(crate) const A_TURN: Duration = Duration::from_millis(300);

/// For [`Client::expect_quiet_for`]: a round of counts (1 s after the last one, begun by a turn of
/// the timers) has come to its end.
pub(crate) const A_ROUND: Duration = Duration::from_millis(1_400);

/// What a client sends: a text message.
pub(crate) struct Say(String);

impl From<&str> for Say {
    /// Wire text: JSON or the shorthand.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Say {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Value> for Say {
    fn from(frame: Value) -> Self {
        Self(frame.to_string())
    }
}

impl From<ClientFrame> for Say {
    fn from(frame: ClientFrame) -> Self {
        Self(serde_json::to_string(&frame).unwrap())
    }
}

impl From<Request> for Say {
    fn from(request: Request) -> Self {
        ClientFrame::from(request).into()
    }
}

impl Say {
    /// The same frame with an id. The shorthand has none, so it is sent as the JSON it stands for.
    fn with_id(self, id: i64) -> Self {
        let Ok(Value::Object(mut frame)) = serde_json::from_str(&self.0) else {
            let frame = herenow_protocol::parse(&self.0).unwrap();
            return ClientFrame { id: Some(FrameId::Number(id)), ..frame }.into();
        };
        frame.insert("id".to_owned(), id.into());
        Value::Object(frame).into()
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The broker sent a Close frame: code (1005: none) and reason.
    Close(u16, String),
    /// The socket ended or broke without one.
    Cut,
}

impl End {
    /// The code of the Close frame.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Close(code, _) => *code,
            Self::Cut => panic!("the socket ended without a Close frame"),
        }
    }
}

/// A client's WebSocket. Dropping it drops the socket without a Close frame, as a crash does.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    welcome: ServerFrame,
    /// Frames that came while something else was awaited, oldest first.
    early: VecDeque<ServerFrame>,
    /// All that ever came, for whoever reads why a test failed.
    heard: Vec<String>,
    end: Option<End>,
    next_id: i64,
}

impl Client {
    /// Connects as `user`, and takes the welcome.
    pub(crate) async fn connect(address: SocketAddr, user: &str) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), user).await
    }

    /// As [`Client::connect`], over a socket whose options the test set.
    pub(crate) async fn over(stream: TcpStream, user: &str) -> Self {
        let name: String = form_urlencoded::byte_serialize(user.as_bytes()).collect();
        let mut client = Self::open(stream, &format!("/ws?user={name}"), None).await.unwrap().0;
        client.welcome = client.next().await;
        let ServerFrame::Welcome { user: told, .. } = &client.welcome else {
            panic!("no welcome but {:?}", client.heard)
        };
        assert_eq!(told.as_str(), user);
        client
    }

    /// The bare handshake: any path, any offered subprotocols; nothing is read behind it.
    pub(crate) async fn open(
        stream: TcpStream,
        path: &str,
        protocols: Option<&str>,
    ) -> Result<(Self, Response<Option<Vec<u8>>>), Error> {
        // Small writes go out at once, as a browser's do.
        stream.set_nodelay(true).unwrap();
        let address = stream.peer_addr().unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        if let Some(protocols) = protocols {
            let value = protocols.parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        let (socket, response) =
            timeout(PATIENCE, client_async(request, stream)).await.expect("no handshake")?;
        let welcome = ServerFrame::Help { commands: Vec::new() };
        let (early, heard) = (VecDeque::new(), Vec::new());
        Ok((Self { socket, welcome, early, heard, end: None, next_id: 1 }, response))
    }

    /// The welcome as it came.
    pub(crate) fn welcome(&self) -> &ServerFrame {
        &self.welcome
    }

    /// All that ever came.
    pub(crate) fn heard(&self) -> &[String] {
        &self.heard
    }

    /// Sends one text message.
    pub(crate) async fn send(&mut self, say: impl Into<Say>) {
        self.send_all([say]).await;
    }

    /// Sends several text messages with one write: the broker reads them at once.
    pub(crate) async fn send_all<S: Into<Say>>(&mut self, all: impl IntoIterator<Item = S>) {
        self.send_messages(all.into_iter().map(|say| Message::text(say.into().0))).await;
    }

    /// Sends several messages of any kind with one write.
    pub(crate) async fn send_messages(&mut self, all: impl IntoIterator<Item = Message>) {
        for message in all {
            self.socket.feed(message).await.unwrap();
        }
        timeout(PATIENCE, self.socket.flush()).await.expect("the broker reads nothing").unwrap();
    }

    /// The next frame. Panics, with all that came so far, if none comes.
    pub(crate) async fn next(&mut self) -> ServerFrame {
        match self.early.pop_front() {
            Some(frame) => frame,
            None => self.receive().await.unwrap_or_else(|| {
                panic!("the connection ended with {:?} after {:#?}", self.end, self.heard)
            }),
        }
    }

    /// A frame that came while something else was awaited, if there is one.
    pub(crate) fn already(&mut self) -> Option<ServerFrame> {
        self.early.pop_front()
    }

    /// The next frame, which must be a `presence` frame: its events.
    pub(crate) async fn events(&mut self) -> Vec<Event> {
        match self.next().await {
            ServerFrame::Presence { events, .. } => events,
            other => panic!("no presence frame: {other:?}"),
        }
    }

    /// The next frame from the socket; `None` once the connection has ended.
    async fn receive(&mut self) -> Option<ServerFrame> {
        while self.end.is_none() {
            let Ok(message) = timeout(PATIENCE, self.socket.next()).await else {
                panic!("nothing more came after {:#?}", self.heard)
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    self.heard.push(text.as_str().to_owned());
                    return Some(serde_json::from_str(&text).unwrap_or_else(|error| {
                        panic!("{error}: {text}");
                    }));
                }
                Some(Ok(Message::Close(frame))) => {
                    let told = frame
                        .map_or((1005, String::new()), |CloseFrame { code, reason }| {
                            (code.into(), reason.as_str().to_owned())
                        });
                    self.heard.push(format!("Close {told:?}"));
                    self.end = Some(End::Close(told.0, told.1));
                    // The answer to the Close goes out when the socket is driven once more.
                    let _ = self.socket.flush().await;
                }
                Some(Ok(Message::Binary(_))) => panic!("a binary message"),
                Some(Ok(_)) => {}
                None | Some(Err(_)) => self.end = Some(End::Cut),
            }
        }
        None
    }

    /// Waits for the connection to end. What comes before stays for [`Client::next`].
    pub(crate) async fn ended(&mut self) -> End {
        let rest = async {
            while let Some(frame) = self.receive().await {
                self.early.push_back(frame);
            }
        };
        timeout(PATIENCE, rest).await.expect("it does not end");
        self.end.clone().unwrap()
    }

    /// Sends a frame with a fresh id and waits for its `ok`, `result` or `error`. What comes before
    /// stays for [`Client::next`].
    pub(crate) async fn request(&mut self, say: impl Into<Say>) -> ServerFrame {
        let id = self.next_id;
        self.next_id += 1;
        self.send(say.into().with_id(id)).await;
        self.reply(id).await
    }

    /// Waits for the reply to the frame that was sent with `id`.
    pub(crate) async fn reply(&mut self, id: i64) -> ServerFrame {
        let mine = Some(FrameId::Number(id));
        loop {
            let Some(frame) = self.receive().await else {
                panic!("ended with {:?} before the reply, after {:#?}", self.end, self.heard)
            };
            let its = match &frame {
                ServerFrame::Ok { id, .. } => Some(id),
                ServerFrame::Result { id, .. } | ServerFrame::Error { id, .. } => id.as_ref(),
                _ => None,
            };
            if its == mine.as_ref() {
                return frame;
            }
            self.early.push_back(frame);
        }
    }

    /// A request that must be done.
    pub(crate) async fn ok(&mut self, say: impl Into<Say>) {
        let reply = self.request(say).await;
        assert!(matches!(reply, ServerFrame::Ok { .. }), "not done: {reply:?}");
    }

    /// A request that must be refused: the code and the field.
    pub(crate) async fn refused(&mut self, say: impl Into<Say>) -> (ErrorCode, Option<String>) {
        match self.request(say).await {
            ServerFrame::Error { code, field, .. } => (code, field.map(Into::into)),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A query that must be answered.
    pub(crate) async fn answer(&mut self, say: impl Into<Say>) -> Answer {
        match self.request(say).await {
            ServerFrame::Result { answer, .. } => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// The first page of a channel's members, newest first, as the broker has them now.
    pub(crate) async fn members(&mut self, channel: &str) -> Vec<MemberView> {
        match self.answer(json!({"type": "getMembers", "channel": channel})).await {
            Answer::Members { count, members, next, .. } => {
                assert!(next.is_some() || count == members.len() as u64);
                members
            }
            other => panic!("no members: {other:?}"),
        }
    }

    /// All of a channel's members, newest first, page by page as the broker has them now.
    pub(crate) async fn all_members(&mut self, channel: &str) -> Vec<MemberView> {
        let mut all = Vec::new();
        let mut after = Value::Null;
        loop {
            let query = json!({"type": "getMembers", "channel": channel, "limit": 1_000,
                               "after": after});
            let Answer::Members { members, next, .. } = self.answer(query).await else {
                panic!("no members")
            };
            all.extend(members);
            match next {
                Some(next) => after = json!(next),
                None => return all,
            }
        }
    }

    /// The number of members as the broker has it now.
    pub(crate) async fn count(&mut self, channel: &str) -> u64 {
        match self.answer(json!({"type": "getCount", "channel": channel})).await {
            Answer::Count { count, .. } => count,
            other => panic!("no count: {other:?}"),
        }
    }

    /// Subscribes, takes `ok` and snapshot, and returns the replica that it begins.
    pub(crate) async fn observe(&mut self, channel: &str) -> Replica {
        self.ok(json!({"type": "subscribe", "channel": channel})).await;
        let mut replica = Replica::new(channel);
        while !replica.is_whole() {
            let frame = self.next().await;
            assert!(matches!(frame, ServerFrame::Snapshot { .. }), "no snapshot: {frame:?}");
            replica.apply(&frame);
        }
        replica
    }

    /// Nothing came that was not taken, and nothing comes for a while.
    ///
    /// A round trip alone would be over before a frame that the broker sends a little late. Nothing
    /// that a client can ask for is certainly behind all that the broker might still say, because
    /// flushers and timers run beside the connection. So this listens between two round trips: the
    /// first has all that this client sent before applied, and behind the second there is nothing
    /// left of what the broker said meanwhile, however late the machine hands it over. The wait is
    /// short, so that the suite stays fast: it is made for ticks. Where a timer or a round of counts
    /// could be at fault, a test asks for [`A_TURN`] or [`A_ROUND`].
    ///
    /// What comes later still fails the next frame that the test takes, or the next wait.
    pub(crate) async fn expect_quiet(&mut self) {
        self.expect_quiet_for(QUIET).await;
    }

    /// As [`Client::expect_quiet`], for as long as the test asks.
    pub(crate) async fn expect_quiet_for(&mut self, time: Duration) {
        self.expect_quiet_so_far().await;
        tokio::time::sleep(time).await;
        self.expect_quiet_so_far().await;
    }

    /// Nothing came so far that was not taken: a round trip. A frame that comes a moment later goes
    /// unnoticed here, so a test that repeats this ends with [`Client::expect_quiet`].
    pub(crate) async fn expect_quiet_so_far(&mut self) {
        let answer = self.answer(json!({"type": "getChannels"})).await;
        assert!(matches!(answer, Answer::Channels { .. }));
        assert!(self.early.is_empty(), "not quiet: {:#?}", self.early);
    }

    /// Sends a Close frame and waits for the answer: the code (1005 stands for none, both ways).
    pub(crate) async fn close(mut self, code: u16) -> End {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.send_messages([Message::Close((code != 1005).then_some(frame))]).await;
        self.ended().await
    }

    /// Ends the socket without a Close frame, as a process that dies does.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Resets the socket: unread and unsent bytes are thrown away.
    pub(crate) fn reset(self) {
        SockRef::from(self.socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The bare socket, for whoever speaks bytes or wants to stop reading. What was read already
    /// is lost.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.socket.into_inner()
    }
}
