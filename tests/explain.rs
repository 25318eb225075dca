//! Explanations: the gradients are those of the network, the maps are what their formulas say, and the checks notice maps that
//! say nothing.

use std::sync::Arc;

use ecgpu::{
    Classifier, Hint, Recording, Weights,
    ecg::{Condition, Lead, synthesize},
    engine::backend::{Backend, Precision, cpu::Cpu, reference},
    engine::network::{
        Contract, Folded, Layer, NamedLayer, Network, Parameters, Tensor,
        published::{model_card_55k, training_code_542k},
    },
    engine::plan::{Keep, Plan},
    engine::random::Random,
    explain::{Explanation, LARGEST_CORRELATION, Map, Method, Options, explain, gradient_plan},
};
use ecgpu_testing::{built_in, gpu, nmse};

/// Half of the distance of a difference, a power of two, so that f32 has few digits to lose.
const STEP: f32 = 1.0 / 1024.0;

fn random_55k() -> Folded {
    let weights = Weights::random(model_card_55k(), 3);
    Folded::new(&weights.network, weights.parameters).unwrap()
}

fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    // Multiples of the step, so that sums with it are exact.
    (0..count).map(|_| (random.normal() as f32 / STEP).round() * STEP).collect()
}

/// Runs a gradient plan: logits, input gradient, activations and their gradient of the last convolution.
fn gradients(backend: &dyn Backend, folded: &Folded, x: &[f32], classes: &[usize]) -> Vec<Vec<f32>> {
    let plan = gradient_plan(folded, classes.len(), x.len() / 12 / classes.len()).unwrap();
    let mut seeds = vec![0.0; classes.len() * 5];
    classes.iter().enumerate().for_each(|(at, class)| seeds[at * 5 + class] = 1.0);
    let mut outputs = Vec::new();
    backend.prepare_training(&plan).unwrap().run(&[x, &seeds], &mut outputs).unwrap();
    outputs
}

#[test]
fn the_input_gradient_equals_finite_differences_for_both_networks() {
    for (folded, samples) in [(built_in(), 83), (random_55k(), 61)] {
        let (name, class, x) = (&folded.network.name, 2, normal(12 * samples, 5));
        let computed = gradients(&reference::Reference, &folded, &x, &[class]);
        let plan = Plan::new(&folded, 1, samples, Keep::Results).unwrap();
        let logit = |x: &[f32]| reference::run(&plan, x).unwrap()[1][class];
        assert!((logit(&x) - f64::from(computed[0][class])).abs() < 1e-5, "{name}: the logits of the plan");
        let largest = computed[1].iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let mut compared = 0;
        for at in (0..x.len()).step_by(29) {
            let moved = |by: f32| {
                let mut x = x.clone();
                x[at] += by;
                logit(&x)
            };
            let [above, here, below] = [moved(STEP), logit(&x), moved(-STEP)];
            let [right, left] = [(above - here) / f64::from(STEP), (here - below) / f64::from(STEP)];
            // The one-sided differences disagree at the kink of a ReLU or a maximum.
            if (right - left).abs() > 1e-5 * f64::from(largest) {
                continue;
            }
            let error = (f64::from(computed[1][at]) - right).abs();
            assert!(error < 1e-4 * f64::from(largest), "{name}[{at}]: {} for {right}", computed[1][at]);
            compared += 1;
        }
        assert!(compared >= 5, "{name}: {compared} samples without a kink nearby");
    }
}

#[test]
fn every_backend_computes_the_gradients_of_the_reference() {
    let backends = [Some(Box::new(Cpu::default()) as Box<dyn Backend>), gpu().map(|gpu| Box::new(gpu) as _)];
    for (folded, samples) in [(built_in(), 250), (built_in(), 83), (random_55k(), 101)] {
        let classes = [0, 1, 2, 3, 4];
        let x = normal(12 * samples, 7).repeat(classes.len());
        let expected = gradients(&reference::Reference, &folded, &x, &classes);
        for backend in backends.iter().flatten() {
            let computed = gradients(backend.as_ref(), &folded, &x, &classes);
            for (output, (computed, expected)) in computed.iter().zip(&expected).enumerate() {
                let (error, device) = (nmse(computed, expected), backend.info());
                assert!(
                    error < 1e-9,
                    "{} on {device}, {samples} samples, output {output}: {error}",
                    folded.network.name
                );
            }
        }
    }
}

