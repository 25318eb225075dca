//! Chooses the row layout of each buffer of a plan. Rows have zeros before and after the samples, which are the padding of
//! the next convolution, so that no shader checks a position. Layouts are internal to this backend and its kernels: inputs
//! and outputs are `[batch, channels, samples]`.

use crate::{
    kernels::{RowLayout, Storage},
    plan::{BufferId, Plan, Step},
};

/// The row layouts of a plan's buffers.
pub(super) struct Layouts(Vec<RowLayout>);

impl Layouts {
    /// Chooses the layouts. `storage` applies to the buffers that may be f16.
    pub(super) fn new(plan: &Plan, storage: Storage) -> Self {
        // All base offsets have the same size in bytes, so that the zeros before the first row survive when buffers share
        // memory.
        let base_offsets = plan.steps.iter().map(|step| step.kernel.on_gpu().base_offset());
        let base_bytes = base_offsets.max().unwrap_or(0).next_multiple_of(8) * size_of::<f32>();
        let groups = layout_groups(plan);
        let mut offsets = vec![0; plan.buffers.len()];
        let mut paddings = vec![0; plan.buffers.len()];
        let mut multiples = vec![1; plan.buffers.len()];
        // From the last step to the first, because the offset of y decides the best offset of x. The forward pass is at the
        // beginning of a training plan and therefore decides last.
        for Step { kernel, reads, write, .. } in plan.steps.iter().rev() {
            let (operation, x, y) = (kernel.on_gpu(), groups[reads[0]], groups[*write]);
            if operation.needs_aligned_rows() {
                multiples[x] = VEC4.max(multiples[x]);
                continue;
            }
            offsets[x] = operation.offset(offsets[y]);
            paddings[x] = operation.padding().max(paddings[x]);
            for id in [x, y] {
                multiples[id] = operation.pitch_multiple().max(multiples[id]);
            }
        }
        let layout = |id: BufferId| {
            let samples = plan.buffers[id].shape[2];
            let storage = if plan.may_be_f16(id) { storage } else { Storage::F32 };
            if plan.buffers[id].slot().is_none() {
                return RowLayout { base_offset: 0, offset: 0, pitch: samples, storage };
            }
            let group = groups[id];
            let offset = offsets[group];
            let pitch = (offset + samples + paddings[group]).next_multiple_of(multiples[group]);
            RowLayout { base_offset: base_bytes / storage.bytes(), offset, pitch, storage }
        };
        Self((0..plan.buffers.len()).map(layout).collect())
    }

    /// Returns the layouts of some buffers, in that order.
    pub(super) fn select(&self, ids: impl Iterator<Item = BufferId>) -> Self {
        Self(ids.map(|id| self.0[id]).collect())
    }

    /// Returns the layout of a buffer.
    pub(super) fn of(&self, id: BufferId) -> RowLayout {
        self.0[id]
    }

    /// Returns the layouts of a step's reads and, last, of its output.
    pub(super) fn of_step(&self, step: &Step) -> Vec<RowLayout> {
        step.reads.iter().chain([&step.write]).map(|&id| self.of(id)).collect()
    }

    /// Returns how many numbers a buffer takes. Constants and states have no gaps.
    pub(super) fn len(&self, plan: &Plan, id: BufferId) -> usize {
        let buffer = &plan.buffers[id];
        let [batch, channels, _] = buffer.shape;
        let RowLayout { base_offset, pitch, .. } = self.0[id];
        if buffer.slot().is_none() { buffer.len() } else { base_offset + batch * channels * pitch }
    }

    /// Returns how many bytes a buffer takes, rounded up to whole loads.
    pub(super) fn bytes(&self, plan: &Plan, id: BufferId) -> u64 {
        (self.len(plan, id).next_multiple_of(8) * self.0[id].storage.bytes()) as u64
    }
}

/// The numbers of a vec4.
const VEC4: usize = 4;

