//! `lfmq targets`: what is built for which device, and why.

use super::Done;
use crate::args::TargetsArgs;
use crate::failure::Failure;
use crate::jobs::targets;
use crate::printer::{Align, Printer, Table, Tone};
use crate::registry;
use lfmq_core::Fault;
use lfmq_targets::Target;
use serde_json::json;

pub fn run(args: &TargetsArgs, printer: &Printer) -> anyhow::Result<Done> {
    let named = !args.targets.is_empty();
    let targets = if named { targets::named(&args.targets) } else { lfmq_targets::built_in() };
    let targets = targets.map_err(Fault::from)?;
    if args.gates {
        let [target] = targets.as_slice() else { return Err(Failure::usage("--gates takes one target").into()) };
        let text = target.gate_file(target.ci.is_device);
        printer.line(text.trim_end());
        return Ok(json!({ "target": target.name, "gates": text }).into());
    }
    if named {
        targets.iter().for_each(|target| one(target, printer));
    } else {
        list(&targets, printer);
    }
    Ok(json!({ "targets": targets }).into())
}

fn list(targets: &[Target], printer: &Printer) {
    let formats: Vec<&str> = registry::FORMATS.iter().map(|f| f.id).collect();
    let left = Align::Left;
    let mut table =
        Table::new(&[("target", left), ("format", left), ("recipe", left), ("runtime", left), ("about", left)]);
    for target in targets {
        let Some(build) = target.build(&formats).or(target.builds.first()) else { continue };
        table.row([
            target.name.clone(),
            build.format.id().to_owned(),
            build.recipe.clone(),
            format!("{} {}", build.runtime, build.runtime_min),
            target.about.clone(),
        ]);
    }
    printer.table(&table);
}

fn one(target: &Target, printer: &Printer) {
    printer.line(&format!("{}  {}", printer.tone(&target.name, Tone::Strong), target.about));
    let say = |what: String, why: &str| {
        printer.line("");
        printer.paragraph(2, &what, None);
        printer.paragraph(4, why, Some(Tone::Dim));
    };
    for build in &target.builds {
        let (id, recipe) = (build.format.id(), &build.recipe);
        say(format!("{id} {recipe} for {} {} or newer", build.runtime, build.runtime_min), &build.reason);
    }
    let b = &target.budget;
    let isa = format!("instructions {}, at least {}", target.isa.expected, target.isa.minimum);
    say(isa, &target.isa.reason);
    let budget = format!(
        "{} MiB memory, {} MiB storage, {} positions; first token {} ms, then {} ms a token",
        b.ram_mib, b.storage_mib, b.context, b.first_token_ms, b.decode_ms
    );
    say(budget, &b.reason);
    let limits = target.gates.limits().into_iter().filter_map(|(key, limit)| Some(format!("{key} {}", limit?)));
    say(limits.collect::<Vec<_>>().join(", "), &target.gates.reason);
    printer.line("");
}
