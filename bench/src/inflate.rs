//! What a server compressed (RFC 7692), for clients that offer it: all of herenow's, if the variable
//! [`OFFER`] is set. Each message by itself, since no side keeps a window.

use std::cell::RefCell;
use std::sync::LazyLock;

use flate2::{Decompress, FlushDecompress};

use crate::failure::{Result, fail};

/// The variable that has clients offer compression.
const OFFER: &str = "HERENOW_BENCH_DEFLATE";

static OFFERS: LazyLock<bool> = LazyLock::new(|| std::env::var_os(OFFER).is_some());

/// The line of the handshake that offers it, if it is offered.
pub(crate) fn offer() -> &'static str {
    if *OFFERS {
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover\r\n"
    } else {
        ""
    }
}

/// Has `act` read what the compressed `payload` says.
///
/// # Errors
/// If it says nothing, and whatever `act` finds.
pub(crate) fn inflated<T>(payload: &[u8], act: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
    const MOST: usize = 1 << 20;
    thread_local! {
        static INFLATER: RefCell<(Decompress, Vec<u8>)> =
            RefCell::new((Decompress::new(false), Vec::with_capacity(MOST)));
    }
    INFLATER.with_borrow_mut(|(inflater, out)| {
        inflater.reset(false);
        out.clear();
        for input in [payload, &TAIL] {
            let taken = inflater.total_in();
            let done = inflater.decompress_vec(input, out, FlushDecompress::Sync);
            if done.is_err() || (inflater.total_in() - taken) as usize != input.len() {
                fail!("a compressed message of {} bytes is damaged, or too large", payload.len());
            }
        }
        act(out)
    })
}
