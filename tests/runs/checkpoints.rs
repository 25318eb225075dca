//! How runs resume from their checkpoints, and what they refuse to resume from.

use std::{collections::HashMap, fs, ops::ControlFlow, path::Path};

use ecgpu::{
    Device, ErrorKind,
    engine::backend::{self, cpu::Cpu},
    engine::network::{Contract, Parameters},
    engine::random::Random,
    train::{
        Data, Event, Heads, LearningRate, Objective, Observer, Outcome, Recipe, RunFolder, ScheduleShape, Task, run,
    },
};
use tempfile::TempDir;

use crate::support::{ALL, LENGTH, Noise, augmenting, data, folder, go_on, recipe, supervised, task, untimed, whole};

#[test]
fn an_interrupted_run_resumes_and_ends_with_the_same_bits() {
    let heads = Heads { hidden: 32, out: 16 };
    let noise = Noise::new();
    let mut random = Random::new(std::process::id().into(), 0);
    for objective in [supervised(), Objective::SimClr { temperature: 0.1, heads }, Objective::Byol { heads }] {
        let task = Task { augmentation: augmenting(), ..task(objective, 64) };
        let recipe = Recipe {
            learning_rate: LearningRate { peak: 1e-3, shape: ScheduleShape::OneCycle, warm_up: 0.3 },
            ..recipe(3)
        };
        let uninterrupted = untimed(&whole(&task, &noise, &recipe));
        let temporary = TempDir::new().unwrap();
        let folder = folder(temporary.path());
        // Three epochs of four steps, each followed by the epoch's own event.
        let breaks = [1 + random.below(5), 2 + random.below(5)];
        for events in breaks {
            let mut left = events;
            let mut observe = |_: Event| {
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let broken = run(&Cpu::default(), task.clone(), data(&noise), &recipe, Some(&folder), &mut observe);
            assert_eq!(broken.unwrap(), None, "broken off after {breaks:?} events");
        }
        let resumed = run(&Cpu::default(), task, data(&noise), &recipe, Some(&folder), &mut go_on).unwrap().unwrap();
        // Not by assert_eq, which would print all parameters.
        let resumed = untimed(&resumed);
        assert_eq!(resumed.history, uninterrupted.history, "broken off after {breaks:?} events");
        assert!(resumed == uninterrupted, "other parameters, broken off after {breaks:?} events");
    }
}

#[test]
fn a_run_on_a_gpu_resumes_with_the_same_bits() {
    if !ecgpu_testing::has_gpu() {
        return;
    }
    let gpu = backend::open(&Device::Gpu, None).unwrap();
    let (noise, task) = (Noise::new(), Task { augmentation: augmenting(), ..task(supervised(), 64) });
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path());
    let train = |folder, observe: Observer| run(gpu.as_ref(), task.clone(), data(&noise), &recipe(2), folder, observe);
    let uninterrupted = train(None, &mut go_on).unwrap().unwrap();
    let mut stop_in_the_second_epoch = |event: Event| match event {
        Event::Step { epoch: 2, step: 2, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert!(train(Some(&folder), &mut stop_in_the_second_epoch).unwrap().is_none());
    let resumed = train(Some(&folder), &mut go_on).unwrap().unwrap();
    assert!(untimed(&resumed) == untimed(&uninterrupted));
    let cpu = whole(&task, &noise, &recipe(2));
    let losses = |outcome: &Outcome| outcome.history.iter().map(|epoch| epoch.loss).collect::<Vec<_>>();
    for (gpu, cpu) in losses(&resumed).into_iter().zip(losses(&cpu)) {
        assert!((gpu / cpu - 1.0).abs() < 0.02, "a mean loss of {gpu} on the GPU and {cpu} on the CPU");
    }
}

#[test]
fn after_a_failed_write_a_run_resumes_from_its_last_checkpoint() {
    let (noise, task) = (Noise::new(), task(supervised(), LENGTH));
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path());
    let [last, kept] = ["last.safetensors", "kept"].map(|name| temporary.path().join(name));
    let mut block = |event: Event| {
        if matches!(event, Event::Epoch(_)) {
            // No file can replace a folder.
            fs::rename(&last, &kept).unwrap();
            fs::create_dir(&last).unwrap();
        }
        ControlFlow::Continue(())
    };
    let error = run(&Cpu::default(), task.clone(), data(&noise), &recipe(3), Some(&folder), &mut block).unwrap_err();
    assert!(error.kind() == ErrorKind::File && error.cause().contains("last.safetensors"), "{error}");
    fs::remove_dir(&last).unwrap();
    fs::rename(&kept, &last).unwrap();
    let resumed = run(&Cpu::default(), task.clone(), data(&noise), &recipe(3), Some(&folder), &mut go_on);
    assert!(untimed(&resumed.unwrap().unwrap()) == untimed(&whole(&task, &noise, &recipe(3))));
}

/// Runs an epoch of three and stops.
fn stopped(noise: &Noise) -> (TempDir, RunFolder) {
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path());
    let mut stop = |event: Event| match event {
        Event::Epoch(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let task = task(supervised(), LENGTH);
    assert!(run(&Cpu::default(), task, data(noise), &recipe(3), Some(&folder), &mut stop).unwrap().is_none());
    (temporary, folder)
}

/// Resumes a run that must be refused, and returns why.
fn refusal(task: Task, data: Data, recipe: &Recipe, folder: &RunFolder) -> String {
    let mut nothing = |_: Event| panic!("a refused run does nothing");
    let error = run(&Cpu::default(), task, data, recipe, Some(folder), &mut nothing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights, "{error}");
    error.to_string()
}

#[test]
fn a_run_resumes_with_what_it_was_started_with_only() {
    let noise = Noise::new();
    let (_temporary, folder) = stopped(&noise);
    let base = || task(supervised(), LENGTH);
    let rate = LearningRate { peak: 1e-3, shape: ScheduleShape::Constant, warm_up: 0.0 };
    let mut renamed = base();
    renamed.network.name = "another".into();
    let mut louder = base();
    louder.optimiser.weight_decay = 0.5;
    let mut parameters: Vec<_> = base().parameters.iter().map(|(name, it)| (name.to_string(), it.clone())).collect();
    parameters[0].1.values = parameters[0].1.values.iter().map(|value| value + 1.0).collect();
    let started_otherwise = Task { parameters: Parameters::new(parameters), ..base() };
    let cases = [
        (Task { freeze_encoder: true, ..base() }, recipe(3), "objective is 'supervised', not"),
        (renamed, recipe(3), "network is '55k', not 'another'"),
        (Task { batch: 8, ..base() }, recipe(3), "batch is '16', not '8'"),
        (Task { samples: 64, ..base() }, recipe(3), "samples is '80', not '64'"),
        (Task { augmentation: augmenting(), ..base() }, recipe(3), "augmentation is 'None', not 'Some("),
        (louder, recipe(3), "optimiser is"),
        (started_otherwise, recipe(3), "initial parameters is"),
        (base(), recipe(4), "epochs is '3', not '4'"),
        (base(), Recipe { seed: 8, ..recipe(3) }, "seed is '7', not '8'"),
        (base(), Recipe { learning_rate: rate, ..recipe(3) }, "learning rate is"),
        (base(), Recipe { patience: Some(9), ..recipe(3) }, "patience is 'None', not 'Some(9)'"),
    ];
    for (task, recipe, named) in cases {
        let error = refusal(task, data(&noise), &recipe, &folder);
        assert!(error.contains(named), "{error} instead of {named}");
    }
    let fewer = Data { training: &ALL[..60], ..data(&noise) };
    let error = refusal(base(), fewer, &recipe(3), &folder);
    assert!(error.contains("records is '64 to train, 64 to validate', not '60 to train"), "{error}");
    let mut others = [Noise::new(), Noise::new()];
    others[0].labels[40] = [1.0; 5];
    others[1].records[0][7] += 1.0;
    for other in &others {
        let error = refusal(base(), data(other), &recipe(3), &folder);
        assert!(error.contains("data is '"), "{error}");
    }
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let noise = Noise::new();
    let (temporary, folder) = stopped(&noise);
    let path = temporary.path().join("last.safetensors");
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let error = refusal(task(supervised(), LENGTH), data(&noise), &recipe(3), &folder);
        assert!(error.contains("last.safetensors: "), "{what}: {error}");
    };
    let mut random = Random::new(std::process::id().into(), 1);
    let anywhere: Vec<usize> = (0..40).map(|_| random.below(whole.len())).collect();
    for at in anywhere.into_iter().chain((0..4000).step_by(37)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << random.below(8);
        refused(&flipped, &format!("byte {at}"));
    }
    for len in [0, 7, 8, 9, 1000, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..len], &format!("{len} bytes"));
    }
    refused(&[&whole[..], &[0]].concat(), "one byte more");
}

