//! The machine that a run was made on, in one line: figures mean nothing without it.

use std::fs;
use std::thread;

/// Processor, memory and kernel.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    // Not every architecture tells the model of its processors.
    let model = value(&cpuinfo, "model name").unwrap_or(std::env::consts::ARCH);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kib = value(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
    let gib = kib.unwrap_or(0.0) / f64::from(1 << 20);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, {gib:.1} GiB, Linux {}", kernel.trim())
}

/// The first `name : value` of a file of `/proc`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU: fast\nMemTotal:  1024 kB\n";
        assert_eq!(value(text, "model name"), Some("Some CPU: fast"));
        assert_eq!(value(text, "MemTotal"), Some("1024 kB"));
        assert_eq!(value(text, "model"), None);
        assert!(describe().contains("cores") && !describe().contains('\n'));
    }
}