/// Maps each buffer to the representative of its layout group. The buffers of a group have the same layout, because an
/// aligned operation reads them with one index.
fn layout_groups(plan: &Plan) -> Vec<BufferId> {
    let mut groups: Vec<BufferId> = (0..plan.buffers.len()).collect();
    for Step { reads, write, .. } in plan.steps.iter().filter(|step| step.kernel.on_gpu().needs_aligned_rows()) {
        let x = reads[0];
        for &id in reads.iter().chain([write]).filter(|&&id| plan.buffers[id].shape == plan.buffers[x].shape) {
            let (from, to) = (groups[id], groups[x]);
            groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        network::{Folded, Weights},
        plan::Keep,
    };

    #[test]
    fn every_row_holds_the_padding_of_its_readers_and_windows_are_aligned() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        for (samples, storage) in [(83, Storage::F32), (1000, Storage::F16), (5000, Storage::PackedF16)] {
            let plan = Plan::new(&folded, 2, samples, Keep::Results).unwrap();
            let layouts = Layouts::new(&plan, storage);
            for step in &plan.steps {
                let (x, y, operation) = (layouts.of(step.reads[0]), layouts.of(step.write), step.kernel.on_gpu());
                let [_, _, samples] = plan.buffers[step.reads[0]].shape;
                assert!(
                    x.offset + samples + operation.padding() <= x.pitch && operation.base_offset() <= x.base_offset,
                    "{x:?}"
                );
                assert_eq!([x.pitch % operation.pitch_multiple(), y.pitch % operation.pitch_multiple()], [0, 0]);
                assert_eq!(x.offset, operation.offset(y.offset), "{}", step.name);
                assert_eq!(
                    x.base_offset * x.storage.bytes(),
                    y.base_offset * y.storage.bytes(),
                    "buffers with different storage may share memory"
                );
            }
        }
    }

    #[test]
    fn everything_but_the_input_biases_and_features_has_the_storage_that_was_asked_for() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        let plan = Plan::new(&folded, 1, 1000, Keep::Results).unwrap();
        let (layouts, f32_layouts) = (Layouts::new(&plan, Storage::F16), Layouts::new(&plan, Storage::F32));
        for (id, buffer) in plan.buffers.iter().enumerate() {
            let in_f32 = id == plan.input() || buffer.name.ends_with("bias") || plan.outputs.contains(&id);
            assert_eq!(layouts.of(id).storage == Storage::F32, in_f32, "{}", buffer.name);
            if buffer.name.ends_with("weight") {
                assert_eq!(2 * layouts.bytes(&plan, id), f32_layouts.bytes(&plan, id), "{}", buffer.name);
            }
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn all_buffers_of_an_aligned_operation_have_one_layout() {
        use crate::{
            kernels::training::SupervisedLossKind,
            network::published::training_code_542k,
            train::{Objective, Optimiser, TrainingStep},
        };
        let (network, loss) = (training_code_542k(), SupervisedLossKind::FOCAL);
        let objective = Objective::Supervised { loss, class_weights: vec![1.0; 5] };
        let parameters = TrainingStep::initial(&network, &objective, 1);
        let optimiser = Optimiser::default();
        let step = TrainingStep::new(&network, &objective, &optimiser, &parameters, [2, 997], None).unwrap();
        let plan = step.plan;
        let layouts = Layouts::new(&plan, Storage::F32);
        let mut aligned = 0;
        for step in &plan.steps {
            let (operation, x) = (step.kernel.on_gpu(), step.reads[0]);
            let samples = plan.buffers[x].shape[2];
            if plan.buffers[x].slot().is_some() {
                let RowLayout { base_offset, offset, pitch, .. } = layouts.of(x);
                let fits = offset + samples + operation.padding() <= pitch && operation.base_offset() <= base_offset;
                assert!(fits, "{}: {:?}", step.name, layouts.of(x));
            }
            if operation.needs_aligned_rows() {
                let group = step.reads.iter().chain([&step.write]);
                let group = group.filter(|&&id| plan.buffers[id].shape == plan.buffers[x].shape);
                assert!(group.clone().all(|&id| layouts.of(id) == layouts.of(x)), "{}", step.name);
                assert_eq!([layouts.of(x).base_offset % VEC4, layouts.of(x).pitch % VEC4], [0, 0], "{}", step.name);
                aligned += 1;
            }
        }
        assert_eq!(aligned, 6 * 4, "statistics, batch norm and its two gradients of six layers");
    }
}
