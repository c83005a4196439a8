//! How many requests each caller may still make.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use herenow_protocol::{ErrorCode, Refusal, UserId};
use parking_lot::Mutex;

use crate::limits::{CALLERS_SWEEP_MS, Limits, MAX_CALLERS};
use crate::token_bucket::{Charge, Rate, TokenBucket};

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// An API key, by its name.
    Key(Box<str>),
    /// A user, by its token.
    User(UserId),
    /// An address from which neither came.
    Address(Ipv6Addr),
    /// Whoever found the table full of others.
    Others,
}

/// The token buckets of everybody who asked lately.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    buckets: HashMap<Account, TokenBucket>,
    /// When those that say nothing were last forgotten.
    swept_ms: u64,
}

impl Limiter {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let rate =
            Rate { per_second: limits.max_requests_per_second, burst: limits.max_requests_burst };
        Self { rate, accounts: Mutex::default() }
    }

    /// Charges one request.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which there is a token again.
    pub fn charge(&self, account: Account, now_ms: u64) -> Result<(), Refusal> {
        let mut accounts = self.accounts.lock();
        let bucket = accounts.bucket(account, self.rate, now_ms);
        let retry_after_ms = match bucket.charge(self.rate, now_ms) {
            Charge::Fine => return Ok(()),
            Charge::Limited { retry_after_ms } => retry_after_ms,
            Charge::Abuse => bucket.whole_ms(self.rate),
        };
        Err(Refusal {
            retry_after_ms: Some(retry_after_ms),
            ..Refusal::new(ErrorCode::RateLimited, "requests come faster than allowed")
        })
    }

    /// Charges one request if it may be made now; otherwise says in how many milliseconds it might,
    /// and charges nothing: for whoever waits, since a charge for each look would never be repaid.
    ///
    /// # Errors
    /// The milliseconds.
    pub fn charge_if_free(&self, account: Account, now_ms: u64) -> Result<(), u64> {
        let mut accounts = self.accounts.lock();
        let bucket = accounts.bucket(account, self.rate, now_ms);
        if let Some(ms) = bucket.lacks_ms(self.rate, now_ms) {
            return Err(ms);
        }
        bucket.spend(1, self.rate, now_ms);
        Ok(())
    }

    /// Charges `requests` more, for one that was let in and asks for much: whoever has too few left
    /// is refused its next ones.
    pub fn spend(&self, account: Account, requests: usize, now_ms: u64) {
        let mut accounts = self.accounts.lock();
        let bucket = accounts.bucket(account, self.rate, now_ms);
        bucket.spend(u32::try_from(requests).unwrap_or(u32::MAX), self.rate, now_ms);
    }
}

impl Accounts {
    /// The bucket to charge.
    fn bucket(&mut self, account: Account, rate: Rate, now_ms: u64) -> &mut TokenBucket {
        let account = self.make_room(account, rate, now_ms);
        self.buckets.entry(account).or_insert_with(|| TokenBucket::new(rate, now_ms))
    }

    /// The account to charge. A full bucket says nothing and is forgotten when room is needed;
    /// if there is none then, newcomers share one. Looking through all of them takes a millisecond,
    /// so it is done once a second at most, however many newcomers come.
    fn make_room(&mut self, account: Account, rate: Rate, now_ms: u64) -> Account {
        let full = |all: &HashMap<_, _>| all.len() >= MAX_CALLERS;
        if !full(&self.buckets) || self.buckets.contains_key(&account) {
            return account;
        }
        if now_ms >= self.swept_ms + CALLERS_SWEEP_MS {
            self.swept_ms = now_ms;
            self.buckets.retain(|_, bucket| !bucket.is_whole(rate, now_ms));
        }
        if full(&self.buckets) { Account::Others } else { account }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        let rate = Rate { per_second: 1, burst: 2 };
        Limiter { rate, accounts: Mutex::default() }
    }

    fn address(number: usize) -> Account {
        Account::Address(Ipv6Addr::from(number as u128))
    }

    #[test]
    fn everyone_has_a_bucket_of_its_own() {
        let limiter = limiter();
        for _ in 0..2 {
            limiter.charge(address(1), 0).unwrap();
        }
        let refusal = limiter.charge(address(1), 0).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::RateLimited, Some(2_000)));
        limiter.charge(Account::Key("1".into()), 0).unwrap();
        limiter.charge(address(1), 2_000).unwrap();
    }

    #[test]
    fn whoever_waits_is_not_charged_for_looking() {
        let limiter = limiter();
        let look = |now_ms| limiter.charge_if_free(address(1), now_ms);
        assert_eq!((look(0), look(0)), (Ok(()), Ok(())));
        assert!((0..100).all(|_| look(0) == Err(1_000)));
        assert_eq!((look(999), look(1_000)), (Err(1), Ok(())));
    }

    /// However many there are: memory is bounded, and those who were there keep what is theirs.
    #[test]
    fn a_full_table_forgets_who_was_away_and_then_lets_newcomers_share() {
        let limiter = limiter();
        let held = || limiter.accounts.lock().buckets.len();
        for number in 0..MAX_CALLERS {
            limiter.charge(address(number), 5_000).unwrap();
        }
        let newcomers = MAX_CALLERS..MAX_CALLERS + 5;
        let passed = |now_ms| {
            newcomers.clone().filter(|&n| limiter.charge(address(n), now_ms).is_ok()).count()
        };
        assert_eq!(passed(5_000), 2, "one bucket for all of them");
        assert_eq!(held(), MAX_CALLERS + 1);
        limiter.charge(address(7), 5_000).unwrap();
        limiter.charge(address(7), 5_000).unwrap_err();
        assert_eq!(passed(60_000), 5, "the others have not asked for long");
        assert_eq!(held(), 5);
    }
}
