//! Which tensors of an artifact are which of the checkpoint's, where only names can tell.

use lfmq_core::{StoredTensor, TensorId, TensorSource};
use std::collections::HashMap;

/// The artifact's tensors with `id` filled in by the checkpoint's names. A name that the checkpoint does not have stays
/// without.
#[must_use]
pub fn identify(stored: &[StoredTensor], source: &dyn TensorSource) -> Vec<StoredTensor> {
    let names: HashMap<&str, TensorId> = source.tensors().iter().map(|t| (t.name.as_str(), t.id)).collect();
    let known = |t: &StoredTensor| t.id.or_else(|| names.get(t.name.as_str()).copied());
    stored.iter().map(|t| StoredTensor { id: known(t), ..t.clone() }).collect()
}

/// Why `identified` cannot be held against the checkpoint as a whole: most of its matrices have other names, so another
/// program made it. `None` if it can.
pub(super) fn strangers(identified: &[StoredTensor], source: &dyn TensorSource) -> Option<String> {
    let matrices = || source.tensors().iter().filter(|t| t.id.role.quantizable());
    let found = matrices().filter(|t| identified.iter().any(|s| s.id == Some(t.id))).count();
    let all = matrices().count();
    (2 * found < all).then(|| format!("only {found} of {all} matrices go by the checkpoint's names"))
}
