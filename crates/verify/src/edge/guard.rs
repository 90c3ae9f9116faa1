//! What a process forbids itself. Nothing here can be undone, so it is for processes that do one thing and end.

/// Ends the process at its first try to open a socket, of any kind and in any thread.
///
/// The kernel does it (a seccomp filter, which needs no privilege), so nothing is missed, however short-lived.
///
/// # Errors
/// Why it cannot be done here.
#[cfg(target_os = "linux")]
pub(super) fn forbid_sockets() -> Result<(), String> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
    // Rings of io_uring open sockets without a system call for it.
    let calls = [libc::SYS_socket, libc::SYS_socketpair, libc::SYS_io_uring_setup];
    let arch = std::env::consts::ARCH.try_into().map_err(|_| "no filter for this processor".to_owned())?;
    let rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| e.to_string())?;
    apply_filter_all_threads(&program).map_err(|e| e.to_string())
}

/// As on Linux.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(super) fn forbid_sockets() -> Result<(), String> {
    Err(format!("{} has no filter of system calls that needs no privilege", std::env::consts::OS))
}

/// Sockets among the open files of this process; `None` where `/proc` does not tell.
pub(super) fn open_sockets() -> Option<usize> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    let is_socket =
        |path: std::path::PathBuf| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
    Some(files.filter_map(|f| f.ok().map(|f| f.path())).filter(|p| is_socket(p.clone())).count())
}

/// Makes this process end when the one that started it ends: a stopped child would otherwise stay for ever.
pub fn end_with_parent() {
    // Where it cannot be asked for, nothing is lost but tidiness.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

/// Time the processor spent on this process, ms; `None` where the system does not tell.
pub(super) fn cpu_ms() -> Option<f64> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6)
    }
    #[cfg(not(unix))]
    None
}
