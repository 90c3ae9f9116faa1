//! Memory that this process holds and what it read from the disk, told apart: a mapped model takes no memory of its own,
//! and only what is touched of it is read.

use super::size;
use lfmq_verify::{Memory, memory};
use serde::Serialize;

/// Reading from the disk. Linux only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskReads {
    /// Bytes, what the system read ahead included; what it had in memory already is not counted.
    pub bytes: u64,
    /// How often the process waited for a page of a mapped file.
    pub major_faults: u64,
}

impl DiskReads {
    /// Since the process began; `None` where the system does not tell.
    pub fn so_far() -> Option<Self> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self::parse(&read("stat")?, &read("io")?)
    }

    fn parse(stat: &str, io: &str) -> Option<Self> {
        // The name in brackets may hold anything; the field after it is the third, major faults are the twelfth.
        let major_faults = stat.rsplit_once(')')?.1.split_whitespace().nth(9)?.parse().ok()?;
        let bytes = io.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.trim().parse().ok()?;
        Some(Self { bytes, major_faults })
    }

    fn since(self, earlier: Self) -> Self {
        let Self { bytes, major_faults } = earlier;
        Self { bytes: self.bytes - bytes, major_faults: self.major_faults - major_faults }
    }
}

/// Bytes of memory that programs can have, where the system says so.
pub fn available() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = all.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// What opening a model and working with it cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub memory: Memory,
    /// Read to open the model.
    pub loading: DiskReads,
    /// Read since.
    pub working: DiskReads,
}

impl Usage {
    /// Of a process that had read `opened` when the model was open; `None` where the system does not tell.
    pub fn now(opened: Option<DiskReads>) -> Option<Self> {
        let loading = opened?;
        Some(Self { memory: memory()?, loading, working: DiskReads::so_far()?.since(loading) })
    }

    /// Two lines for a person.
    pub fn lines(&self) -> [String; 2] {
        let Self { memory, loading, working } = self;
        let [peak, own, file] = [memory.peak, memory.anonymous, memory.file].map(size::show);
        let [first, then] = [loading.bytes, working.bytes].map(size::show);
        let faults = working.major_faults;
        [
            format!("peak memory {peak}; now {own} of its own and {file} of mapped files"),
            format!("from disk {first} to load, {then} since ({faults} page faults waited for it)"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_it_needs() {
        let stat = "12 (a) b) R 1 2 3 4 5 6 700 0 9 0 11 12";
        let io = "rchar: 5\nread_bytes: 4096\nwrite_bytes: 1\n";
        let first = DiskReads::parse(stat, io).expect("both");
        assert_eq!(first, DiskReads { bytes: 4096, major_faults: 9 });
        let later = DiskReads { bytes: 5000, major_faults: 10 };
        assert_eq!(later.since(first), DiskReads { bytes: 904, major_faults: 1 });
        assert_eq!(DiskReads::parse(stat, "rchar: 5\n"), None);
        assert_eq!(DiskReads::parse("12 (a", io), None);
        assert!(!cfg!(target_os = "linux") || DiskReads::so_far().is_some() && available() > Some(0));
    }
}
