//! Models without weights, which panic if any is read.

use crate::ways::Way;
use lfmq_checkpoint::{disk_name, spec_from_config};
use lfmq_core::{ExportJob, Fault, Kind, QuantPlan, TensorRole, TensorSource};
use lfmq_quant::{Recipe, scheme};
use lfmq_testkit::hollow::Hollow;
use lfmq_testkit::synth::Size;
use serde_json::Value;

fn model(change: impl FnOnce(&mut Value)) -> Hollow {
    let mut config = Size::TinyMoe.config();
    change(&mut config);
    Hollow::new(spec_from_config(&config).unwrap(), disk_name)
}

fn plan_of(source: &Hollow, recipe: &str) -> QuantPlan {
    lfmq_quant::plan(source, &Recipe::named(recipe).unwrap(), None).unwrap()
}

/// A recipe of experts in codes that this way holds.
fn recipe(way: Way) -> &'static str {
    match way {
        Way::Gguf => "Q8_0",
        Way::Grouped => "onnx-q4",
        Way::Qmoe => "onnx-q8",
        Way::Tflite => "tflite-q8",
    }
}

fn planned(way: Way, source: &Hollow, plan: &QuantPlan) -> Result<(), Fault> {
    way.exporter().plan(&ExportJob { source, plan, stem: "x" }).map(|_| ())
}

#[test]
fn the_router_and_its_bias_stay_float_everywhere() {
    let source = model(|_| {});
    for way in Way::ALL {
        for (role, words) in [(TensorRole::Router, "router in f32"), (TensorRole::RouterBias, "router_bias in f32")] {
            for coded in ["q8_0", "int8-row", "int4-g32-zp"] {
                let mut plan = plan_of(&source, recipe(way));
                let router = plan.tensors.iter_mut().find(|t| t.id.role == role).unwrap();
                let scheme = scheme(coded).unwrap();
                (router.scheme, router.grid) = (scheme.id(), scheme.grid());
                let name = router.name.clone();
                let fault = planned(way, &source, &plan).unwrap_err();
                let text = fault.to_string();
                assert!(text.contains(&name) && text.contains(words), "{way:?} {coded}: {text}");
                assert_eq!(fault.kind, Kind::Input);
            }
        }
    }
    for role in ["router", "router_bias"] {
        let told = Recipe::named("Q8_0").unwrap().set(&format!("{role}=q8_0")).unwrap_err().to_string();
        assert!(told.contains(role), "no recipe can ask for it: {told}");
    }
}

#[test]
fn what_gguf_has_no_key_for_is_refused_and_graphs_carry_it() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 3] = [
        ("`routed_scaling_factor` = 2.5", |c| c["routed_scaling_factor"] = 2.5.into()),
        ("`norm_topk_prob` = false", |c| c["norm_topk_prob"] = false.into()),
        ("`use_expert_bias` = false", |c| c["use_expert_bias"] = false.into()),
    ];
    for (told, change) in cases {
        let source = model(change);
        for way in Way::ALL {
            let found = planned(way, &source, &plan_of(&source, recipe(way)));
            match way {
                Way::Gguf => {
                    let fault = found.unwrap_err();
                    assert!(fault.to_string().contains(told), "{fault}");
                    assert!(fault.kind == Kind::Input && fault.hint.is_some());
                }
                _ => assert!(found.is_ok(), "{way:?} {told}: {:?}", found.err()),
            }
        }
    }
}

#[test]
fn experts_out_of_order_or_on_two_grids_are_refused_by_name() {
    let source = model(|_| {});
    for way in Way::ALL {
        let plan = plan_of(&source, recipe(way));
        let expert = |e| plan.tensors.iter().position(|t| t.id.role == TensorRole::ExpertUp(e)).unwrap();
        let mut swapped = plan.clone();
        swapped.tensors.swap(expert(1), expert(2));
        let told = planned(way, &source, &swapped).unwrap_err().to_string();
        assert!(told.contains("expert_up[1]") && told.contains("expert_up[2]"), "{way:?}: {told}");

        let mut mixed = plan.clone();
        mixed.tensors[expert(4)].grid = scheme("f32").unwrap().grid();
        let told = planned(way, &source, &mixed).unwrap_err().to_string();
        assert!(told.contains("experts.4.w3.weight") && told.contains("one grid"), "{way:?}: {told}");
    }
    assert!(source.tensors().iter().any(|t| t.id.role == TensorRole::ExpertUp(4)));
}
