//! What the system says of this process.

use std::fs;

use parking_lot::Mutex;
use rlimit::Resource;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::limits::PROCESS_LOOK_MS;

/// This process as the system sees it. What this system does not tell is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Bytes of its memory that are in RAM.
    pub resident_bytes: usize,
    /// Files that it has open, sockets among them.
    pub open_files: usize,
    /// How many it may have open.
    pub max_open_files: usize,
    /// Tasks of its runtime that have not ended.
    pub tasks: usize,
}

impl Process {
    /// As it is now. To count files takes as long as there are many, so another thread does.
    async fn look() -> Self {
        let tasks = Handle::current().metrics().num_alive_tasks();
        let found = spawn_blocking(|| Self {
            resident_bytes: resident_bytes().unwrap_or_default(),
            // Less the one through which they are read.
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() - 1),
            max_open_files: Resource::NOFILE.get().map_or(0, |(soft, _)| soft as usize),
            tasks: 0,
        });
        Self { tasks, ..found.await.unwrap_or_default() }
    }
}

/// The last look at this process. Anybody may ask for it, as often as they like, so it is shown for
/// [`PROCESS_LOOK_MS`].
#[derive(Debug, Default)]
pub struct LastLook(Mutex<Option<(u64, Process)>>);

impl LastLook {
    /// As the process is now, or was at the last look, if that was just before `now_ms`.
    pub async fn at(&self, now_ms: u64) -> Process {
        let last = *self.0.lock();
        if let Some((_, last)) = last.filter(|(at_ms, _)| now_ms < at_ms + PROCESS_LOOK_MS) {
            return last;
        }
        // Whoever asks meanwhile is shown the one before.
        let before = last.map(|(_, process)| process).unwrap_or_default();
        *self.0.lock() = Some((now_ms, before));
        let process = Process::look().await;
        *self.0.lock() = Some((now_ms, process));
        process
    }
}

/// Line `VmRSS` of proc(5), in KiB.
fn resident_bytes() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_opened_begun_and_filled_is_counted() {
        let before = Process::look().await;
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let tasks: Vec<_> = (0..50).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        let memory = vec![1u8; 64 << 20];
        let after = Process::look().await;
        assert!(memory.iter().all(|&byte| byte == 1));
        assert!(after.open_files >= before.open_files + 40, "{before:?} {after:?}");
        assert!(after.open_files < before.open_files + 500, "{before:?} {after:?}");
        assert_eq!(after.tasks, before.tasks + 50);
        assert!(after.resident_bytes >= before.resident_bytes + (48 << 20), "{before:?} {after:?}");
        assert!(after.max_open_files > after.open_files, "{after:?}");
        let last = LastLook::default();
        let first = last.at(5_000).await;
        drop(held);
        assert_eq!(last.at(5_000 + PROCESS_LOOK_MS - 1).await, first);
        assert!(last.at(5_000 + PROCESS_LOOK_MS).await.open_files <= first.open_files - 40);
        tasks.into_iter().for_each(|task| task.abort());
    }
}
