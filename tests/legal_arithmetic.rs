//! Tolerances accept every arithmetic that WGSL, Vulkan and Metal allow, and no wrong index.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Device, Error, ErrorKind, Weights,
    engine::{
        backend::{self, Auto, Backend, reference::Reference},
        kernels::training::SupervisedLossKind,
        network::{Folded, Network, published},
        random::Random,
        verify::{LARGEST_NMSE, compare, random_network},
    },
    train::{Objective, Optimiser, TrainingStep},
};
use ecgpu_testing::{
    built_in, gpu,
    legal_device::{Arithmetic, FAULTS, Fault, LegalDevice},
    legal_shaders::{self, Direction},
    nmse, training_plan_error, training_plans as plans,
};

/// Every choice alone, all together, and some that are drawn.
fn arithmetics() -> Vec<Arithmetic> {
    let none = Arithmetic::default();
    let mut all = vec![
        none,
        Arithmetic { toward_zero: true, ..none },
        Arithmetic { contracts: true, ..none },
        Arithmetic { flushes: true, ..none },
        Arithmetic { division: 2.5, ..none },
        Arithmetic { toward_zero: true, contracts: true, flushes: true, division: -2.5 },
    ];
    all.extend((0..3).map(Arithmetic::draw));
    all
}

fn folded(network: Network) -> Folded {
    let weights = Weights::random(network, 1);
    Folded::new(&weights.network, weights.parameters).unwrap()
}

/// Whether `verify` accepts a device on a network and on some random ones.
fn is_accepted(device: &LegalDevice, network: &Folded, samples: usize, random_networks: u64) -> bool {
    let random = (0..random_networks).map(|seed| (seed, random_network(seed)));
    let reports =
        random.flat_map(|(seed, (folded, batch, samples))| compare(device, &folded, batch, samples, seed).unwrap());
    compare(device, network, 2, samples, 1).unwrap().into_iter().chain(reports).all(|report| report.passed)
}

#[test]
fn verify_accepts_every_legal_arithmetic() {
    for arithmetic in arithmetics() {
        let device = LegalDevice { arithmetic, fault: None };
        for network in published::all() {
            assert!(is_accepted(&device, &folded(network), 250, 12), "{arithmetic:?}");
        }
    }
}

#[test]
fn verify_refuses_every_wrong_index_whatever_the_arithmetic() {
    for (fault, arithmetic) in FAULTS.into_iter().flat_map(|fault| arithmetics().into_iter().map(move |it| (fault, it)))
    {
        let device = LegalDevice { arithmetic, fault: Some(fault) };
        assert!(!is_accepted(&device, &built_in(), 100, 10), "{fault:?} with {arithmetic:?}");
    }
}

/// Classifies on a fake CPU and this device until `auto` has compared them. Returns why it refuses the device.
fn fault_of_auto(device: LegalDevice) -> Option<Error> {
    let auto = Auto::new(backend::open(&Device::Cpu, None).unwrap(), move || Ok(Some(Box::new(device))));
    let classifier = Classifier::on(Weights::built_in().unwrap(), Box::new(auto)).unwrap();
    let mut random = Random::new(2, 0);
    let input: Vec<f32> = (0..2 * 12 * 200).map(|_| random.normal() as f32).collect();
    let start = Instant::now();
    // The device is slower than the CPU, so that the trial ends early, with its verdict or its fault.
    while classifier.fault().is_none() && start.elapsed() < Duration::from_secs(4) {
        classifier.run(&input, 2, 200).unwrap();
    }
    classifier.fault()
}

#[test]
fn auto_accepts_legal_arithmetic_and_refuses_wrong_indices() {
    let arithmetic = Arithmetic { toward_zero: true, contracts: true, flushes: true, division: -2.5 };
    assert_eq!(fault_of_auto(LegalDevice { arithmetic, fault: None }), None);
    // The built-in network has no max pool.
    for fault in FAULTS.into_iter().filter(|fault| ![Fault::FirstOfEachWindow, Fault::WindowOffByOne].contains(fault)) {
        let device = LegalDevice { arithmetic, fault: Some(fault) };
        let error = fault_of_auto(device).unwrap_or_else(|| panic!("{fault:?} is accepted"));
        assert_eq!(error.kind(), ErrorKind::Parity, "{error}");
    }
}

const DIRECTIONS: [Direction; 5] =
    [Direction::Up, Direction::Down, Direction::Drawn(7), Direction::Drawn(8), Direction::Drawn(9)];

