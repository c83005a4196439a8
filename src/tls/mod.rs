//! TLS as far as the port needs it: the certificate that clients are shown, and how it is replaced while
//! they are connected.
//!
//! In the order in which the files need each other:
//!
//! - [`flags`]: what an operator sets.
//! - [`certificate`]: a pair of files as something that handshakes can be made with.
//! - [`shown`]: the pair that is shown now, and the next one.

pub mod certificate;
pub mod flags;
pub mod shown;

pub use flags::TlsFlags;
pub use shown::{Shown, Terms};
