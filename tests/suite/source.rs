//! A client of server-sent events by hand, and a replica by the rules that docs/http.md tells.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use herenow::hub::Hub;
use herenow::presence::Viewer;
use herenow_protocol::reply::MemberView;
use herenow_protocol::{ChannelName, Event, ServerFrame, UserId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::PATIENCE;

/// A stream of events, as `EventSource` reads one.
pub(crate) struct Source {
    socket: TcpStream,
    head: String,
    /// Read, and still in chunks.
    raw: Vec<u8>,
    /// Out of the chunks, and not looked at yet.
    body: Vec<u8>,
    /// The last chunk came.
    ended: bool,
    /// What goes into `Last-Event-ID`.
    pub(crate) last_id: String,
}

/// One event, or a comment.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) id: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) comment: bool,
    pub(crate) retry_ms: Option<u64>,
}

impl Got {
    /// The frame that it holds.
    pub(crate) fn frame(&self) -> Option<ServerFrame> {
        self.data.as_ref().map(|data| serde_json::from_str(data).unwrap())
    }
}

impl Source {
    /// Asks for `path`. `headers` are whole lines.
    pub(crate) async fn open(address: SocketAddr, path: &str, headers: &[&str]) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), path, headers).await
    }

    /// As [`Source::open`], over a socket whose options the test set.
    pub(crate) async fn over(mut socket: TcpStream, path: &str, headers: &[&str]) -> Self {
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        headers.iter().for_each(|header| text += &format!("{header}\r\n"));
        socket.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        let (raw, body) = (Vec::new(), Vec::new());
        let (head, last_id) = (String::new(), String::new());
        let mut source = Self { socket, head, raw, body, ended: false, last_id };
        source.head = loop {
            if let Some(end) = find(&source.raw, b"\r\n\r\n") {
                let head = source.raw.drain(..end + 4).collect();
                break String::from_utf8(head).unwrap().to_ascii_lowercase();
            }
            assert!(source.read().await, "no answer");
        };
        assert!(source.head.starts_with("http/1.1 200"), "{}", source.head);
        assert!(source.head.contains("transfer-encoding: chunked"), "{}", source.head);
        source
    }

    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// Whether more came.
    async fn read(&mut self) -> bool {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.raw)).await;
        // Whoever ends it in the midst of a chunk may reset it.
        read.expect("nothing comes").unwrap_or(0) > 0
    }

    /// The next event or comment; `None`: the stream has ended, well or not.
    pub(crate) async fn next(&mut self) -> Option<Got> {
        loop {
            if let Some(end) = find(&self.body, b"\n\n") {
                let block: Vec<_> = self.body.drain(..end + 2).collect();
                return Some(self.parse(&String::from_utf8(block).unwrap()));
            }
            if self.ended || (!self.unchunk() && !self.read().await) {
                return None;
            }
        }
    }

    /// Whether the stream ended as it should, with its last chunk.
    pub(crate) fn ended_well(&self) -> bool {
        self.ended && self.body.is_empty()
    }

    /// Takes a chunk out of what was read, if one is there whole.
    fn unchunk(&mut self) -> bool {
        let Some(line) = find(&self.raw, b"\r\n") else { return false };
        let size = std::str::from_utf8(&self.raw[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if self.raw.len() < line + 2 + size + 2 {
            return false;
        }
        self.body.extend_from_slice(&self.raw[line + 2..line + 2 + size]);
        self.raw.drain(..line + 2 + size + 2);
        self.ended = size == 0;
        true
    }

    fn parse(&mut self, block: &str) -> Got {
        let mut got = Got::default();
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => got.comment = true,
                "id" => got.id = Some(value.to_owned()),
                "data" => assert!(got.data.replace(value.to_owned()).is_none(), "{block}"),
                "retry" => got.retry_ms = Some(value.parse().unwrap()),
                other => panic!("a field {other:?}: onmessage would not do"),
            }
        }
        if let Some(id) = &got.id {
            self.last_id.clone_from(id);
        }
        got
    }

    /// The next event, which must hold a frame. Comments are passed over.
    pub(crate) async fn event(&mut self) -> Got {
        loop {
            let got = self.next().await.expect("the stream ended");
            if got.data.is_some() {
                return got;
            }
        }
    }

    /// The next frame as JSON, less what differs from run to run.
    pub(crate) async fn says(&mut self, expected: &str) {
        let frame = self.event().await.frame().unwrap();
        assert_eq!(words(&frame), expected);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A frame in words.
pub(crate) fn words(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Snapshot { channel, count, members, more, reason, .. } => {
            let users: Vec<_> = members.iter().map(|member| member.user.as_str()).collect();
            let more = if *more { "…" } else { "" };
            format!("{channel}: snapshot {count} [{}{more}] {reason:?}", users.join(" "))
        }
        ServerFrame::Presence { channel, count, events, .. } => {
            let events: Vec<_> = events.iter().map(crate::replica::short).collect();
            format!("{channel}: {count} {}", events.join(", "))
        }
        ServerFrame::Count { channel, count, recent, .. } => {
            format!("{channel}: count {count} {}", if recent.is_some() { "recent" } else { "" })
        }
        ServerFrame::Level { channel, level, .. } => format!("{channel}: level {level:?}"),
        ServerFrame::Synced => "synced".to_owned(),
        ServerFrame::Status { status } => {
            let online = if status.online { "online" } else { "offline" };
            format!("{} {online} {}", status.user, status.text.as_deref().unwrap_or(""))
        }
        other => panic!("{other:?}"),
    }
}