#[test]
fn a_checkpoint_of_an_older_version_is_refused_in_words() {
    let noise = Noise::new();
    let (temporary, folder) = stopped(&noise);
    let metadata = HashMap::from([("format".to_string(), "ecgpu checkpoint 1".to_string())]);
    let none: [(&str, safetensors::tensor::TensorView); 0] = [];
    let old = safetensors::serialize(none, Some(metadata)).unwrap();
    fs::write(temporary.path().join("last.safetensors"), old).unwrap();
    let error = refusal(task(supervised(), LENGTH), data(&noise), &recipe(3), &folder);
    let words = "format is 'ecgpu checkpoint 1', not 'ecgpu checkpoint 2': start the run again";
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_resumed_run_does_not_depend_on_the_file_of_the_best_epoch() {
    let (noise, task) = (Noise::new(), task(supervised(), LENGTH));
    let expected = untimed(&whole(&task, &noise, &recipe(3)));
    for damage in
        [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "another run's").unwrap()]
    {
        let (temporary, folder) = stopped(&noise);
        damage(&temporary.path().join("best.safetensors"));
        let resumed = run(&Cpu::default(), task.clone(), data(&noise), &recipe(3), Some(&folder), &mut go_on);
        assert!(untimed(&resumed.unwrap().unwrap()) == expected);
    }
}

