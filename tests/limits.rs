//! On a device with the smallest limits of WebGPU, of Vulkan, or below both, inference and training give the right numbers
//! or an error that names the limit.

use ecgpu::{
    Error, Weights,
    engine::backend::{
        Backend, Precision,
        cpu::Cpu,
        gpu::{Gpu, wgpu::Limits},
        reference::Reference,
    },
    engine::network::Folded,
    engine::plan::{Keep, Plan},
    engine::random::Random,
};
use ecgpu_testing::{host_device_with, nmse, training_plans};

/// What a device is expected to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Right,
    /// An error with this text.
    Refused(&'static str),
}
use Outcome::{Refused, Right};

/// Lowers some limits.
type Change = fn(&mut Limits);

const SAMPLES: usize = 300;

/// Computes the logits of two records.
fn logits(backend: &dyn Backend) -> Result<Vec<f32>, Error> {
    let weights = Weights::built_in()?;
    let plan = Plan::new(&Folded::new(&weights.network, weights.parameters)?, 2, SAMPLES, Keep::Results)?;
    let mut random = Random::new(3, 0);
    let input: Vec<f32> = (0..2 * 12 * SAMPLES).map(|_| random.normal() as f32).collect();
    let mut outputs = Vec::new();
    backend.prepare(&plan)?.run(&input, &mut outputs)?;
    Ok(outputs.remove(1))
}

/// Computes the outputs of every training operation on small sizes, until one fails.
fn training(backend: &dyn Backend) -> Result<Vec<f32>, Error> {
    let mut all = Vec::new();
    for (_, plan) in training_plans::ALL {
        let (plan, inputs, _) = plan(1).finish();
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut outputs = Vec::new();
        backend.prepare_training(&plan)?.run(&inputs, &mut outputs)?;
        all.extend(outputs.concat());
    }
    Ok(all)
}

/// Asserts that a result is within the tolerance of the expected numbers, or refused as expected.
fn assert_outcome(
    what: &str,
    computed: Result<Vec<f32>, Error>,
    wanted: Outcome,
    (expected, tolerance): (&[f32], f64),
) {
    match (computed, wanted) {
        (Ok(computed), Right) => {
            let error = nmse(&computed, expected);
            assert!(error < tolerance, "{what}: {error}");
        }
        (Err(error), Refused(reason)) => {
            assert!(error.to_string().contains(reason), "{what}: {error}");
            assert!(error.remedy().contains("CPU") || error.remedy().contains("fewer records"), "{what}: {error}");
        }
        (computed, _) => panic!("{what}: {computed:?} instead of {wanted:?}"),
    }
}

/// Opens a device whose limits are WebGPU's smallest but for what `change` lowers. None without an adapter.
fn device(change: Change) -> Option<impl Fn() -> Gpu> {
    let mut limits = Limits::default();
    change(&mut limits);
    let (device, queue) = host_device_with(limits)?;
    Some(move || Gpu::from_host(device.clone(), queue.clone()))
}

#[test]
fn inference_on_a_device_with_small_limits_is_right_or_refused() {
    // The limits, and what inference does in f32 and in f16.
    let cases: [(&str, Change, [Outcome; 2]); 16] = [
        ("WebGPU's limits", |_| (), [Right; 2]),
        ("128 invocations", |limits| limits.max_compute_invocations_per_workgroup = 128, [Right; 2]),
        ("64 invocations", |limits| limits.max_compute_invocations_per_workgroup = 64, [Right; 2]),
        ("32", |limits| limits.max_compute_invocations_per_workgroup = 32, [Refused("total invocation limit"); 2]),
        ("128 along x", |limits| limits.max_compute_workgroup_size_x = 128, [Right; 2]),
        ("8 KiB of workgroup memory", |limits| limits.max_compute_workgroup_storage_size = 8 << 10, [Right; 2]),
        ("no workgroup memory", |limits| limits.max_compute_workgroup_storage_size = 0, [Right; 2]),
        (
            "4 storage buffers, as Vulkan guarantees",
            |limits| limits.max_storage_buffers_per_shader_stage = 4,
            [Right, Refused("allows 4 storage buffers in one shader")],
        ),
        (
            "3 storage buffers",
            |limits| limits.max_storage_buffers_per_shader_stage = 3,
            [Refused("allows 3 storage buffers in one shader"); 2],
        ),
        ("no storage textures", |limits| limits.max_storage_textures_per_shader_stage = 0, [Right; 2]),
        ("textures of 256 rows", |limits| limits.max_texture_dimension_2d = 256, [Right; 2]),
        ("64 workgroups", |limits| limits.max_compute_workgroups_per_dimension = 64, [Right; 2]),
        ("1", |limits| limits.max_compute_workgroups_per_dimension = 1, [Refused("workgroups, and"); 2]),
        ("bindings of 1 MiB", |limits| limits.max_storage_buffer_binding_size = 1 << 20, [Right; 2]),
        ("16 KiB", |limits| limits.max_storage_buffer_binding_size = 16 << 10, [Refused("bytes, and"); 2]),
        ("buffers of 16 KiB", |limits| limits.max_buffer_size = 16 << 10, [Refused("bytes, and"); 2]),
    ];
    let expected = logits(&Cpu::with_threads(1).unwrap()).unwrap();
    for (name, change, outcomes) in cases {
        let Some(gpu) = device(change) else { return };
        let precisions = [(Precision::F32, 1e-10), (Precision::F16, 1e-4)];
        for ((precision, tolerance), wanted) in precisions.into_iter().zip(outcomes) {
            let computed = logits(&gpu().with_precision(precision));
            assert_outcome(&format!("{name} in {precision}"), computed, wanted, (&expected, tolerance));
        }
    }
}

#[test]
fn training_on_a_device_with_small_limits_is_right_or_refused() {
    let cases: [(&str, Change, Outcome); 6] = [
        ("WebGPU's limits", |_| (), Right),
        ("64 invocations", |limits| limits.max_compute_invocations_per_workgroup = 64, Right),
        ("no workgroup memory", |limits| limits.max_compute_workgroup_storage_size = 0, Right),
        (
            "4 storage buffers, as Vulkan guarantees",
            |limits| limits.max_storage_buffers_per_shader_stage = 4,
            Refused("allows 4 storage buffers in one shader"),
        ),
        ("10", |limits| limits.max_compute_workgroups_per_dimension = 10, Refused("workgroups, and")),
        ("64 KiB", |limits| limits.max_storage_buffer_binding_size = 64 << 10, Refused("bytes, and")),
    ];
    let expected = training(&Reference).unwrap();
    for (name, change, wanted) in cases {
        let Some(gpu) = device(change) else { return };
        assert_outcome(name, training(&gpu()), wanted, (&expected, 1e-8));
    }
}
