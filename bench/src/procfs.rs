//! What the kernel says of a process: CPU time and memory, from `/proc`.
//!
//! How it can mislead: `VmRSS` counts pages that the allocator keeps for later, and no kernel memory
//! (a socket costs the kernel some KiB that no process is charged for). CPU time includes the
//! kernel's work in the process's system calls, but what a receiver's softirq does on loopback is
//! charged to whoever happened to run: for loopback, mostly to the sender.

use std::fs;

use crate::failure::{Context, Failure, Result};

/// Linux reports process times to user space in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that a process has used so far, by two accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    /// utime + stime of `/proc/PID/stat`, in seconds: complete, but in steps of 10 ms.
    ticks: f64,
    /// The sum over the living threads' `schedstat`, in seconds: to the nanosecond, but a thread
    /// that ended takes its time with it.
    threads: f64,
}

impl CpuTime {
    /// The time used so far by the process.
    ///
    /// # Errors
    /// If there is no such process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).context(|| path.clone())?;
        // The command in parentheses may hold anything; the fields count from behind it.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            return Err(Failure::new(format!("{path}: not as expected")));
        };
        Ok(Self { ticks: (user + system) / TICKS_PER_SECOND, threads: threads(pid) })
    }

    /// Seconds used between `earlier` and this reading: the fine account where no thread's end
    /// spoilt it, else the coarse one.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let coarse = self.ticks - earlier.ticks;
        let fine = self.threads - earlier.threads;
        if (fine - coarse).abs() <= 0.02 + 0.02 * coarse { fine } else { coarse }
    }
}

fn threads(pid: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanos: u64 = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    nanos as f64 / 1e9
}

/// How long a process's first thread was ready to run and had no processor, since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queued {
    seconds: f64,
    turns: f64,
}

impl Queued {
    /// So far; nothing where the kernel keeps no such account.
    pub(crate) fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        let mut fields = text.split_whitespace().skip(1).filter_map(|text| text.parse().ok());
        let mut next = || fields.next().unwrap_or(0.0);
        Self { seconds: next() / 1e9, turns: next() }
    }

    /// Milliseconds for each turn on a processor between `earlier` and this reading.
    pub(crate) fn ms_since(&self, earlier: &Self) -> f64 {
        1e3 * (self.seconds - earlier.seconds) / (self.turns - earlier.turns).max(1.0)
    }
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// At most, since the process began or since [`reset_peak`].
    pub(crate) peak: u64,
}

impl Memory {
    /// The process's memory now.
    ///
    /// # Errors
    /// If there is no such process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).context(|| path.clone())?;
        let kib = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        };
        match (kib("VmRSS:"), kib("VmHWM:")) {
            (Some(now), Some(peak)) => Ok(Self { resident: now * 1024, peak: peak * 1024 }),
            _ => Err(Failure::new(format!("{path}: the process has ended"))),
        }
    }
}

/// Lets the peak of [`Memory`] start anew from what is resident now. Best effort: where the kernel
/// refuses, peaks are those since the process began.
pub(crate) fn reset_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// How many ports the kernel picks from for one source address.
pub(crate) fn ephemeral_ports() -> usize {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = range.split_whitespace().filter_map(|text| text.parse::<usize>().ok());
    match (bounds.next(), bounds.next()) {
        (Some(low), Some(high)) if high > low => high - low,
        _ => 28_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let pid = std::process::id();
        let before = CpuTime::of(pid).unwrap();
        let sum = (0..50_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        std::hint::black_box(sum);
        assert!(CpuTime::of(pid).unwrap().since(&before) > 0.0);
        let memory = Memory::of(pid).unwrap();
        assert!(memory.resident > 100_000 && memory.peak >= memory.resident);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(Memory::of(u32::MAX).is_err() && CpuTime::of(u32::MAX).is_err());
    }
}
