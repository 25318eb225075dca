//! Where the activations of a plan lie in their buffers on a GPU: in rows whose ends hold the zeros that the next
//! convolution finds before and after its samples, so that no kernel checks a position. Only this backend and its kernels
//! know; what goes in and comes out is `[batch, channels, samples]`.

use crate::{
    kernels::{RowLayout, Storage},
    plan::{BufferId, Plan, Step},
};

/// The rows of each of a plan's buffers.
pub(super) struct Rows(Vec<RowLayout>);

impl Rows {
    /// With `storage` for what may be stored so.
    pub(super) fn of(plan: &Plan, storage: Storage) -> Self {
        // The head has the same bytes in all, so that buffers that share memory never write into another's.
        let heads = plan.steps.iter().map(|step| step.kernel.on_gpu().base_offset());
        let head_bytes = heads.max().unwrap_or(0).next_multiple_of(8) * size_of::<f32>();
        let alike = alike(plan);
        let mut starts = vec![0; plan.buffers.len()];
        let mut margins = vec![0; plan.buffers.len()];
        let mut multiples = vec![1; plan.buffers.len()];
        // From the last, because where y starts decides where x best does. The forward pass, which comes first, has the last
        // word.
        for Step { kernel, reads, write, .. } in plan.steps.iter().rev() {
            let (operation, x, y) = (kernel.on_gpu(), alike[reads[0]], alike[*write]);
            if operation.needs_aligned_rows() {
                multiples[x] = VEC4.max(multiples[x]);
                continue;
            }
            starts[x] = operation.offset(starts[y]);
            margins[x] = operation.padding().max(margins[x]);
            for id in [x, y] {
                multiples[id] = operation.pitch_multiple().max(multiples[id]);
            }
        }
        let row = |id: BufferId| {
            let samples = plan.buffers[id].shape[2];
            let storage = if plan.may_be_f16(id) { storage } else { Storage::F32 };
            if plan.buffers[id].slot().is_none() {
                return RowLayout { base_offset: 0, offset: 0, pitch: samples, storage };
            }
            let (start, like) = (starts[alike[id]], alike[id]);
            let stride = (start + samples + margins[like]).next_multiple_of(multiples[like]);
            RowLayout { base_offset: head_bytes / storage.bytes(), offset: start, pitch: stride, storage }
        };
        Self((0..plan.buffers.len()).map(row).collect())
    }

    /// Those of some buffers, in that order.
    pub(super) fn select(&self, ids: impl Iterator<Item = BufferId>) -> Self {
        Self(ids.map(|id| self.0[id]).collect())
    }

    pub(super) fn row(&self, id: BufferId) -> RowLayout {
        self.0[id]
    }

    /// Those of what a step reads and, last, of what it writes.
    pub(super) fn of_step(&self, step: &Step) -> Vec<RowLayout> {
        step.reads.iter().chain([&step.write]).map(|&id| self.row(id)).collect()
    }

    /// Numbers that a buffer takes: a constant or a state as many as it has.
    pub(super) fn len(&self, plan: &Plan, id: BufferId) -> usize {
        let buffer = &plan.buffers[id];
        let [batch, channels, _] = buffer.shape;
        let RowLayout { base_offset, pitch, .. } = self.0[id];
        if buffer.slot().is_none() { buffer.len() } else { base_offset + batch * channels * pitch }
    }

    /// Bytes that a buffer takes, in whole loads.
    pub(super) fn bytes(&self, plan: &Plan, id: BufferId) -> u64 {
        (self.len(plan, id).next_multiple_of(8) * self.0[id].storage.bytes()) as u64
    }
}

/// Floats of a vec4.
const VEC4: usize = 4;

/// For each buffer one of those whose rows must be like its own: an aligned operation takes what is shaped like its x
/// number by number.
fn alike(plan: &Plan) -> Vec<BufferId> {
    let mut alike: Vec<BufferId> = (0..plan.buffers.len()).collect();
    for Step { reads, write, .. } in plan.steps.iter().filter(|step| step.kernel.on_gpu().needs_aligned_rows()) {
        let x = reads[0];
        for &id in reads.iter().chain([write]).filter(|&&id| plan.buffers[id].shape == plan.buffers[x].shape) {
            let (from, to) = (alike[id], alike[x]);
            alike.iter_mut().filter(|other| **other == from).for_each(|other| *other = to);
        }
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        network::{Folded, Weights},
        plan::Keep,
    };

    #[test]
    fn every_row_has_room_for_its_readers_zeros_and_no_window_needs_a_shift() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        for (samples, storage) in [(83, Storage::F32), (1000, Storage::F16), (5000, Storage::PackedF16)] {
            let plan = Plan::new(&folded, 2, samples, Keep::Results).unwrap();
            let rows = Rows::of(&plan, storage);
            for step in &plan.steps {
                let (x, y, operation) = (rows.row(step.reads[0]), rows.row(step.write), step.kernel.on_gpu());
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
                    "they may share memory"
                );
            }
        }
    }

    #[test]
    fn all_but_input_biases_and_features_is_stored_as_asked() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        let plan = Plan::new(&folded, 1, 1000, Keep::Results).unwrap();
        let (rows, whole) = (Rows::of(&plan, Storage::F16), Rows::of(&plan, Storage::F32));
        for (id, buffer) in plan.buffers.iter().enumerate() {
            let in_f32 = id == plan.input() || buffer.name.ends_with("bias") || plan.outputs.contains(&id);
            assert_eq!(rows.row(id).storage == Storage::F32, in_f32, "{}", buffer.name);
            if buffer.name.ends_with("weight") {
                assert_eq!(2 * rows.bytes(&plan, id), whole.bytes(&plan, id), "{}", buffer.name);
            }
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn what_an_aligned_operation_takes_number_by_number_lies_alike() {
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
        let rows = Rows::of(&plan, Storage::F32);
        let mut aligned = 0;
        for step in &plan.steps {
            let (operation, x) = (step.kernel.on_gpu(), step.reads[0]);
            let samples = plan.buffers[x].shape[2];
            if plan.buffers[x].slot().is_some() {
                let RowLayout { base_offset, offset, pitch, .. } = rows.row(x);
                let fits = offset + samples + operation.padding() <= pitch && operation.base_offset() <= base_offset;
                assert!(fits, "{}: {:?}", step.name, rows.row(x));
            }
            if operation.needs_aligned_rows() {
                let alike = step.reads.iter().chain([&step.write]);
                let alike = alike.filter(|&&id| plan.buffers[id].shape == plan.buffers[x].shape);
                assert!(alike.clone().all(|&id| rows.row(id) == rows.row(x)), "{}", step.name);
                assert_eq!([rows.row(x).base_offset % VEC4, rows.row(x).pitch % VEC4], [0, 0], "{}", step.name);
                aligned += 1;
            }
        }
        assert_eq!(aligned, 6 * 4, "statistics, batch norm and its two gradients of six layers");
    }
}
