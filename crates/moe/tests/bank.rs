//! Experts are found whatever their order and refused by name if they do not make up a bank; stacks lose no row.

use lfmq_checkpoint::{disk_name, spec_from_config};
use lfmq_core::{Classify, ExportJob, Kind, QuantPlan, SourceTensor, TensorId, TensorRole as R, TensorSource};
use lfmq_moe::{Banks, MoeError, Part, Stack};
use lfmq_quant::{Recipe, scheme};
use lfmq_testkit::arith::mix;
use lfmq_testkit::hollow::Hollow;
use proptest::prelude::*;
use serde_json::json;

/// Layer 0 is dense, layers 1 and 2 have `experts` experts.
fn model(experts: usize, width: usize, hidden: usize) -> Hollow {
    let config = json!({
        "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "layer_types": ["conv", "conv", "conv"],
        "num_hidden_layers": 3, "num_dense_layers": 1, "vocab_size": 64, "hidden_size": hidden,
        "intermediate_size": 64, "moe_intermediate_size": width, "num_experts": experts, "num_experts_per_tok": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1,
    });
    Hollow::new(spec_from_config(&config).unwrap(), disk_name)
}

fn plan_of(source: &Hollow) -> QuantPlan {
    lfmq_quant::plan(source, &Recipe::named("Q8_0").unwrap(), None).unwrap()
}

fn banks(source: &Hollow, plan: &QuantPlan) -> Result<Banks, MoeError> {
    Banks::of(&ExportJob { source, plan, stem: "x" })
}

fn at(source: &Hollow, role: R) -> usize {
    source.find(TensorId::layer(2, role)).unwrap()
}

#[test]
fn experts_stand_where_their_numbers_say() {
    let mut source = model(12, 32, 32);
    // As files have them: by name, 10 before 2.
    source.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let order: Vec<u16> = source.tensors.iter().filter_map(|t| t.id.role.expert()).collect();
    assert!(!order.is_sorted());
    let banks = banks(&source, &plan_of(&source)).unwrap();
    assert!(matches!(banks.layer(0), Err(MoeError::Dense { layer: 0 })));
    assert!(matches!(banks.layer(3), Err(MoeError::Dense { layer: 3 })));
    let bank = banks.layer(2).unwrap();
    let role = |index: usize| source.tensors[index].id.role;
    for (part, of) in
        [(Part::Gate, R::ExpertGate as fn(u16) -> R), (Part::Up, R::ExpertUp), (Part::Down, R::ExpertDown)]
    {
        let found: Vec<R> = bank.stack(part).members().map(|m| role(m.index)).collect();
        assert_eq!(found, (0..12).map(of).collect::<Vec<_>>());
    }
    let pairs: Vec<R> = bank.gate_up().unwrap().members().map(|m| role(m.index)).collect();
    assert_eq!(pairs, (0..12).flat_map(|e| [R::ExpertGate(e), R::ExpertUp(e)]).collect::<Vec<_>>());
    for (e, expert) in (0..).zip(bank.experts()) {
        let ids = [expert.gate, expert.up, expert.down];
        assert_eq!(ids, [R::ExpertGate(e), R::ExpertUp(e), R::ExpertDown(e)].map(|role| TensorId::layer(2, role)));
    }
    assert_eq!(bank.experts().count(), 12);
    assert_eq!(bank.last(), at(&source, R::ExpertUp(9)), "9.w3 is the last name");
}

