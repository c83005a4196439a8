//! The socket of one connection: the only place among connections that knows what it is made of.
//!
//! Plain TCP, or TLS over it, whose records are made and read in `delivery/tls`. Everything here
//! takes a shared reference, since passes write to a socket while its connection's task reads from
//! it, and everything speaks in bytes of the WebSocket.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::kernel::{Drain, has_room};
use super::tls::Session;
use crate::limits::{LINGER_BYTES, READ_BYTES};

/// A connected socket.
#[derive(Debug)]
pub struct Transport(Kind);

/// No larger than the socket alone, which knows values that it never has.
const _: () = assert!(size_of::<Transport>() == size_of::<TcpStream>());

#[derive(Debug)]
enum Kind {
    Plain(TcpStream),
    Tls(Box<(TcpStream, Session)>),
}

impl Transport {
    /// Plain TCP.
    #[must_use]
    pub fn plain(socket: TcpStream) -> Self {
        Self(Kind::Plain(socket))
    }

    /// TLS over TCP, its handshake done.
    #[must_use]
    pub fn tls(socket: TcpStream, session: ServerConnection) -> Self {
        Self(Kind::Tls(Box::new((socket, Session::new(session)))))
    }

    /// The socket, whatever is spoken over it.
    fn socket(&self) -> &TcpStream {
        match &self.0 {
            Kind::Plain(socket) => socket,
            Kind::Tls(tls) => &tls.0,
        }
    }