#[test]
fn a_folder_belongs_to_one_run_at_a_time() {
    let temporary = TempDir::new().unwrap();
    let first = folder(temporary.path());
    for force in [false, true] {
        let error = RunFolder::create(temporary.path(), "other", Contract::default(), force).unwrap_err().to_string();
        assert!(error.contains("another run uses this folder"), "{error}");
    }
    assert_eq!(RunFolder::settings(temporary.path()).unwrap(), "", "the first run's settings stay");
    drop(first);
    let error = RunFolder::create(temporary.path(), "other", Contract::default(), false).unwrap_err();
    assert!(error.to_string().contains("holds a run already"), "{error}");
    RunFolder::create(temporary.path(), "other", Contract::default(), true).unwrap();
}

#[test]
fn a_running_variance_that_overflows_ends_the_run() {
    // Batch norm turns an infinite variance into outputs of zero and a finite loss.
    let mut noise = Noise::new();
    noise.records[11].iter_mut().for_each(|sample| *sample *= 1e25);
    let outcome = run(&Cpu::default(), task(supervised(), LENGTH), data(&noise), &recipe(1), None, &mut go_on);
    let error = outcome.map(|_| ()).unwrap_err();
    assert!(error.kind() == ErrorKind::Training && error.cause().contains("running"), "{error}");
    assert!(error.cause().contains("is inf"), "{error}");
}
