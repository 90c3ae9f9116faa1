use crate::{Importance, QuantError, Recipe, scheme};
use lfmq_core::{QuantPlan, SchemeId, SourceTensor, TensorPlan, TensorSource};
use lfmq_gguf_wire::names::tensor_name;

/// Fixes the scheme of every tensor of `source`, in its order. No weight is read.
///
/// # Errors
/// A role the model does not have, rows that an asked-for scheme cannot hold, importance weights of another size, or
/// a recipe that needs importance weights where there are none.
pub fn plan(
    source: &dyn TensorSource,
    recipe: &Recipe,
    importance: Option<&Importance>,
) -> Result<QuantPlan, QuantError> {
    recipe.check_roles(|role| source.tensors().iter().any(|t| t.id.role.word() == role))?;
    let tensors = source
        .tensors()
        .iter()
        .map(|t| plan_tensor(source, t, recipe, importance).map_err(|why| why.of_tensor(&t.name)))
        .collect::<Result<_, _>>()?;
    Ok(QuantPlan { recipe: recipe.name().to_owned(), tensors, importance: importance.map(|i| i.source().clone()) })
}

fn plan_tensor(
    source: &dyn TensorSource,
    tensor: &SourceTensor,
    recipe: &Recipe,
    importance: Option<&Importance>,
) -> Result<TensorPlan, QuantError> {
    let choice = recipe.choose(source.spec(), tensor.id, tensor.cols, importance.is_some())?;
    let (id, mut reason) = match choice {
        Some(choice) => (choice.scheme, choice.reason),
        None => (SchemeId("f32"), "vectors, taps and the router stay in f32".to_owned()),
    };
    let name = tensor_name(tensor.id);
    let weights = match importance {
        Some(importance) => {
            if let (Some(0), Some(moe)) = (tensor.id.role.expert(), source.spec().moe) {
                importance.check_stack(&name, tensor.cols, moe.experts)?;
            }
            importance.weights(&name, tensor.id.role.expert(), tensor.cols)?
        }
        None => None,
    };
    if tensor.id.role.expert().is_some_and(|e| importance.is_some_and(|i| i.unreached(&name, e))) {
        reason.push_str("; unweighted: no calibration token reached this expert");
    }
    if weights.is_none() && recipe.needs_importance(tensor.id, id) {
        return Err(QuantError::NeedsImportance { recipe: recipe.name().to_owned(), tensor: name, scheme: id.0 });
    }
    let grid = scheme(id.0).map(|s| s.grid()).ok_or_else(|| QuantError::UnknownScheme {
        found: id.0.to_owned(),
        allowed: crate::schemes::ALL.map(|s| s.id().0).join(" "),
    })?;
    Ok(TensorPlan {
        id: tensor.id,
        name: tensor.name.clone(),
        shape: (tensor.rows, tensor.cols),
        source: tensor.dtype,
        scheme: id,
        grid,
        reason,
    })
}
