//! All webhooks of a broker.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::file::{HookOrder, read_orders};
use super::hook::{Beginning, Hook, Manner};
use crate::config::{Config, WebhookFlags};
use crate::hub::Hub;
use crate::limits::WEBHOOK_DRAIN;
use crate::outgoing::{Reach, client};

/// All webhooks of a broker. They end when it is dropped.
#[derive(Debug)]
pub struct Hooks {
    flags: WebhookFlags,
    manner: Manner,
    /// Bytes of all of them.
    bound: usize,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    hooks: Vec<Hook>,
    /// How many were ever started.
    started: u64,
}

impl Hooks {
    /// Reads what the flags name, and begins to follow: before anybody can join, so that they miss
    /// nothing. `None`: no file is named.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn start(config: &Config, hub: &Arc<Hub>) -> Result<Option<Self>, String> {
        let flags = config.webhooks.clone();
        if flags.webhooks_file.is_none() {
            return Ok(None);
        }
        let orders = read_orders(&flags)?;
        let reach = if flags.webhooks_allow_private { Reach::Everywhere } else { Reach::Public };
        let client = client(reach, true).map_err(|why| format!("--webhooks-file: {why}"))?;
        let manner = Manner {
            hub: Arc::clone(hub),
            client,
            bound: 0,
            patience: config.limits.webhook_time,
            back_off: config.limits.webhook_back_off,
            run: hub.chance().number(),
        };
        let bound = config.limits.max_webhook_bytes as usize;
        let hooks = Self { flags, manner, bound, running: Mutex::default() };
        hooks.obey(orders, Beginning::Started)?;
        Ok(Some(hooks))
    }

    /// Reads the file again. A webhook of which only the address or the secrets are others goes on
    /// where it was; one that is to be told of something else begins anew, with a gap.
    ///
    /// # Errors
    /// One line that names the flag; what can't be used changes nothing.
    pub fn read_again(&self) -> Result<(), String> {
        self.obey(read_orders(&self.flags)?, Beginning::Gap)
    }

    fn obey(&self, orders: Vec<HookOrder>, beginning: Beginning) -> Result<(), String> {
        let mut running = self.running.lock();
        let Running { hooks, started } = &mut *running;
        // What each may keep follows from how many there are, so that one whose receiver is gone takes
        // nothing from the others.
        let manner = Manner { bound: self.bound / orders.len().max(1), ..self.manner.clone() };
        let mut begun = Vec::with_capacity(orders.len());
        for order in orders {
            let goes_on = hooks.iter().any(|hook| hook.is_for(&order));
            *started += 1;
            let hook = (!goes_on).then(|| Hook::start(&order, &manner, *started, beginning));
            begun.push((order, hook.transpose()?));
        }
        // From here on nothing fails.
        let mut before = std::mem::take(hooks);
        for (order, hook) in begun {
            let place = before.iter().position(|hook| hook.is_for(&order));
            let mut hook = match (hook, place) {
                (Some(hook), _) => hook,
                (None, Some(place)) => before.swap_remove(place),
                (None, None) => continue,
            };
            hook.go_on(order, manner.bound);
            hooks.push(hook);
        }
        for gone in before {
            if !hooks.iter().any(|hook| hook.name() == gone.name()) {
                self.manner.hub.metrics().webhooks.forget(gone.name());
            }
        }
        Ok(())
    }

    /// Gives receivers a moment to take what waits for them, and ends all webhooks.
    pub async fn end(&self) {
        let look = Duration::from_millis(5);
        let all_taken = async {
            while !self.running.lock().hooks.iter().all(Hook::is_idle) {
                sleep(look).await;
            }
        };
        let _ = timeout(WEBHOOK_DRAIN, all_taken).await;
        self.running.lock().hooks.clear();
    }
}
