//! The device's limits that a plan must respect: the size of one buffer binding, the workgroups of one dispatch and the
//! storage buffers of one shader.

use super::{Gpu, layouts::Layouts, texture};
use crate::{
    Error, ErrorKind, Hint, Result,
    kernels::{Shader, Variant},
    plan::{BufferId, Plan},
};

/// The most floating-point operations of one submission. Windows resets a GPU that works on one for two seconds; ten
/// gigaflops, slow for integrated graphics, compute this in that time. A batch of network 542k has about a hundred records.
pub(super) const LARGEST_SUBMISSION: u64 = 20_000_000_000;

/// What a plan is for. It decides how an error about its size is worded.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Inference,
    #[cfg(feature = "gradients")]
    Training,
}

impl Purpose {
    /// The records that a buffer is for, in words.
    fn records(self, plan: &Plan) -> String {
        match (self, plan.batch) {
            (Self::Inference, 1) => "one record".into(),
            (Self::Inference, batch) => format!("{batch} records"),
            #[cfg(feature = "gradients")]
            (Self::Training, batch) => format!("a step with {batch} records"),
        }
    }

    fn too_large(self, cause: String) -> Error {
        match self {
            Self::Inference => {
                let remedy = "cut the recording into shorter ones or use the CPU";
                Error::new(ErrorKind::Shape, cause, remedy).with_hint(Hint::UseCpu)
            }
            #[cfg(feature = "gradients")]
            Self::Training => Error::new(ErrorKind::Shape, cause, "train with fewer records at once"),
        }
    }
}

/// Checks that a device allows the storage buffers of a shader. Vulkan guarantees four.
///
/// # Errors
/// The device allows fewer.
pub(super) fn check_storage_buffers(device: &wgpu::Device, shader: &Shader, buffers: usize) -> Result<()> {
    let allowed = device.limits().max_storage_buffers_per_shader_stage as usize;
    if buffers <= allowed {
        return Ok(());
    }
    let cause = format!("the GPU allows {allowed} storage buffers in one shader, and {} has {buffers}", shader.name);
    // The flags of overflow are one more buffer.
    let (remedy, hint) =
        if shader.notes_overflow { ("use f32, or the CPU", Hint::UseF32) } else { ("use the CPU", Hint::UseCpu) };
    Err(Error::new(ErrorKind::Device, cause, remedy).with_hint(hint))
}

impl Gpu {
    /// Returns the largest buffer that one binding can cover, in bytes: whole rows of a texture, as activations have.
    fn largest_binding(&self) -> u64 {
        let limits = self.device.limits();
        texture::rounded_down_to_rows(limits.max_storage_buffer_binding_size.min(limits.max_buffer_size))
    }

    /// Returns the largest number of workgroups along one dimension of a grid.
    pub(super) fn largest_grid(&self) -> usize {
        self.device.limits().max_compute_workgroups_per_dimension as usize
    }

    /// Returns how many records fit into one submission, at least one. `plan` is the plan for one record.
    pub(super) fn batch_by_operations(&self, plan: &Plan) -> usize {
        let records = self.largest_submission / plan.floating_point_operations().max(1);
        usize::try_from(records).unwrap_or(usize::MAX).max(1)
    }

    /// Checks that one binding can cover a buffer and returns how many buffers of that size it could cover.
    ///
    /// # Errors
    /// The buffer is too large.
    pub(super) fn check_buffer(&self, plan: &Plan, layouts: &Layouts, id: BufferId, purpose: Purpose) -> Result<u64> {
        let (bytes, largest) = (layouts.bytes(plan, id), self.largest_binding());
        if bytes <= largest {
            return Ok(largest / bytes);
        }
        let (name, records, gpu) = (&plan.buffers[id].name, purpose.records(plan), &self.info.name);
        let cause = format!("buffer {name} of {records} would take {bytes} bytes, and {gpu} allows {largest}");
        Err(purpose.too_large(cause))
    }

    /// Checks that one binding can cover each of a plan's buffers.
    ///
    /// # Errors
    /// A buffer is too large.
    pub(super) fn check_buffers(&self, plan: &Plan, layouts: &Layouts, purpose: Purpose) -> Result<()> {
        (0..plan.buffers.len()).try_for_each(|id| self.check_buffer(plan, layouts, id, purpose).map(drop))
    }

    /// Checks that one dispatch can have a variant's grid.
    ///
    /// # Errors
    /// The grid has too many workgroups.
    pub(super) fn check_grid(&self, step: &str, variant: &Variant, purpose: Purpose) -> Result<()> {
        let (grid, largest) = (variant.grid, self.largest_grid());
        if grid.iter().all(|&groups| groups <= largest) {
            return Ok(());
        }
        let gpu = &self.info.name;
        Err(purpose.too_large(format!("step {step} needs {grid:?} workgroups, and {gpu} allows {largest}")))
    }
}