/// A layer with its tensors' values, where it has any.
struct Given(Layer, Vec<(&'static str, Vec<f32>)>);

/// Makes a classifier on the CPU of a network of five classes, whose last layer but one is the embedding.
fn classifier(layers: Vec<Given>) -> Classifier {
    let mut tensors = Vec::new();
    let mut named = Vec::new();
    for (at, Given(layer, values)) in layers.into_iter().enumerate() {
        let shapes = layer.tensors();
        for (tensor, values) in values {
            let shape = shapes.iter().find(|(known, _)| *known == tensor).unwrap().1.clone();
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{at}.{tensor}");
            tensors.push((format!("{at}.{tensor}"), Tensor { shape, values: Arc::from(values) }));
        }
        named.push(NamedLayer { name: at.to_string(), layer });
    }
    let network = Network { name: "test".into(), embedding: named.len() - 2, layers: named };
    let (source, contract) = ("test".into(), Contract::default());
    let parameters = Parameters::new(tensors);
    let weights = Weights { network, parameters, contract, source, stored_as: "F32".into(), notes: Vec::new() };
    Classifier::on(weights, Box::new(Cpu::default())).unwrap()
}

fn conv(out_channels: usize, kernel: usize, bias: bool) -> Layer {
    Layer::Conv1d { in_channels: 12, out_channels, kernel, stride: 1, padding: kernel / 2, bias }
}

fn built_in_classifier() -> Classifier {
    Classifier::on(Weights::built_in().unwrap(), Box::new(Cpu::default())).unwrap()
}

fn norm() -> Recording {
    synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap()
}

fn explained(classifier: &Classifier, recording: &Recording, options: &Options) -> Explanation {
    explain(classifier, recording, options, &|_, _| {}).unwrap()
}

fn of_class(class: &str, methods: &[Method]) -> Options {
    Options { class: Some(class.into()), methods: methods.to_vec(), ..Options::default() }
}

/// The network's input of a synthetic record: millivolts without their mean, over 0.235 mV.
fn input(recording: &Recording, lead: Lead) -> Vec<f64> {
    let signal = recording.lead(lead).unwrap();
    let mean = signal.iter().map(|&x| f64::from(x)).sum::<f64>() / signal.len() as f64;
    signal.iter().map(|&x| (f64::from(x) - mean) / 0.235).collect()
}

#[test]
fn gradient_times_input_of_a_linear_network_sums_to_the_logit_less_its_bias() {
    let (weight, head) = (normal(4 * 12 * 5, 1), normal(4 * 5, 2));
    let bias = vec![0.5, -1.0, 0.25, 3.0, 0.0];
    let classifier = classifier(vec![
        Given(conv(4, 5, false), vec![("weight", weight)]),
        Given(Layer::GlobalAveragePool, Vec::new()),
        Given(Layer::Linear { in_features: 4, out_features: 5 }, vec![("weight", head), ("bias", bias.clone())]),
    ]);
    let explanation = explained(&classifier, &norm(), &of_class("MI", &[Method::Gradient]));
    for (class, maps) in explanation.maps.iter().enumerate() {
        let Map { values, leads, bands, .. } = &maps[0];
        let expected = f64::from(explanation.prediction.logits[class] - bias[class]);
        for (what, sums) in [("values", values), ("leads", leads), ("bands", bands)] {
            let sum: f64 = sums.iter().sum();
            assert!((sum - expected).abs() < 1e-4, "class {class}, {what}: {sum} for {expected}");
        }
    }
}

/// A network without memory: two channels, the positive parts of leads I and V2, averaged and weighted for each class.
fn two_leads() -> Classifier {
    let mut weight = vec![0.0; 2 * 12];
    (weight[Lead::I as usize], weight[12 + Lead::V2 as usize]) = (1.0, 1.0);
    let head = vec![2.0, -3.0, 5.0, 0.0, 0.0, 1.0, -2.0, -2.0, 0.0, 0.0];
    classifier(vec![
        Given(conv(2, 1, true), vec![("weight", weight), ("bias", vec![0.0; 2])]),
        Given(Layer::Relu, Vec::new()),
        Given(Layer::GlobalAveragePool, Vec::new()),
        Given(Layer::Linear { in_features: 2, out_features: 5 }, vec![("weight", head), ("bias", vec![0.0; 5])]),
    ])
}

#[test]
fn grad_cam_is_the_weighted_sum_of_the_last_activations_without_its_negative_part() {
    let (classifier, recording) = (two_leads(), norm());
    let explanation = explained(&classifier, &recording, &of_class("NORM", &[Method::GradCam]));
    let [one, two] = [Lead::I, Lead::V2].map(|lead| input(&recording, lead));
    for (class, [a, b]) in [[2.0, -3.0], [5.0, 0.0], [0.0, 1.0], [-2.0, -2.0]].into_iter().enumerate() {
        let map = &explanation.maps[class][0];
        assert_eq!((map.rows, map.values.len(), map.leads.len()), (1, 1000, 0));
        for (t, value) in map.values.iter().enumerate() {
            let expected = (a * one[t].max(0.0) + b * two[t].max(0.0)).max(0.0) / 1000.0;
            assert!((value - expected).abs() < 1e-6, "class {class}, sample {t}: {value} for {expected}");
        }
    }
}

#[test]
fn occlusion_is_the_fall_of_the_logit_and_only_what_the_network_reads_has_one() {
    let (classifier, recording) = (two_leads(), norm());
    let explanation = explained(&classifier, &recording, &of_class("MI", &[Method::Occlusion]));
    let map = &explanation.attributions[0].map;
    assert_eq!((map.rows, map.window, map.values.len(), map.bands.len()), (12, 20, 600, 50));
    let x = input(&recording, Lead::I);
    let mean = |x: &[f64]| x.iter().map(|x| x.max(0.0)).sum::<f64>() / 1000.0;
    for (window, value) in map.row(Lead::I as usize).iter().enumerate() {
        let mut replaced = x.clone();
        let (first, end) = (20 * window, 20 * window + 20);
        let [before, after] = [first.checked_sub(1).unwrap_or(end), if end < 1000 { end } else { first - 1 }];
        for (at, sample) in replaced[first..end].iter_mut().enumerate() {
            *sample = x[before] + (x[after] - x[before]) * (at + 1) as f64 / 21.0;
        }
        let expected = 5.0 * (mean(&x) - mean(&replaced));
        assert!((value - expected).abs() < 1e-5, "window {window}: {value} for {expected}");
        assert!((map.bands[window] - expected).abs() < 1e-5, "MI depends on lead I alone");
    }
    for lead in Lead::STANDARD {
        let is_read = lead == Lead::I;
        assert_eq!(map.row(lead as usize).iter().any(|&value| value != 0.0), is_read, "{lead}");
        assert_eq!(map.leads[lead as usize] != 0.0, is_read, "{lead}");
    }
}

#[test]
fn what_is_already_a_straight_line_has_no_attribution() {
    let flat = norm();
    let leads = flat.leads().map(|(lead, signal)| {
        let signal = if lead == Lead::V3 { vec![0.0; signal.len()] } else { signal.to_vec() };
        (lead, signal)
    });
    let flat = Recording::new("flat", 100.0, leads.collect()).unwrap();
    let explanation = explained(&built_in_classifier(), &flat, &Options::default());
    for attribution in explanation.attributions.iter().filter(|it| it.map.rows == 12) {
        let map = &attribution.map;
        assert!(map.row(Lead::V3 as usize).iter().all(|&value| value == 0.0), "{}", map.method);
        assert!(map.row(Lead::V2 as usize).iter().any(|&value| value != 0.0), "{}", map.method);
        assert_eq!(map.leads[Lead::V3 as usize], 0.0, "{}", map.method);
    }
}

#[test]
fn a_map_that_does_not_depend_on_the_weights_fails_the_check_of_weights() {
    // Equal weights are the same in any order.
    let equal = classifier(vec![
        Given(conv(3, 3, true), vec![("weight", vec![0.1; 3 * 12 * 3]), ("bias", vec![0.0; 3])]),
        Given(Layer::Relu, Vec::new()),
        Given(Layer::GlobalAveragePool, Vec::new()),
        Given(
            Layer::Linear { in_features: 3, out_features: 5 },
            vec![("weight", vec![0.3; 15]), ("bias", vec![0.0; 5])],
        ),
    ]);
    for attribution in explained(&equal, &norm(), &Options::default()).attributions {
        let (check, method) = (attribution.randomisation.clone(), attribution.map.method);
        assert!(!check.passed && !attribution.passed(), "{method}: {check:?}");
        assert!(check.stages.iter().all(|stage| stage.correlation() > 0.999), "{method}: {check:?}");
    }
}

#[test]
fn a_map_of_a_network_that_looks_at_nothing_fails_the_check_of_deletion() {
    let blind = classifier(vec![
        Given(conv(3, 3, true), vec![("weight", vec![0.0; 3 * 12 * 3]), ("bias", vec![0.2, 0.1, 0.3])]),
        Given(Layer::Relu, Vec::new()),
        Given(Layer::GlobalAveragePool, Vec::new()),
        Given(
            Layer::Linear { in_features: 3, out_features: 5 },
            vec![("weight", normal(15, 4)), ("bias", vec![0.0; 5])],
        ),
    ]);
    for attribution in explained(&blind, &norm(), &Options::default()).attributions {
        let deletion = &attribution.deletion;
        assert!(!deletion.passed && deletion.beaten == 0 && deletion.area.abs() < 1e-9, "{deletion:?}");
    }
}

#[test]
fn the_maps_of_the_built_in_weights_find_what_the_class_depends_on() {
    // On a made-up ECG the network decides by what it learned on real ones, so only the method that measures it is sure to pass.
    let mut weights = Weights::built_in().unwrap();
    weights.contract.temperature = 2.0;
    let classifier = Classifier::on(weights, Box::new(Cpu::default())).unwrap();
    let explanation = explained(&classifier, &norm(), &Options::default());
    assert_eq!(explanation.attributions.iter().map(|it| it.map.method).collect::<Vec<_>>(), Method::ALL);
    for attribution in &explanation.attributions {
        let (deletion, stages) = (&attribution.deletion, &attribution.randomisation.stages);
        assert_eq!((deletion.by_map.len(), deletion.at_random.len(), deletion.orders), (11, 11, 20));
        assert!((deletion.by_map[0] - deletion.at_random[0]).abs() < 1e-12, "nothing is replaced");
        assert!((deletion.by_map[0] - explanation.probability()).abs() < 1e-5);
        assert_eq!(stages.iter().map(|stage| stage.layers).collect::<Vec<_>>(), [1, 4, 7]);
        let last = stages.last().unwrap().correlation();
        assert_eq!(attribution.randomisation.passed, last <= LARGEST_CORRELATION);
    }
    let occlusion = &explanation.attributions[1].deletion;
    assert!(occlusion.passed && occlusion.area > 0.1, "{occlusion:?}");
}

#[test]
fn the_same_seed_explains_the_same() {
    let (classifier, recording) = (built_in_classifier(), norm());
    let options = of_class("hyp", &[Method::Gradient, Method::GradCam]);
    let explanation = explained(&classifier, &recording, &options);
    assert_eq!(explanation.class_name(), "HYP");
    assert_eq!(explained(&classifier, &recording, &options), explanation);
    let other = explained(&classifier, &recording, &Options { seed: 2, ..options });
    assert_eq!(other.maps, explanation.maps, "the maps themselves are not random");
    assert_ne!(other.attributions, explanation.attributions);
}

#[test]
fn the_most_probable_class_is_explained_unless_another_is_named() {
    let (classifier, recording) = (built_in_classifier(), norm());
    let options = Options { methods: vec![Method::Gradient], ..Options::default() };
    let explanation = explained(&classifier, &recording, &options);
    let probabilities = &explanation.prediction.probabilities;
    assert!(probabilities.iter().all(|&p| p <= explanation.probability()));
    let error = |options: &Options| explain(&classifier, &recording, options, &|_, _| {}).unwrap_err().to_string();
    let unknown = error(&of_class("AFIB", &[Method::Gradient]));
    assert!(
        unknown.contains("no class 'AFIB'") && unknown.contains("name one of NORM, MI, STTC, HYP, CD"),
        "{unknown}"
    );
    assert!(error(&of_class("MI", &[])).contains("no method"), "no method");
    let long = synthesize(Condition::Norm, 1, 100.0, 121.0).unwrap();
    let error = explain(&classifier, &long, &options, &|_, _| {}).unwrap_err().to_string();
    assert!(error.contains("121 s: up to 120 s are explained"), "{error}");
}

#[test]
fn a_network_without_a_convolution_and_a_batch_of_zero_are_refused() {
    let refused = |folded: &Folded, batch: usize| gradient_plan(folded, batch, 1).unwrap_err().to_string();
    assert!(refused(&built_in(), 0).contains("a batch of zero records"));
    let linear = NamedLayer { name: "l".into(), layer: Layer::Linear { in_features: 12, out_features: 5 } };
    let weights = Weights::random(Network { name: "l".into(), layers: vec![linear], embedding: 0 }, 1);
    let folded = Folded::new(&weights.network, weights.parameters).unwrap();
    assert!(refused(&folded, 1).contains("without a convolution"));
}

#[test]
fn a_gpu_in_f16_is_refused_with_the_remedy() {
    let Some(gpu) = gpu().map(|gpu| gpu.with_precision(Precision::F16)) else { return };
    let classifier = Classifier::on(Weights::built_in().unwrap(), Box::new(gpu)).unwrap();
    let error = explain(&classifier, &norm(), &Options::default(), &|_, _| {}).unwrap_err();
    assert_eq!(error.hint(), Some(Hint::UseF32));
    assert!(error.to_string().contains("gradients need f32: explain in f32"), "{error}");
}

#[test]
fn progress_ends_at_its_total() {
    let counts = std::cell::RefCell::new(Vec::new());
    let recording = synthesize(Condition::Norm, 1, 100.0, 2.0).unwrap();
    explain(&built_in_classifier(), &recording, &Options::default(), &|done, total| {
        counts.borrow_mut().push((done, total));
    })
    .unwrap();
    let counts = counts.into_inner();
    let (done, total) = *counts.last().unwrap();
    assert_eq!(done, total);
    assert!(counts[0] == (0, total) && counts.is_sorted(), "{counts:?}");
}

#[test]
fn a_drawing_has_all_leads_the_class_and_the_checks() {
    let recording = norm();
    let explanation = explained(&built_in_classifier(), &recording, &Options::default());
    let svg = explanation.draw(&recording, 0.0).unwrap().finish();
    for lead in Lead::STANDARD {
        assert!(svg.contains(&format!(">{lead}</text>")), "{lead}");
    }
    let class = explanation.class_name();
    for part in ["gradient × input", "occlusion", "Grad-CAM", "random orders", "rank correlation", "synthetic", class]
    {
        assert!(svg.contains(part), "{part}");
    }
    for start in [-1.0, 10.0, f64::NAN] {
        assert!(explanation.draw(&recording, start).is_err(), "{start}");
    }
    assert!(training_code_542k().classes() == explanation.maps.len());
    let mut failing = explanation.clone();
    failing.attributions.iter_mut().for_each(|it| it.deletion.passed = true);
    failing.attributions.iter_mut().for_each(|it| it.randomisation.passed = it.map.method != Method::Occlusion);
    let svg = failing.draw(&recording, 0.0).unwrap().finish();
    assert!(svg.contains(">Do not rely on occlusion: a check below fails<") && svg.matches("FAILED").count() == 1);
}
