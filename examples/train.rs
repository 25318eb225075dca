//! Trains with a network, an objective, data and a schedule composed in code, for what the command line's recipes do not
//! cover.
//!
//! `cargo run --release --example train -- PTBXL_DIR`

use std::{ops::ControlFlow, path::Path};

use ecgpu::{
    Device,
    dataset::{Dataset, Options},
    engine::backend,
    engine::kernels::training::SupervisedLossKind,
    engine::network::published::model_card_55k,
    train::{
        Data, DatasetExamples, Event, LearningRate, Objective, Optimiser, Recipe, ScheduleShape, Task, TrainingStep,
        run,
    },
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder of PTB-XL")?;
    let dataset = Dataset::open(Path::new(&folder), &Options::default(), &|_, _| ())?;
    let (training, validation) = (dataset.label_fraction(0.1, 42)?, dataset.labelled(9..=9));
    let data = Data { examples: &DatasetExamples::new(&dataset), training: &training, validation: &validation };

    let network = model_card_55k();
    let objective = Objective::Supervised { loss: SupervisedLossKind::CROSS_ENTROPY, class_weights: vec![1.0; 5] };
    let parameters = TrainingStep::initial(&network, &objective, 42);
    // 64 records of 250 samples a lead: random crops of 2.5 s.
    let task = Task {
        optimiser: Optimiser { weight_decay: 1e-2, ..Optimiser::default() },
        ..Task::new(network, objective, parameters, [64, 250])
    };
    let learning_rate = LearningRate { peak: 1e-2, shape: ScheduleShape::OneCycle, warm_up: 0.3 };
    let recipe = Recipe { epochs: 10, learning_rate, target_momentum: 0.0, patience: Some(5), seed: 42 };

    let backend = backend::open(&Device::Auto, None)?;
    let outcome = run(backend.as_ref(), task, data, &recipe, None, &mut |event| {
        if let Event::Epoch(epoch) = event {
            println!("epoch {}: loss {:.4}, AUROC {:?}", epoch.epoch, epoch.loss, epoch.auroc);
        }
        ControlFlow::Continue(())
    })?;
    println!("best: {:?}", outcome.map(|outcome| outcome.best));
    Ok(())
}