#[test]
fn what_makes_no_bank_is_refused_by_name() {
    type Spoil = fn(&mut Hollow);
    let cases: [(Spoil, &str); 6] = [
        (
            |m| {
                let at = at(m, R::ExpertUp(3));
                m.tensors.remove(at);
            },
            "layer 2 expert_up[3] is missing; its layer has 5 experts",
        ),
        (
            |m| {
                let again = SourceTensor { name: "again".to_owned(), ..m.tensors[at(m, R::ExpertDown(1))].clone() };
                m.tensors.push(again);
            },
            "tensor `again`: layer 2 expert_down[1] is there already, as `model.layers.2.feed_forward.experts.1.w2.weight`",
        ),
        (
            |m| {
                let at = at(m, R::ExpertGate(4));
                m.tensors[at].id.role = R::ExpertGate(5);
            },
            "tensor `model.layers.2.feed_forward.experts.4.w1.weight`: the model has no layer 2 expert_gate[5]",
        ),
        (
            |m| {
                let at = at(m, R::ExpertGate(4));
                m.tensors[at].id.layer = Some(0);
            },
            "the model has no layer 0 expert_gate[4]; its mixture layers have 5 experts",
        ),
        (
            |m| {
                let at = at(m, R::ExpertGate(4));
                m.tensors[at].id.layer = None;
            },
            "the model has no expert_gate[4]",
        ),
        (
            |m| {
                let at = at(m, R::ExpertDown(0));
                m.tensors[at].rows = 31;
            },
            "tensor `model.layers.2.feed_forward.experts.0.w2.weight`: expected (32, 64), found (31, 64)",
        ),
    ];
    for (spoil, part) in cases {
        let mut source = model(5, 64, 32);
        spoil(&mut source);
        let error = banks(&source, &plan_of(&source)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}, expected {part}");
        assert_eq!(error.kind(), Kind::Bug);
    }
}

#[test]
fn a_role_has_one_grid_in_a_layer() {
    let source = model(4, 64, 32);
    let grid = scheme("q4_0").unwrap().grid();
    let on = |roles: &[R]| {
        let mut plan = plan_of(&source);
        roles.iter().for_each(|role| plan.tensors[at(&source, *role)].grid = grid.clone());
        banks(&source, &plan)
    };
    let error = on(&[R::ExpertUp(2)]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("experts.2.w3.weight` is planned on int4-g32-sym-F16"), "{text}");
    assert!(text.contains("experts.0.w3.weight` on int8-g32-sym-F16"), "{text}");
    assert!(error.kind() == Kind::Input && error.hint().is_some());

    // Roles may differ, and layers, but not what lies in one array.
    let ups = on(&[0, 1, 2, 3].map(R::ExpertUp)).unwrap();
    let text = ups.layer(2).unwrap().gate_up().unwrap_err().to_string();
    assert!(
        text.contains("experts.0.w3.weight` is planned on int4") && text.contains("experts.0.w1.weight`"),
        "{text}"
    );
    assert!(ups.layer(1).unwrap().gate_up().is_ok());
}

/// A stack as the formats describe it, row after row.
fn by_hand(matrices: &[Vec<Vec<u8>>], parts: usize) -> Vec<Vec<u8>> {
    let mut array = Vec::new();
    for expert in matrices.chunks(parts) {
        for row in 0..expert[0].len() {
            expert.iter().for_each(|matrix| array.push(matrix[row].clone()));
        }
    }
    array
}

fn pack(stack: &Stack, matrices: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let [experts, rows, _] = stack.shape();
    let mut array = vec![Vec::new(); experts * rows];
    for (member, matrix) in stack.members().zip(matrices) {
        for (row, bytes) in matrix.iter().enumerate() {
            array[member.first + row * member.stride].extend_from_slice(bytes);
        }
    }
    array
}

fn unpack(stack: &Stack, array: &[Vec<u8>], rows: usize) -> Vec<Vec<Vec<u8>>> {
    let row = |first: usize, stride: usize| (0..rows).map(move |r| array[first + r * stride].clone()).collect();
    stack.members().map(|m| row(m.first, m.stride)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unpacking_undoes_packing(experts in 1usize..40, width in 1usize..9, hidden in 1usize..9, seed: u64) {
        let source = model(experts, width, 4 * hidden);
        let plan = lfmq_quant::plan(&source, &Recipe::named("F32").unwrap(), None).unwrap();
        let banks = banks(&source, &plan).unwrap();
        let bank = banks.layer(1).unwrap();
        for (stack, parts, rows) in [
            (bank.gate_up().unwrap(), 2, width),
            (bank.stack(Part::Gate), 1, width),
            (bank.stack(Part::Down), 1, 4 * hidden),
        ] {
            let row = |m: usize, r: usize| mix(seed, (m * 1000 + r) as u64).to_le_bytes().to_vec();
            let count = parts * experts;
            let matrices: Vec<Vec<Vec<u8>>> = (0..count).map(|m| (0..rows).map(|r| row(m, r)).collect()).collect();
            let array = pack(&stack, &matrices);
            prop_assert_eq!(&array, &by_hand(&matrices, parts));
            prop_assert_eq!(unpack(&stack, &array, rows), matrices);
        }
    }
}
