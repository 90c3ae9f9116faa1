//! The device classes a user means.

use lfmq_targets::{Target, TargetError};

/// The targets of these names or files; `all` stands for those that come with the program.
///
/// # Errors
/// An unknown name, or a file that is no target.
pub fn named(names: &[String]) -> Result<Vec<Target>, TargetError> {
    let mut targets = Vec::new();
    for name in names {
        match name.as_str() {
            "all" => targets.extend(lfmq_targets::built_in()?),
            name => targets.push(lfmq_targets::find(name)?),
        }
    }
    Ok(targets)
}
