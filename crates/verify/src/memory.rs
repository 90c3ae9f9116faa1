//! What the operating system says about this process' memory.

use serde::Serialize;

/// Resident memory of this process, bytes. Linux only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The most that was resident since the process began.
    pub peak: u64,
    /// Resident now, private: heap and stacks.
    pub anonymous: u64,
    /// Resident now, mapped from files (the weights, if the artifact is mapped); can be dropped under pressure.
    pub file: u64,
}

/// Reads `/proc/self/status`; `None` where there is none.
#[must_use]
pub fn memory() -> Option<Memory> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
    };
    Some(Memory { peak: field("VmHWM")?, anonymous: field("RssAnon")?, file: field("RssFile")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_it_needs() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1500 kB\nRssAnon:\t  1000 kB\nRssFile:\t 500 kB\n";
        assert_eq!(parse(status), Some(Memory { peak: 2048 << 10, anonymous: 1000 << 10, file: 500 << 10 }));
        assert_eq!(parse("VmHWM:\t12 kB\n"), None);
        if cfg!(target_os = "linux") {
            let now = memory().unwrap();
            assert!(now.peak > 0 && now.peak >= now.anonymous);
        }
    }
}
