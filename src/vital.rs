//! What becomes of the broker where a bug panics.
//!
//! What concerns one connection, one request, or one channel's news is cleaned up where it happens, and the
//! rest goes on. Other work lasts as long as the broker, and everybody depends on it: the timers, what
//! accepts connections, what joins it to other nodes. Without it the broker would go on to answer, and
//! lie: nobody would ever time out, say. So whoever runs the broker hears of it, and ends it: clients come
//! back at once, to one that is right.

use std::sync::Arc;

use tokio::sync::SetOnce;

/// Notices when work on which everybody depends panics. Copies notice for each other.
#[derive(Clone, Debug, Default)]
pub struct Vital(Arc<SetOnce<&'static str>>);

impl Vital {
    /// The same work, and noticed should it panic. `what` is what people call it.
    pub fn mind<F: Future>(
        &self,
        what: &'static str,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let failed = Arc::clone(&self.0);
        // Only the first is told of.
        on_panic(work, move || drop(failed.set(what)))
    }

    /// Waits until any of it has panicked, and says what did first.
    pub async fn failed(&self) -> &'static str {
        self.0.wait().await
    }
}

/// The same work, and `clean` is done should it panic, after all that the work itself holds was dropped.
pub fn on_panic<F: Future, C: FnOnce()>(
    work: F,
    clean: C,
) -> impl Future<Output = F::Output> + use<F, C> {
    let clean = OnPanic(Some(clean));
    async move {
        let _clean = clean;
        work.await
    }
}

/// Goes with the work, whichever way that ends.
struct OnPanic<C: FnOnce()>(Option<C>);

impl<C: FnOnce()> Drop for OnPanic<C> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(clean) = self.0.take()
        {
            clean();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn only_what_panics_has_failed() {
        let vital = Vital::default();
        assert_eq!(vital.mind("what ends", async { 1 }).await, 1);
        tokio::spawn(vital.mind("what is given up", std::future::pending::<()>())).abort();
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, vital.failed()).await.is_err());
        let first = vital.mind("the first", async { panic!("on purpose") });
        assert!(tokio::spawn(first).await.is_err());
        assert!(tokio::spawn(vital.mind("the second", async { panic!() })).await.is_err());
        assert_eq!(vital.failed().await, "the first");
    }

    #[tokio::test]
    async fn what_panicked_holds_nothing_when_it_is_cleaned_up() {
        let held = Arc::new(Mutex::new(0));
        let (work, clean) = (Arc::clone(&held), Arc::clone(&held));
        let work = async move {
            let mut held = work.lock();
            *held = 1;
            panic!("on purpose");
        };
        let clean = move || *clean.try_lock().expect("it is free") += 1;
        assert!(tokio::spawn(on_panic(work, clean)).await.is_err());
        assert_eq!(*held.lock(), 2);
    }
}
