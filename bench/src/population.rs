//! Which users are expected in which channel, and how users and updates are found in what a system
//! sends.
//!
//! The user of connection `i` is called `u~` and `i` in hex, update `n` is marked `n~` and `n` in hex,
//! so that both are found whatever a system makes of them. Connection `i` is in channel
//! `i % channels`, as the `i / channels`-th member.

const USER_MARK: &[u8] = b"u~";
const UPDATE_MARK: &[u8] = b"n~";
const DIGITS: usize = 8;

/// How many users, over how many channels.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    pub(crate) users: usize,
    pub(crate) channels: usize,
    /// Begins every channel's name, so that one round's channels are not another's.
    pub(crate) prefix: String,
}

impl Population {
    /// The name of the user of connection `index`.
    pub(crate) fn user(index: usize) -> String {
        format!("u~{index:08x}")
    }

    /// The name of the channel of connection `index`.
    pub(crate) fn channel(&self, index: usize) -> String {
        format!("{}-{}", self.prefix, index % self.channels)
    }

    /// How many are in the channel of connection `index`.
    pub(crate) fn size(&self, index: usize) -> usize {
        (self.users - index % self.channels).div_ceil(self.channels)
    }

    /// Which member of its channel user `user` is; none if connection `who` is in another one.
    pub(crate) fn slot(&self, who: usize, user: usize) -> Option<usize> {
        let same = user < self.users && user % self.channels == who % self.channels;
        same.then_some(user / self.channels)
    }
}

/// The users that `bytes` name, in order.
pub(crate) fn users_in(bytes: &[u8]) -> impl Iterator<Item = usize> {
    numbers_in(bytes, USER_MARK)
}

/// The updates that `bytes` carry, in order.
pub(crate) fn updates_in(bytes: &[u8]) -> impl Iterator<Item = usize> {
    numbers_in(bytes, UPDATE_MARK)
}

/// How update `number` is found in whatever a system makes of it.
pub(crate) fn update_mark(number: usize) -> String {
    format!("n~{number:08x}")
}

/// The index in a user's name.
pub(crate) fn user_index(name: &[u8]) -> Option<usize> {
    let digits = name.strip_prefix(USER_MARK).filter(|digits| digits.len() == DIGITS)?;
    parse_hex(digits)
}

fn numbers_in<'a>(bytes: &'a [u8], mark: &'static [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(bytes, mark).filter_map(move |at| {
        let start = at + mark.len();
        parse_hex(bytes.get(start..start + DIGITS)?)
    })
}

fn parse_hex(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_place() {
        let population = Population { users: 10, channels: 4, prefix: "c".into() };
        let sizes: Vec<_> = (0..4).map(|channel| population.size(channel)).collect();
        assert_eq!(sizes, [3, 3, 2, 2]);
        assert_eq!(population.slot(1, 9), Some(2));
        assert_eq!(population.slot(1, 8), None);
    }

    #[test]
    fn names_are_found_anywhere() {
        assert_eq!(updates_in(update_mark(300).as_bytes()).next(), Some(300));
        let text = format!("x{{{}}},\"u~zz\",{}u~", Population::user(17), Population::user(255));
        assert_eq!(users_in(text.as_bytes()).collect::<Vec<_>>(), [17, 255]);
        assert_eq!(user_index(b"u~00000a"), None);
    }
}
