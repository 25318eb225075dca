//! Both published networks against PyTorch: every shape and every stage, on every backend.

use ecgpu::{
    Classifier, Device, Weights,
    engine::backend::{self, Backend},
    engine::network::Folded,
    engine::plan::{Keep, Plan},
};
use ecgpu_testing::{Golden, nmse, skip};

/// PyTorch computed in float64 and stored float32. A stage in float32 stays well below this.
const LARGEST_NMSE: f64 = 1e-10;

fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Reference, Device::Cpu];
    match backend::open(&Device::Gpu, None) {
        Ok(_) => devices.push(Device::Gpu),
        Err(error) => skip(&error.to_string()),
    }
    devices
}

#[test]
fn every_shape_gives_pytorchs_logits_on_every_backend() {
    let golden = Golden::open();
    for network in ["card", "full"] {
        let Some((file, io)) = golden.path(network).zip(golden.tensors(&format!("{network}_io"))) else { continue };
        // An input without logits is there for its stages.
        let names = io.names();
        let shapes: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("logits.")).collect();
        assert_eq!(shapes.len(), if golden.complete { 7 } else { 3 });
        for device in devices() {
            let weights = Weights::from_path(&file).unwrap();
            let classifier = Classifier::open(weights, device.clone()).unwrap();
            for shape in &shapes {
                let (size, input) = io.get(&format!("input.{shape}"));
                let (_, logits) = io.get(&format!("logits.{shape}"));
                let output = classifier.run(&input, size[0], size[2]).unwrap();
                let largest = logits.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                for (ours, theirs) in output.logits.iter().zip(&logits) {
                    let error = (ours - theirs).abs() / largest;
                    assert!(
                        error <= 1e-5,
                        "{network} on {device}, {shape}: {ours} for {theirs}, {error:e} of the largest"
                    );
                }
            }
        }
    }
}

#[test]
fn every_stage_is_pytorchs_on_every_backend() {
    let golden = Golden::open();
    let mut compared = 0;
    for network in ["card", "full"] {
        let Some((file, io)) = golden.path(network).zip(golden.tensors(&format!("{network}_io"))) else { continue };
        let weights = Weights::from_path(&file).unwrap();
        let (size, input) = io.get("input.3x997");
        let names = io.names();
        for stage in names.iter().filter_map(|name| name.strip_prefix("stage.3x997.")) {
            let (_, expected) = io.get(&format!("stage.3x997.{stage}"));
            // PyTorch's Flatten moves nothing, so the plan has no step for it.
            let layer = if stage == "encoder.12" { "encoder.11" } else { stage };
            // The network cut off after the stage shows what the fused layers hide.
            let cut = weights.network.until(layer).unwrap_or_else(|| panic!("{network} has no stage {stage}"));
            let plan =
                Plan::new(&Folded::new(&cut, &weights.parameters).unwrap(), size[0], size[2], Keep::Stages).unwrap();
            for device in devices() {
                let computed = last_output(backend::open(&device, None).unwrap().as_ref(), &plan, &input);
                let error = nmse(&computed, &expected);
                assert!(error <= LARGEST_NMSE, "{network} on {device}, stage {stage}: NMSE {error:e}");
                compared += 1;
            }
        }
    }
    assert!(compared >= if golden.complete { 2 * (15 + 8) } else { 2 * 3 }, "only {compared} stages were compared");
}

fn last_output(backend: &dyn Backend, plan: &Plan, input: &[f32]) -> Vec<f32> {
    let mut outputs = Vec::new();
    backend.prepare(plan).unwrap().run(input, &mut outputs).unwrap();
    outputs.pop().unwrap()
}
