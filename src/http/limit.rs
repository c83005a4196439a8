//! How many requests each caller may still make.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use herenow_protocol::{ErrorCode, Refusal, UserId};
use parking_lot::Mutex;

use crate::allowance::{Allowance, Charge, Rate};
use crate::limits::{Limits, MAX_CALLERS};

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// An API key, by its name.
    Key(Box<str>),
    /// A user, by its token.
    User(UserId),
    /// An address from which neither came. IPv4 addresses in their IPv6 form.
    Address(Ipv6Addr),
    /// Whoever found the table full of others.
    Others,
}

/// The allowances of everybody who asked lately.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    accounts: Mutex<HashMap<Account, Allowance>>,
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
    /// `rate_limited`, with the time after which there is an allowance again.
    pub fn charge(&self, account: Account, now_ms: u64) -> Result<(), Refusal> {
        let mut accounts = self.accounts.lock();
        let account = Self::make_room(&mut accounts, account, self.rate, now_ms);
        let allowance =
            accounts.entry(account).or_insert_with(|| Allowance::new(self.rate, now_ms));
        let retry_after_ms = match allowance.charge(self.rate, now_ms) {
            Charge::Fine => return Ok(()),
            Charge::Limited { retry_after_ms } => retry_after_ms,
            Charge::Abuse => allowance.whole_ms(self.rate),
        };
        Err(Refusal {
            retry_after_ms: Some(retry_after_ms),
            ..Refusal::new(ErrorCode::RateLimited, "requests come faster than allowed")
        })
    }

    /// The account to charge. A whole allowance says nothing and is forgotten when room is needed;
    /// if there is none then, newcomers share one.
    fn make_room(
        accounts: &mut HashMap<Account, Allowance>,
        account: Account,
        rate: Rate,
        now_ms: u64,
    ) -> Account {
        if accounts.len() < MAX_CALLERS || accounts.contains_key(&account) {
            return account;
        }
        accounts.retain(|_, allowance| !allowance.is_whole(rate, now_ms));
        if accounts.len() < MAX_CALLERS { account } else { Account::Others }
    }
}
