//! The plan of `--dry-run`: what would be written, exactly, and why.

use crate::jobs::quantize::Output;
use crate::jobs::size;
use crate::printer::{Align, Printer, Table, Tone};
use lfmq_core::{ExportPlan, QuantPlan, TensorSource};
use serde_json::{Value, json};

/// Tensors of one role that share a scheme and its reason.
pub struct Group {
    pub role: &'static str,
    pub scheme: String,
    pub reason: String,
    pub tensors: usize,
    pub bytes: u64,
}

/// Shows the plan of one format and returns it as JSON.
pub fn show_plan(
    source: &dyn TensorSource,
    output: &Output,
    plan: &QuantPlan,
    export: &dyn ExportPlan,
    printer: &Printer,
) -> Value {
    printer.line(&printer.tone(&format!("{} → {}", source.name(), plan.recipe), Tone::Strong));
    let mut table = Table::new(&[
        ("role", Align::Left),
        ("tensors", Align::Right),
        ("scheme", Align::Left),
        ("bytes", Align::Right),
        ("why", Align::Left),
    ]);
    for g in groups(plan, export) {
        table.row([g.role.to_owned(), g.tensors.to_string(), g.scheme, size::show(g.bytes), g.reason]);
    }
    printer.table(&table);
    for file in export.files() {
        printer.line(&format!("{}: {} bytes", file.name, file.bytes));
    }
    let bytes: u64 = export.files().iter().map(|f| f.bytes).sum();
    let bits = bytes as f64 * 8.0 / source.spec().parameters() as f64;
    printer.line(&format!("{}: {} in all, {bits:.2} bits a weight", output.format.id, size::show(bytes)));
    let tensors: Vec<Value> = plan
        .tensors
        .iter()
        .enumerate()
        .map(|(i, t)| {
            json!({"name": t.name, "shape": t.shape, "scheme": t.scheme, "grid": t.grid.to_string(),
                   "reason": t.reason, "bytes": export.tensor_bytes(i)})
        })
        .collect();
    let files: Vec<Value> = export.files().iter().map(|f| json!({"name": f.name, "bytes": f.bytes})).collect();
    json!({
        "format": output.format.id,
        "recipe": plan.recipe,
        "out": output.folder,
        "files": files,
        "bits_per_weight": bits,
        "tensors": tensors,
    })
}

/// Groups in the order their first tensor has in the model.
pub fn groups(plan: &QuantPlan, export: &dyn ExportPlan) -> Vec<Group> {
    let mut order: Vec<usize> = (0..plan.tensors.len()).collect();
    order.sort_by_key(|&i| plan.tensors[i].id);
    let mut groups: Vec<Group> = Vec::new();
    for i in order {
        let tensor = &plan.tensors[i];
        let role = tensor.id.role.word();
        let scheme = tensor.scheme.to_string();
        let found = groups.iter_mut().find(|g| g.role == role && g.scheme == scheme && g.reason == tensor.reason);
        match found {
            Some(g) => {
                g.tensors += 1;
                g.bytes += export.tensor_bytes(i);
            }
            None => groups.push(Group {
                role,
                scheme,
                reason: tensor.reason.clone(),
                tensors: 1,
                bytes: export.tensor_bytes(i),
            }),
        }
    }
    groups
}