#[test]
fn training_operations_agree_where_divisions_roots_and_exponentials_are_as_wrong_as_allowed() {
    let mut replaced = BTreeSet::new();
    for direction in &DIRECTIONS[..3] {
        let (edit, made) = legal_shaders::edit(*direction);
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant("plain").with_edited_shaders(edit);
        for (name, plan) in plans::ALL {
            let error = training_plan_error(&gpu, plan(0));
            assert!(error <= LARGEST_NMSE, "{name}, {direction:?}: {error:.1e}");
        }
        replaced.extend(made.lock().unwrap().iter().copied());
    }
    let forward = BTreeSet::from(["f32(pool.samples)", "f32(size.samples)"]);
    assert!(replaced.union(&forward).copied().eq(legal_shaders::all()), "{replaced:?} were replaced");
}

/// Returns the running statistics and the gradient after a step.
fn statistics_and_gradient(backend: &dyn Backend, step: &TrainingStep) -> [Vec<f32>; 2] {
    let plan = &step.plan;
    let mut trainer = backend.prepare_training(plan).unwrap();
    let mut random = Random::new(4, 0);
    let mut input = |&id: &usize| (0..plan.buffers[id].len()).map(|_| random.uniform() as f32).collect();
    let inputs: Vec<Vec<f32>> = plan.inputs.iter().map(&mut input).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    trainer.run(&inputs, &mut Vec::new()).unwrap();
    ["running", "gradient"].map(|name| {
        let state = plan.buffers.iter().position(|buffer| buffer.name == name).unwrap();
        trainer.state(state).unwrap()
    })
}

/// A number within a few units of zero may fall on the other side of a ReLU, which changes the gradient by more than
/// rounding.
const LARGEST_NMSE_OF_A_SIDE: f64 = 1e-4;

#[test]
fn a_training_step_agrees_where_divisions_roots_and_exponentials_are_as_wrong_as_allowed() {
    for network in published::all() {
        let objective = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
        let (parameters, optimiser) = (TrainingStep::initial(&network, &objective, 1), Optimiser::default());
        let step = TrainingStep::new(&network, &objective, &optimiser, &parameters, [4, 200], None).unwrap();
        let exact = statistics_and_gradient(&Reference, &step);
        let error = |direction| {
            let gpu = gpu()?.with_edited_shaders(legal_shaders::edit(direction).0);
            let [statistics, gradient] = statistics_and_gradient(&gpu, &step);
            let error = nmse(&statistics, &exact[0]);
            assert!(error <= LARGEST_NMSE, "{}, {direction:?}: {error:.1e}", network.name);
            Some(nmse(&gradient, &exact[1]))
        };
        let mut errors: Vec<f64> = DIRECTIONS.into_iter().filter_map(error).collect();
        errors.sort_by(f64::total_cmp);
        let [Some(median), Some(largest)] = [errors.get(errors.len() / 2), errors.last()] else { return };
        assert!(*median <= LARGEST_NMSE && *largest <= LARGEST_NMSE_OF_A_SIDE, "{}: {errors:?}", network.name);
    }
}

#[test]
fn verify_accepts_training_where_divisions_roots_and_exponentials_are_as_wrong_as_allowed() {
    for direction in &DIRECTIONS[..3] {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_edited_shaders(legal_shaders::edit(*direction).0);
        for report in ecgpu::train::verify(&gpu).unwrap() {
            assert!(report.passed, "{direction:?}: {report:?}");
        }
    }
}

/// Fills the memory of a workgroup with large numbers before a shader begins.
fn with_old_memory(_: &str, source: &str) -> String {
    let mut fills = String::new();
    for declaration in source.lines().filter_map(|line| line.strip_prefix("var<workgroup> ")) {
        let Some((name, rest)) = declaration.split_once(": array<") else { panic!("{declaration}") };
        let (kind, length) = rest.split(">;").next().unwrap().rsplit_once(", ").unwrap();
        fills += &format!("for (var at = 0u; at < {length}; at++) {{ {name}[at] = {kind}(1e30); }}\n");
    }
    let Some((head, main)) = source.split_once("fn main(").filter(|_| !fills.is_empty()) else { return source.into() };
    let (parameters, body) = main.split_once(") {\n").unwrap();
    format!("{head}fn main({parameters}) {{\n{fills}workgroupBarrier();\n{body}")
}

#[test]
fn no_shader_reads_memory_of_its_workgroup_before_it_has_written_it() {
    for variant in ["plain", "tile 8", "tile 4", "tile 4 sliced", "slices", "rows", "fused 256", "fused 8"] {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant(variant).with_edited_shaders(Arc::new(with_old_memory));
        for (batch, samples) in [(2, 333), (1, 83)] {
            for report in compare(&gpu, &built_in(), batch, samples, 1).unwrap() {
                assert!(report.passed, "{variant}: {report:?}");
            }
        }
    }
    for variant in ["plain", "columns", "slices", "tile", "many"] {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant(variant).with_edited_shaders(Arc::new(with_old_memory));
        for (name, plan) in plans::ALL {
            let error = training_plan_error(&gpu, plan(1));
            assert!(error <= LARGEST_NMSE, "{name} as {variant}: {error:.1e}");
        }
    }
}
