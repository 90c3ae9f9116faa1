//! What the operating system says about a process' memory, and the limit a process can put on its own.

use serde::{Deserialize, Serialize};

/// Resident memory of this process, bytes. Linux only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    parse(&status()?)
}

/// Lets this process grow by no more than what is left of `limit` bytes of resident memory.
///
/// The system counts private writable memory (`RLIMIT_DATA`) and refuses to hand out more, so the allocation that
/// would exceed the limit fails, whatever the machine has. Two things are not in that count: stacks reserved before
/// are not held against the process, and pages of mapped files are not refused. [`Memory::peak`] has the latter, and
/// who sets a limit compares it afterwards.
///
/// # Errors
/// Why the limit cannot be set here.
pub fn limit(bytes: u64) -> Result<(), String> {
    let status = status().ok_or("there is no /proc/self/status")?;
    let resident = field(&status, "VmRSS").ok_or("/proc/self/status has no VmRSS")?;
    let reserved = field(&status, "VmData").ok_or("/proc/self/status has no VmData")?;
    set(reserved + bytes.saturating_sub(resident))
}

#[cfg(target_os = "linux")]
fn set(bytes: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // A limit that is there already may be tighter.
    let maximum = getrlimit(Resource::Data).maximum.map_or(bytes, |most| most.min(bytes));
    let tight = Rlimit { current: Some(maximum), maximum: Some(maximum) };
    setrlimit(Resource::Data, tight).map_err(|e| format!("setrlimit: {e}"))
}

#[cfg(not(target_os = "linux"))]
fn set(_: u64) -> Result<(), String> {
    Err(format!("{} has no limit on private memory that we know of", std::env::consts::OS))
}

fn status() -> Option<String> {
    std::fs::read_to_string("/proc/self/status").ok()
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

fn parse(status: &str) -> Option<Memory> {
    let field = |name| field(status, name);
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
