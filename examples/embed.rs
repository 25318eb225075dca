//! A native tool that classifies ECGs: `cargo run --release --example embed --no-default-features`.

use ecgpu::{
    Classifier, Device, Recording, Weights,
    ecg::{Condition, Lead, synthesize},
};

fn main() -> ecgpu::Result<()> {
    // The CPU at once, and a GPU where that is measured to be faster. `Classifier::on(weights,
    // Box::new(Gpu::from_host(device, queue)))` shares a wgpu device that the application already has.
    let classifier = Classifier::open(Weights::built_in()?, Device::Auto)?;

    // Samples in millivolts from wherever the application has them; here from the synthetic model.
    let source = synthesize(Condition::MiAnterior, 7, 500.0, 10.0)?;
    let samples_of = |lead: Lead| source.lead(lead).map(|samples| (lead, samples.to_vec()));
    let recording = Recording::new("bed 4", 500.0, Lead::STANDARD.into_iter().filter_map(samples_of).collect())?;

    let prediction = classifier.classify(&recording)?;
    for (class, probability) in prediction.classes.iter().zip(&prediction.probabilities) {
        println!("{class:5} {:5.1} %", probability * 100.0);
    }
    println!("{}: {:?} on {}", recording.name(), prediction.labels, prediction.device.name);
    Ok(())
}