/// What an observer knows of some channels, by the rules for streams: a `join` of a known member
/// replaces it, and what else is told of an unknown one is nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    channels: BTreeMap<ChannelName, BTreeMap<UserId, MemberView>>,
    /// Parts of snapshots whose last has not come.
    parts: BTreeMap<ChannelName, BTreeMap<UserId, MemberView>>,
    /// What this stream has told of.
    told: BTreeSet<ChannelName>,
}

impl Known {
    /// The members of a channel.
    pub(crate) fn members(&self, channel: &ChannelName) -> BTreeMap<UserId, MemberView> {
        self.channels.get(channel).cloned().unwrap_or_default()
    }

    /// The connection was lost.
    pub(crate) fn lost(&mut self) {
        self.parts.clear();
        self.told.clear();
    }

    pub(crate) fn apply(&mut self, frame: ServerFrame) {
        if let ServerFrame::Snapshot { channel, .. } | ServerFrame::Count { channel, .. } = &frame {
            self.told.insert(channel.clone());
        }
        match frame {
            ServerFrame::Synced => self.channels.retain(|channel, _| self.told.contains(channel)),
            ServerFrame::Snapshot { channel, members, more, .. } => {
                let parts = self.parts.entry(channel.clone()).or_default();
                parts.extend(members.into_iter().map(|member| (member.user.clone(), member)));
                if !more {
                    let whole = self.parts.remove(&channel).unwrap();
                    self.channels.insert(channel, whole);
                }
            }
            ServerFrame::Presence { channel, events, .. } => {
                assert!(!self.parts.contains_key(&channel), "in the midst of a snapshot");
                let members = self.channels.get_mut(&channel).expect("a snapshot first");
                events.into_iter().for_each(|event| tell(members, event));
            }
            ServerFrame::Count { channel, .. } => {
                self.parts.remove(&channel);
                self.channels.remove(&channel);
            }
            ServerFrame::Level { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn tell(members: &mut BTreeMap<UserId, MemberView>, event: Event) {
    match event {
        Event::Join { user, info, attributes, away, at } => {
            let member = MemberView { user: user.clone(), info, attributes, away, joined_at: at };
            members.insert(user, member);
        }
        Event::Leave { user, .. } | Event::Timeout { user, .. } => {
            members.remove(&user);
        }
        Event::UpdateAttributes { user, attributes, info, away, joined_at, .. } => {
            let Some(member) = members.get_mut(&user) else { return };
            member.attributes = attributes;
            member.info = info.unwrap_or_else(|| member.info.clone());
            member.away = away.unwrap_or(member.away);
            member.joined_at = joined_at.unwrap_or(member.joined_at);
        }
    }
}

/// What `viewer` may see in a channel now.
pub(crate) fn truth(
    hub: &Hub,
    channel: &ChannelName,
    viewer: Viewer<'_>,
) -> BTreeMap<UserId, MemberView> {
    let page = hub.look(channel, |guarded| guarded.presence().members(usize::MAX, None, viewer));
    let members = page.into_iter().flat_map(|page| page.members);
    members.map(|member| (member.user.clone(), member.view())).collect()
}
