//! A shader that a driver refuses or computes wrongly is replaced by another one.

use std::sync::Arc;

use ecgpu::{
    ErrorKind, Weights,
    engine::backend::{Backend, cpu::Cpu, gpu::Gpu},
    engine::network::Folded,
    engine::plan::{Keep, Plan},
    engine::random::Random,
};
use ecgpu_testing::{gpu, nmse};

/// Opens a GPU for which `edit` changes every shader that has a plain one beside it.
fn gpu_with(edit: fn(&str) -> String) -> Option<Gpu> {
    let edit = move |name: &str, source: &str| match name.ends_with("plain") {
        true => source.into(),
        false => edit(source),
    };
    Some(gpu()?.with_edited_shaders(Arc::new(edit)))
}

/// The driver's compiler fails.
fn refused(source: &str) -> String {
    format!("{source}\nnonsense")
}

/// The driver's compiler makes another program.
fn wrong(source: &str) -> String {
    source.replace("bias[", "2.0 * bias[")
}

fn plan(batch: usize) -> Plan {
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, weights.parameters).unwrap();
    Plan::new(&folded, batch, 200, Keep::Results).unwrap()
}

/// Computes the logits of some records.
fn logits(backend: &dyn Backend, batch: usize) -> Result<Vec<f32>, ecgpu::Error> {
    let mut random = Random::new(3, 0);
    let input: Vec<f32> = (0..batch * 12 * 200).map(|_| random.normal() as f32).collect();
    let mut outputs = Vec::new();
    backend.prepare(&plan(batch))?.run(&input, &mut outputs)?;
    Ok(outputs.remove(1))
}

#[test]
fn a_plan_is_right_where_shaders_are_refused_or_wrong() {
    for (edit, batch) in [(refused as fn(&str) -> String, 1), (wrong, 1), (wrong, 5)] {
        let Some(gpu) = gpu_with(edit) else { return };
        let expected = logits(&Cpu::with_threads(1).unwrap(), batch).unwrap();
        let error = nmse(&logits(&gpu, batch).unwrap(), &expected);
        assert!(error < 1e-10, "{batch}: {error}");
        // The second time the shaders are known.
        assert!(nmse(&logits(&gpu, batch).unwrap(), &expected) < 1e-10);
    }
}

#[test]
fn without_fallback_such_shaders_are_an_error_or_give_wrong_numbers() {
    let Some(gpu) = gpu_with(refused) else { return };
    assert_eq!(logits(&gpu.without_fallback(), 1).unwrap_err().kind(), ErrorKind::Device);
    let Some(gpu) = gpu_with(wrong) else { return };
    let expected = logits(&Cpu::with_threads(1).unwrap(), 1).unwrap();
    assert!(nmse(&logits(&gpu.without_fallback(), 1).unwrap(), &expected) > 1e-4);
}

#[test]
fn a_device_that_computes_every_shader_wrongly_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_edited_shaders(Arc::new(|_, source| wrong(source)));
    let error = logits(&gpu, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parity, "{error}");
}
