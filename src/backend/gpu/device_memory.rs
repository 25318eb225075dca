//! The memory of a plan on the device: activations by slot, states, and parts of states. Constants are uploaded for the
//! variants that read them, because each variant has its own order.

use std::sync::{Arc, PoisonError};

use super::{
    Gpu,
    buffer::{BufferSlice, filled, zeroed},
    dispatch::Resource,
    layouts::Layouts,
    texture,
};
use crate::{
    Error, ErrorKind, Hint, Result,
    kernels::{LARGEST_F16, Storage, Variant},
    plan::{BufferId, Plan, Role, Step},
};

/// The device memory of a plan's activations and states.
pub(super) struct DeviceMemory {
    /// By buffer; none for constants.
    slices: Vec<Option<BufferSlice>>,
}

impl DeviceMemory {
    /// Allocates the slots, and the states with their first numbers.
    pub(super) fn new(gpu: &Gpu, plan: &Plan, layouts: &Layouts) -> Self {
        let ids = 0..plan.buffers.len();
        let bytes = |slot| {
            let of_slot = ids.clone().filter(|&id| plan.buffers[id].slot() == Some(slot));
            of_slot.map(|id| layouts.bytes(plan, id)).max().unwrap_or(0)
        };
        let slots: Vec<wgpu::Buffer> = (0..plan.slots)
            .map(|slot| zeroed(&gpu.device, "activations", texture::rounded_up_to_rows(bytes(slot))))
            .collect();
        let slice = |id: BufferId| match &plan.buffers[id].role {
            Role::Activation { slot } => {
                let size = texture::rounded_up_to_rows(layouts.bytes(plan, id));
                Some(BufferSlice { buffer: slots[*slot].clone(), offset: 0, size })
            }
            Role::State(values) => {
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
                let contents = bytemuck::cast_slice(values);
                Some(BufferSlice::whole(filled(gpu, &plan.buffers[id].name, contents, usage)))
            }
            Role::Constant(_) | Role::Part { .. } => None,
        };
        let mut slices: Vec<Option<BufferSlice>> = ids.clone().map(slice).collect();
        for id in ids {
            if let Role::Part { of, offset } = plan.buffers[id].role {
                let part = |state: &BufferSlice| BufferSlice {
                    buffer: state.buffer.clone(),
                    offset: f32_bytes(offset),
                    size: f32_bytes(plan.buffers[id].len()),
                };
                slices[id] = slices[of].as_ref().map(part);
            }
        }
        Self { slices }
    }

    /// Returns the memory of an activation, a state or a part of one.
    pub(super) fn slice(&self, id: BufferId) -> &BufferSlice {
        self.slices[id].as_ref().unwrap_or_else(|| unreachable!("only constants have no memory of their own"))
    }
}

/// Returns how many bytes a number of f32s take.
pub(super) fn f32_bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}

/// Returns a constant in the order in which a variant reads it, stored as `storage` says. It is uploaded on the first call.
///
/// # Errors
/// A number is too large for f16.
pub(super) fn constant(
    gpu: &Gpu,
    step: &Step,
    variant: &Variant,
    read: usize,
    (values, storage): (&Arc<[f32]>, Storage),
) -> Result<Resource> {
    let uploads = gpu.constants.get(values, Arc::default);
    let mut uploads = uploads.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{} {}", step.kernel.name(), variant.name);
    if let Some(uploaded) = uploads.get(&key) {
        return Ok(uploaded.clone());
    }
    let too_large = |value: &&f32| storage.is_half() && (value.is_nan() || value.abs() > LARGEST_F16);
    if let Some(value) = values.iter().find(too_large) {
        let cause = format!("step {} has a weight of {value:e}, and f16 ends at {LARGEST_F16}", step.name);
        return Err(Error::new(ErrorKind::Weights, cause, "run it in f32").with_hint(Hint::UseF32));
    }
    let packed = variant.packing.pack(&step.kernel, read, values);
    let resource = match variant.shader.textures.contains(&read) {
        true => Resource::Texture(texture::filled(gpu, &step.name, packed)),
        false => Resource::whole(filled(gpu, &step.name, &storage.encode(&packed), wgpu::BufferUsages::STORAGE)),
    };
    uploads.insert(key, resource.clone());
    Ok(resource)
}
