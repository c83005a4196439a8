//! What the system says of this process.

use std::fs;

use rlimit::Resource;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// This process as the system sees it. What this system does not tell is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Bytes of its memory that are in RAM.
    pub(super) resident_bytes: usize,
    /// Files that it has open, sockets among them.
    pub(super) open_files: usize,
    /// How many it may have open.
    pub(super) max_open_files: usize,
    /// Tasks of its runtime that have not ended.
    pub(super) tasks: usize,
}

impl Process {
    /// As it is now. To count files takes as long as there are many, so another thread does.
    pub(super) async fn look() -> Self {
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
        drop(held);
        tasks.into_iter().for_each(|task| task.abort());
    }
}