    /// Reads what has come, as tokio's own `AsyncRead` does, but through a shared reference. Ready
    /// with zero bytes: the client sends nothing any more.
    ///
    /// # Errors
    /// The socket is broken, or what came is no TLS.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Plain(socket) => poll_read(socket, cx, buffer),
            Kind::Tls(tls) => {
                let (socket, session) = &**tls;
                session.poll_read(socket, cx, buffer)
            }
        }
    }

    /// Ready once the socket takes bytes; until then the task of `cx` is woken when it does.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(cx)
    }

    /// Waits until the socket takes bytes.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().writable().await
    }

    /// Writes for the connection's own task, which waits for the socket through tokio: whether it
    /// takes bytes is noted there. The result: how many bytes it took. Where these are not all, and
    /// until the rest was written too, the next write must begin with the rest.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is full. Any other: it is broken.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Plain(socket) => socket.try_write(bytes),
            Kind::Tls(tls) => {
                let (socket, session) = &**tls;
                session.write(socket, bytes)
            }
        }
    }

    /// Writes for a pass, which waits for nobody: what tokio knows of the socket lies elsewhere in
    /// memory, and a pass over thousands of sockets pays for each line that it touches. Should the
    /// socket be full, the task that is woken then finds that out for itself.
    ///
    /// # Errors
    /// As [`Transport::write`].
    pub(super) fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Plain(socket) => SockRef::from(socket).send(bytes),
            Kind::Tls(tls) => {
                let (socket, session) = &**tls;
                session.write_at_once(socket, bytes)
            }
        }
    }

    /// As [`Transport::write`], with bytes of which no rest should be left: at most
    /// [`WHOLE_BYTES`](crate::limits::WHOLE_BYTES). A socket that has less room counts as full.
    ///
    /// # Errors
    /// As [`Transport::write`].
    pub(super) fn write_whole(&self, bytes: &[u8]) -> io::Result<usize> {
        // Within `try_io`, so that no event is missed that comes between the look and its being noted.
        self.socket().try_io(Interest::WRITABLE, || self.write_whole_at_once(bytes))
    }

    /// As [`Transport::write_whole`], for a pass.
    pub(super) fn write_whole_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        if !has_room(self.socket()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.write_at_once(bytes)
    }

    /// What [`Transport::write_at_once`] looks at: a pass brings it from memory beforehand.
    pub(super) fn peek(&self) -> RawFd {
        self.socket().as_raw_fd()
    }

    /// Nothing is written any more; the client may still send.
    pub fn half_close(&self) {
        if let Kind::Tls(tls) = &self.0 {
            let (socket, session) = &**tls;
            session.say_end(socket);
        }
        // An error means that it is down already.
        let _ = SockRef::from(self.socket()).shutdown(Shutdown::Write);
    }

    /// Writes what nothing follows, if the socket takes it now, and closes as
    /// [`Transport::half_close`] does.
    pub fn say_last(&self, bytes: &[u8]) {
        let _ = self.write(bytes);
        self.half_close();
    }

    /// Waits until the client closes or is lost, without reading anything: what it sends fills the
    /// kernel's buffer, and then its own. An end behind more than the kernel takes is not seen.
    pub async fn gone(&self) {
        let unread = || io::Result::<()>::Err(ErrorKind::WouldBlock.into());
        while let Ok(ready) = self.socket().ready(Interest::READABLE).await
            && !ready.is_read_closed()
        {
            // Says that it was looked at: only what comes now wakes this again.
            let _ = self.socket().try_io(Interest::READABLE, unread);
        }
    }

    /// Waits until the client closes, and forgets what comes until then. What it was is never known: of
    /// TLS not even a record is opened. After [`LINGER_BYTES`] it is as with [`Transport::gone`].
    pub async fn closed(&self) {
        let mut left = LINGER_BYTES;
        while left > 0 && self.socket().readable().await.is_ok() {
            match self.discard() {
                Ok(0) => return,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        self.gone().await;
    }

    /// The buffer lies on the thread's stack, in no task: when thousands leave at once they should not
    /// need more memory than they did while they were here.
    fn discard(&self) -> io::Result<usize> {
        self.socket().try_read(&mut [0; READ_BYTES])
    }
}

fn poll_read(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let mut taken = 0;
        let read = socket.try_io(Interest::READABLE, || {
            let mut drain = Drain::new(socket);
            taken = drain.read(buffer)?;
            drain.verdict()
        });
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock && taken == 0 => {}
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            _ => return Poll::Ready(Ok(taken)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;

    const A_WHILE: Duration = Duration::from_millis(100);

    /// A socket of ours, and its client.
    async fn pair() -> (Transport, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, ours) = tokio::join!(client, listener.accept());
        (Transport::plain(ours.unwrap().0), client.unwrap())
    }

    async fn in_time<T>(wait: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), wait).await.expect("it takes for ever")
    }

    async fn read(transport: &Transport, most: usize) -> io::Result<usize> {
        let mut buffer = vec![0; most];
        in_time(poll_fn(|cx| transport.poll_read(cx, &mut buffer))).await
    }

    #[tokio::test]
    async fn all_that_came_is_read_however_small_the_buffer() {
        let (transport, mut client) = pair().await;
        client.write_all(&[b'x'; 1_000]).await.unwrap();
        for (most, taken) in [(1, 1), (99, 99), (800, 800), (800, 100)] {
            assert_eq!(read(&transport, most).await.unwrap(), taken);
        }
        client.write_all(b"more").await.unwrap();
        assert_eq!(read(&transport, 4).await.unwrap(), 4);
        let waits = poll_fn(|cx| Poll::Ready(transport.poll_read(cx, &mut [0; 9]).is_pending()));
        assert!(waits.await, "nothing more has come, and more may come");
        client.shutdown().await.unwrap();
        assert_eq!(read(&transport, 800).await.unwrap(), 0, "the client sends nothing any more");
    }

    #[tokio::test]
    async fn a_broken_socket_is_no_end_of_what_the_client_sends() {
        let (transport, client) = pair().await;
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(read(&transport, 9).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    /// A frame of which no rest should be left waits until there is room for it, though there is for
    /// its beginning.
    #[tokio::test]
    async fn a_socket_with_little_room_counts_as_full() {
        let (transport, mut client) = pair().await;
        in_time(transport.writable()).await.unwrap();
        // Until nothing more gets under way to the client either.
        while has_room(transport.socket()) {
            while has_room(transport.socket()) {
                transport.write_at_once(&[b'x'; 4_096]).unwrap();
            }
            sleep(A_WHILE).await;
        }
        assert_eq!(transport.write_whole(b"whole").unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut writable = pin!(transport.writable());
        let waits = poll_fn(|cx| Poll::Ready(writable.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
        assert_eq!(transport.write_at_once(b"begun").unwrap(), 5);
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.map(|_| got)
        });
        while transport.write_whole(b"whole").is_err() {
            in_time(transport.writable()).await.unwrap();
        }
        transport.half_close();
        assert!(in_time(reading).await.unwrap().unwrap().ends_with(b"begunwhole"));
    }

    #[tokio::test]
    async fn whoever_is_told_the_end_may_still_send_and_end_it_itself() {
        let (transport, mut client) = pair().await;
        transport.half_close();
        assert_eq!(in_time(client.read(&mut [0])).await.unwrap(), 0);
        client.write_all(b"what nobody reads").await.unwrap();
        let mut closed = Box::pin(transport.closed());
        assert!(timeout(A_WHILE, &mut closed).await.is_err(), "the client is still there");
        drop(client);
        in_time(closed).await;
    }

    /// What it sent lies unread before its end, and is not looked at again and again.
    #[tokio::test]
    async fn the_end_of_whoever_is_not_read_is_seen() {
        let (transport, mut client) = pair().await;
        client.write_all(&[b'x'; 10_000]).await.unwrap();
        let mut gone = pin!(transport.gone());
        assert!(timeout(A_WHILE, &mut gone).await.is_err(), "the client is still there");
        let rests = poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx).is_pending()));
        assert!(rests.await);
        drop(client);
        in_time(gone).await;
    }

    /// Who goes on and on is not read for ever.
    #[tokio::test]
    async fn only_so_much_is_read_of_whoever_is_to_go() {
        const FOR_EVER: usize = 64 * LINGER_BYTES;
        let (transport, mut client) = pair().await;
        transport.half_close();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while sent < FOR_EVER
                && let Ok(Ok(())) = timeout(10 * A_WHILE, client.write_all(&[b'x'; 4096])).await
            {
                sent += 4096;
            }
            (sent, client)
        });
        let mut closed = pin!(transport.closed());
        let (sent, _client) = tokio::select! {
            () = &mut closed => panic!("the client is still there"),
            sent = sending => sent.unwrap(),
        };
        assert!((LINGER_BYTES..FOR_EVER).contains(&sent), "{sent}");
    }
}
