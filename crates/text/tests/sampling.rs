//! Sampling against transformers' logits processors, and the generating loop on a model of a few lines.

use lfmq_core::{ExecError, Session, Want};
use lfmq_text::{Generated, Sampler, SamplerOptions, Stop, TextError, generate};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn distributions_are_those_of_transformers() {
    let golden: Value = serde_json::from_str(include_str!("data/sampling.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let options: SamplerOptions = serde_json::from_value(case["options"].clone()).unwrap();
        let logits: Vec<f32> = serde_json::from_value(case["logits"].clone()).unwrap();
        let history: Vec<u32> = serde_json::from_value(case["history"].clone()).unwrap();
        let expected: BTreeMap<u32, f64> = serde_json::from_value(case["kept"].clone()).unwrap();
        let got = Sampler::new(options).unwrap().distribution(&logits, &history).unwrap();
        let got: BTreeMap<u32, f64> = got.into_iter().collect();
        assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{options:?}");
        for (id, share) in &expected {
            assert!((got[id] - share).abs() <= 1e-9, "{options:?}: token {id}: {} for {share}", got[id]);
        }
    }
}

fn sampler(options: SamplerOptions) -> Sampler {
    Sampler::new(options).unwrap()
}

fn warm(seed: u64) -> SamplerOptions {
    SamplerOptions { temperature: 1.0, seed, ..SamplerOptions::default() }
}

#[test]
fn greedy_takes_the_best_and_the_lower_id_of_two() {
    let mut greedy = sampler(SamplerOptions::default());
    assert_eq!(greedy.sample(&[0.0, 3.0, 3.0, -1.0], &[]).unwrap(), 1);
    assert_eq!(greedy.sample(&[f32::NAN, f32::NEG_INFINITY, -5.0], &[]).unwrap(), 2);
    let mut penalized = sampler(SamplerOptions { repetition_penalty: 1.5, ..SamplerOptions::default() });
    assert_eq!(penalized.sample(&[0.0, 3.0, 2.5], &[1, 1, 99]).unwrap(), 2, "3 / 1.5 < 2.5");
    assert_eq!(penalized.sample(&[-2.0, -1.5], &[1]).unwrap(), 0, "-1.5 * 1.5 < -2");
}

#[test]
fn padding_rows_are_never_drawn() {
    assert_eq!(sampler(SamplerOptions::default()).within(2).sample(&[0.0, 1.0, 9.0], &[]).unwrap(), 1);
}

#[test]
fn draws_follow_the_probabilities_and_the_seed() {
    let logits = [0.0f32, 1.0, 2.0];
    let draw = |seed| {
        let mut sampler = sampler(warm(seed));
        (0..4000).map(|_| sampler.sample(&logits, &[]).unwrap()).collect::<Vec<u32>>()
    };
    let drawn = draw(1);
    assert_eq!(drawn, draw(1));
    assert_ne!(drawn, draw(2));
    for (id, share) in sampler(warm(1)).distribution(&logits, &[]).unwrap() {
        let count = drawn.iter().filter(|&&one| one == id).count() as f64;
        let deviation = (4000.0 * share * (1.0 - share)).sqrt();
        assert!((count - 4000.0 * share).abs() < 4.0 * deviation, "token {id}: {count} of 4000 for {share}");
    }
}

#[test]
fn impossible_settings_are_named() {
    let default = SamplerOptions::default();
    let cases = [
        (SamplerOptions { temperature: -1.0, ..default }, "temperature is -1, expected 0 or a positive number"),
        (SamplerOptions { temperature: f64::NAN, ..default }, "temperature is NaN"),
        (SamplerOptions { top_p: 0.0, ..default }, "top_p is 0"),
        (SamplerOptions { min_p: 1.5, ..default }, "min_p is 1.5"),
        (SamplerOptions { repetition_penalty: 0.0, ..default }, "repetition_penalty is 0"),
    ];
    for (options, expected) in cases {
        let message = Sampler::new(options).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message:?} lacks {expected:?}");
    }
    let nothing = sampler(default).sample(&[f32::NAN, f32::INFINITY], &[]);
    assert!(matches!(nothing, Err(TextError::Logits { count: 2 })), "{nothing:?}");
}

