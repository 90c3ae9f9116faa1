//! The plan of `--dry-run`: what would be written, exactly, and why.

use crate::jobs::quantize::QuantizeJob;
use crate::jobs::size;
use crate::printer::{Align, Printer, Table, Tone};
use lfmq_core::{ExportPlan, QuantPlan, TensorSource};
use serde_json::{Value, json};

/// Tensors of one role that share a scheme and its reason.
struct Group {
    role: &'static str,
    scheme: String,
    reason: String,
    tensors: usize,
    weights: u64,
    bytes: u64,
}

pub fn show_plan(
    job: &QuantizeJob,
    plan: &QuantPlan,
    exports: &[Box<dyn ExportPlan + '_>],
    printer: &Printer,
) -> Value {
    printer.line(&printer.tone(&format!("{} → {}", job.checkpoint.name(), plan.recipe), Tone::Strong));
    let mut formats = Vec::new();
    for ((format, _), export) in job.outputs.iter().zip(exports) {
        let mut table = Table::new(&[
            ("role", Align::Left),
            ("tensors", Align::Right),
            ("scheme", Align::Left),
            ("bytes", Align::Right),
            ("why", Align::Left),
        ]);
        for g in groups(plan, export.as_ref()) {
            table.row([g.role.to_owned(), g.tensors.to_string(), g.scheme, size::show(g.bytes), g.reason]);
        }
        printer.table(&table);
        let bytes: u64 = export.files().iter().map(|f| f.bytes).sum();
        let weights = job.checkpoint.spec().parameters();
        let bits = bytes as f64 * 8.0 / weights as f64;
        for file in export.files() {
            printer.line(&format!("{}: {} bytes", file.name, file.bytes));
        }
        printer.line(&format!("{}: {} in all, {bits:.2} bits a weight", format.id, size::show(bytes)));
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
        formats.push(json!({"format": format.id, "files": files, "bits_per_weight": bits, "tensors": tensors}));
    }
    json!({"model": job.checkpoint.name(), "recipe": plan.recipe, "out": job.out, "formats": formats})
}

/// Groups in the order their first tensor has in the model.
fn groups(plan: &QuantPlan, export: &dyn ExportPlan) -> Vec<Group> {
    let mut order: Vec<usize> = (0..plan.tensors.len()).collect();
    order.sort_by_key(|&i| plan.tensors[i].id);
    let mut groups: Vec<Group> = Vec::new();
    for i in order {
        let tensor = &plan.tensors[i];
        let role = tensor.id.role.word();
        let scheme = tensor.scheme.to_string();
        let found = groups.iter_mut().find(|g| g.role == role && g.scheme == scheme && g.reason == tensor.reason);
        let weights = tensor.shape.0 as u64 * tensor.shape.1 as u64;
        match found {
            Some(g) => {
                g.tensors += 1;
                g.weights += weights;
                g.bytes += export.tensor_bytes(i);
            }
            None => groups.push(Group {
                role,
                scheme,
                reason: tensor.reason.clone(),
                tensors: 1,
                weights,
                bytes: export.tensor_bytes(i),
            }),
        }
    }
    groups
}
