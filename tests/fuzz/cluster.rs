//! Texts in Redis, where anybody may have written.

use herenow::cluster::name::{entry, read_entry};
use herenow::cluster::order::{Obeyed, Order};
use herenow::cluster::wire::{life, told};
use herenow::presence::NodeId;

use crate::{is_short, text};

/// Whatever a script may answer, or a node publish. A record that cannot be read is left out, and
/// told of in a short text.
pub fn texts(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    for strange in [
        told::record(text).err(),
        told::told(text).map_or_else(Some, |read| read.first),
        told::inbox(NodeId::new(7), text).map_or_else(Some, |read| read.first),
        told::buried(text).map_or_else(Some, |read| read.first),
        told::load(text).err(),
        told::summary(text).map_or_else(Some, |read| read.first),
        life::info(text).err(),
        life::renewed(text).map_or_else(Some, |read| read.first),
    ] {
        is_short(&strange.map(|strange| strange.to_string()).unwrap_or_default());
    }
    let _ = life::counts(text);
    if let Some((channel, node)) = read_entry(text) {
        assert_eq!(read_entry(&entry(&channel, node)), Some((channel, node)));
    }
    let (name, record) = text.split_once('\n').unwrap_or((text, ""));
    let _ = told::page([(name.as_bytes(), record.as_bytes())]);
    let _ = told::channels([bytes]);
}

/// What nodes ask of each other.
///
/// # Panics
/// What was read is written otherwise.
pub fn orders(bytes: &[u8]) {
    if let Some(order) = Order::decode(bytes) {
        let text = order.encode();
        assert_eq!(Order::decode(text.as_bytes()).map(|again| again.encode()), Some(text));
    }
    if let Some(obeyed) = Obeyed::decode(bytes) {
        let text = obeyed.encode();
        assert_eq!(Obeyed::decode(text.as_bytes()).map(|again| again.encode()), Some(text));
    }
}
