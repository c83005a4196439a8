//! One connection as others may touch it: passes write through it, timers wake it, anybody posts
//! letters to it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::Context;

use herenow_protocol::UserId;
use parking_lot::Mutex;

use super::mailbox::{Letter, Undelivered, Wake, Wakes};
use super::sending::Sending;
use super::transport::Transport;
use super::writer::Writer;
use crate::auth::{Access, Identity};
use crate::presence::ConnectionId;

static NOBODY: LazyLock<UserId> = LazyLock::new(UserId::nobody);

/// The part of a connection that others may touch.
pub struct Outlet {
    id: ConnectionId,
    transport: Transport,
    /// Empty as long as nobody has said whose it is.
    user: OnceLock<UserId>,
    /// When a frame last spoke for everything that the connection joined, in milliseconds of the
    /// broker's clock.
    heard_ms: AtomicU64,
    wakes: Wakes,
    /// Whether its client negotiated compression. Never changes, and lies where there was room.
    squeezes: bool,
    /// When the timers will wake the task, in milliseconds of the broker's clock.
    armed_ms: AtomicU64,
    writer: Mutex<Writer>,
}

/// With the counters of an `Arc` and the allocator's own word this fills 192 bytes: one more word
/// would cost every connection 16 bytes.
const _: () = assert!(size_of::<Outlet>() <= 168);

impl Outlet {
    /// Not armed: no wake-up is on its way.
    pub const NEVER: u64 = u64::MAX;

    /// Connection number `id` over `transport`, of whom `identity` says, heard at `now_ms`. Its client
    /// negotiated compression (`squeezes`) or not.
    #[must_use]
    pub fn new(
        id: u64,
        transport: Transport,
        identity: Identity,
        now_ms: u64,
        squeezes: bool,
    ) -> Arc<Self> {
        let Identity { user, access } = identity;
        let known = OnceLock::new();
        if !user.is_nobody() {
            let _ = known.set(user);
        }
        Arc::new(Self {
            id: ConnectionId::new(id),
            transport,
            user: known,
            heard_ms: AtomicU64::new(now_ms),
            wakes: Wakes::default(),
            squeezes,
            armed_ms: AtomicU64::new(Self::NEVER),
            writer: Mutex::new(Writer::new(access)),
        })
    }

    /// The connection's number, never used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id.number()
    }

    /// Whose connection it is; [`UserId::nobody`]: nobody has said so.
    #[must_use]
    pub fn user(&self) -> &UserId {
        self.user.get().unwrap_or(&NOBODY)
    }

    /// Whether it is known whose connection it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.user.get().is_some()
    }

    /// Says whose connection it is, if that was not known. Whether it is that user's now.
    pub fn identify(&self, user: &UserId) -> bool {
        self.user.get_or_init(|| user.clone()) == user
    }

    /// Whether its client negotiated compression: of what it sends, too.
    #[must_use]
    pub fn squeezes(&self) -> bool {
        self.squeezes
    }

    /// The socket, for reading, and for waiting until it takes bytes.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// When a frame last spoke for everything that the connection joined, in milliseconds of the
    /// broker's clock.
    #[must_use]
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    /// A frame spoke for everything that the connection joined.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Has the connection's timer fire at `due_ms`, in milliseconds of the broker's clock. The
    /// result: when it would have fired; `None` if that is no later, and stays so. Only the
    /// connection's task arms it.
    #[must_use]
    pub fn arm(&self, due_ms: u64) -> Option<u64> {
        let later = due_ms < self.armed_ms.load(Ordering::Relaxed);
        later.then(|| self.armed_ms.swap(due_ms, Ordering::Relaxed))
    }

    /// The timer is not to fire any more. The result: when it would have.
    pub fn disarm(&self) -> u64 {
        self.armed_ms.swap(Self::NEVER, Ordering::Relaxed)
    }

    /// The timer that was set for `due_ms` fires, and wakes the task, unless another was armed
    /// instead.
    pub fn fire(&self, due_ms: u64) {
        let order = Ordering::Relaxed;
        if self.armed_ms.compare_exchange(due_ms, Self::NEVER, order, order).is_ok() {
            self.wake(Wake::Timer);
        }
    }

    /// What the user's token grants; `None`: everything.
    #[must_use]
    pub fn access(&self) -> Option<Arc<Access>> {
        self.lock().access().cloned()
    }

    /// Brings what a visit looks at from memory. A pass does so for some subscribers at once before
    /// it visits them: the processor then waits for all of them together, not for each in turn.
    /// Measured to save a tenth of what a delivery costs.
    pub fn fetch(&self) {
        std::hint::black_box((self.id.number(), self.transport.peek(), self.writer.is_locked()));
    }

    /// Takes the connection's lock: whoever holds the result is the only one who writes.
    #[must_use]
    pub fn lock(&self) -> Sending<'_> {
        Sending::new(&self.transport, self.writer.lock(), self.squeezes)
    }

    /// Registers the connection's task to be woken.
    pub fn register(&self, cx: &Context<'_>) {
        self.writer.lock().register(cx);
    }

    /// Wakes the connection's task for `reason`.
    pub fn wake(&self, reason: Wake) {
        self.wakes.add(reason);
        // Through the lock: the task registers its waker under it before it looks at the reasons.
        self.writer.lock().wake();
    }

    /// Whether the task was woken for `reason` since it last asked. Takes no lock: whoever holds a
    /// channel's may ask.
    #[must_use]
    pub fn take_wake(&self, reason: Wake) -> bool {
        self.wakes.take(reason)
    }

    /// Posts a letter: the connection's task sends it among its replies. Takes the connection's
    /// lock.
    ///
    /// # Errors
    /// The connection ended, or its mailbox is full.
    pub fn post(&self, letter: Arc<Letter>) -> Result<(), Undelivered> {
        self.writer.lock().post(letter)
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("id", &self.id()).finish_non_exhaustive()
    }
}
