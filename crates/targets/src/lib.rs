//! Device targets: what to build for a device, with which runtime in mind, and what the artifact must keep. A target is
//! data, a TOML file with a reason for every choice; nine come with the program and users add their own.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod error;
mod gates;
mod target;

pub use error::TargetError;
pub use gates::Gates;
pub use target::{Arch, Arithmetic, Budget, Build, Ci, Format, Isa, Rung, Target};

use std::path::Path;

/// Name and text of the targets that come with the program, in the order they are listed.
const BUILT_IN: [(&str, &str); 9] = [
    ("desktop-x86", include_str!("../../../configs/targets/desktop-x86.toml")),
    ("desktop-apple", include_str!("../../../configs/targets/desktop-apple.toml")),
    ("android-arm64", include_str!("../../../configs/targets/android-arm64.toml")),
    ("ios-arm64", include_str!("../../../configs/targets/ios-arm64.toml")),
    ("raspberry-pi5", include_str!("../../../configs/targets/raspberry-pi5.toml")),
    ("iot-small", include_str!("../../../configs/targets/iot-small.toml")),
    ("browser-wasm", include_str!("../../../configs/targets/browser-wasm.toml")),
    ("browser-webgpu", include_str!("../../../configs/targets/browser-webgpu.toml")),
    ("server-cpu", include_str!("../../../configs/targets/server-cpu.toml")),
];

/// The targets that come with the program.
///
/// # Errors
/// Never, unless a file in the repository is broken.
pub fn built_in() -> Result<Vec<Target>, TargetError> {
    BUILT_IN.iter().map(|(name, text)| Target::parse(name, text)).collect()
}

/// Reads a target of one's own.
///
/// # Errors
/// A file that cannot be read or is no target.
pub fn from_file(path: &Path) -> Result<Target, TargetError> {
    let read = |source| TargetError::Read { path: path.to_owned(), source };
    Target::parse(&path.display().to_string(), &std::fs::read_to_string(path).map_err(read)?)
}

/// The target that a user means: a built-in name, or a file ending in `.toml`.
///
/// # Errors
/// An unknown name, or as [`from_file`].
pub fn find(name: &str) -> Result<Target, TargetError> {
    if Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
        return from_file(Path::new(name));
    }
    let known = || BUILT_IN.map(|(name, _)| name).join(" ");
    let text = BUILT_IN.iter().find(|(known, _)| *known == name);
    let (name, text) = text.ok_or_else(|| TargetError::Unknown { found: name.to_owned(), known: known() })?;
    Target::parse(name, text)
}