proptest! {
    #[test]
    fn what_is_drawn_was_kept(
        logits in prop::collection::vec(-20.0f32..20.0, 1..50),
        temperature in 0.0f64..3.0, top_k in 0usize..60, top_p in 0.01f64..=1.0, min_p in 0.0f64..=1.0, seed: u64,
    ) {
        let options = SamplerOptions { temperature, top_k, top_p, min_p, repetition_penalty: 1.0, seed };
        let mut sampler = sampler(options);
        let kept = sampler.distribution(&logits, &[]).unwrap();
        prop_assert!((kept.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(kept.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        let id = sampler.sample(&logits, &[]).unwrap();
        prop_assert!(kept.iter().any(|(one, _)| *one == id));
    }
}

/// Prefers the token after the last one fed, modulo `vocab`.
struct Counting {
    vocab: usize,
    limit: usize,
    fed: Vec<u32>,
    feeds: usize,
}

impl Counting {
    fn new(limit: usize) -> Self {
        Self { vocab: 10, limit, fed: Vec::new(), feeds: 0 }
    }
}

impl Session for Counting {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        assert_eq!(want, Want::Last);
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= self.vocab) {
            return Err(ExecError::Token { token, vocab: self.vocab });
        }
        if self.fed.len() + tokens.len() > self.limit {
            return Err(ExecError::Full { position: self.limit, limit: self.limit });
        }
        self.fed.extend(tokens);
        self.feeds += 1;
        let next = (*self.fed.last().unwrap() as usize + 1) % self.vocab;
        out.extend((0..self.vocab).map(|id| if id == next { 1.0 } else { 0.0 }));
        Ok(())
    }

    fn position(&self) -> usize {
        self.fed.len()
    }

    fn reset(&mut self) {
        self.fed.clear();
    }
}

fn run(session: &mut Counting, prompt: &[u32], eos: &[u32], max: usize) -> Result<Generated, TextError> {
    generate(session, prompt, &mut sampler(SamplerOptions::default()), eos, max, &mut |_| true)
}

#[test]
fn generation_stops_for_every_reason() {
    let cases = [
        (vec![7], 100, vec![3, 4, 5, 6], Stop::Eos(7)),
        (vec![3], 100, vec![], Stop::Eos(3)),
        (vec![], 3, vec![3, 4, 5], Stop::Length),
        (vec![], 0, vec![], Stop::Length),
        (vec![], 100, vec![3, 4, 5, 6, 7, 8, 9], Stop::Context),
    ];
    for (eos, max, ids, stop) in cases {
        let mut session = Counting::new(8);
        let got = run(&mut session, &[1, 2], &eos, max).unwrap();
        assert_eq!(got, Generated { ids, stop });
    }
}

#[test]
fn the_caller_may_stop_and_sees_every_token() {
    let mut seen = Vec::new();
    let mut session = Counting::new(100);
    let mut greedy = sampler(SamplerOptions::default());
    let got = generate(&mut session, &[0], &mut greedy, &[], 50, &mut |id| {
        seen.push(id);
        id != 4
    });
    assert_eq!(got.unwrap(), Generated { ids: seen.clone(), stop: Stop::Caller });
    assert_eq!(seen, [1, 2, 3, 4]);
    assert_eq!(session.fed, [0, 1, 2, 3], "each token once, the last not");
}

#[test]
fn a_second_turn_goes_on_where_the_first_ended() {
    let mut session = Counting::new(100);
    run(&mut session, &[0, 1], &[], 2).unwrap();
    assert_eq!((session.feeds, session.position()), (2, 3));
    assert_eq!(run(&mut session, &[5], &[], 2).unwrap().ids, [6, 7]);
    assert_eq!(session.fed, [0, 1, 2, 5, 6]);
}

#[test]
fn a_prompt_that_cannot_be_fed_is_an_error() {
    assert!(matches!(run(&mut Counting::new(8), &[], &[], 5), Err(TextError::EmptyPrompt)));
    assert!(matches!(run(&mut Counting::new(2), &[1, 2, 3], &[], 5), Err(TextError::Exec(ExecError::Full { .. }))));
    assert!(matches!(run(&mut Counting::new(8), &[11], &[], 5), Err(TextError::Exec(ExecError::Token { .. }))));
}
