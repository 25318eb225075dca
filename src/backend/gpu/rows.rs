//! Where the activations of a plan lie in their buffers on a GPU: in rows whose ends hold the zeros that the next
//! convolution finds before and after its samples, so that no kernel checks a position. Only this backend and its kernels
//! know; what goes in and comes out is `[batch, channels, samples]`.

use crate::{
    kernels::Row,
    plan::{BufferId, Plan},
};

/// The rows of each of a plan's buffers.
pub(super) struct Rows(Vec<Row>);

impl Rows {
    pub(super) fn of(plan: &Plan) -> Self {
        let steps_on =
            |id: BufferId| plan.steps.iter().filter(move |step| step.write == id || step.reads.first() == Some(&id));
        // The head is the same for all, so that buffers that share memory never write into another's.
        let margins = plan.steps.iter().map(|step| step.kernel.operation().margin());
        let head = margins.max().unwrap_or(0).next_multiple_of(4);
        let row = |(id, buffer): (BufferId, &crate::plan::Buffer)| {
            let readers = steps_on(id).filter(|step| step.write != id);
            let margin = readers.map(|step| step.kernel.operation().margin()).max().unwrap_or(0);
            let multiple = steps_on(id).map(|step| step.kernel.operation().row_multiple()).max().unwrap_or(1);
            Row { head, stride: (buffer.shape[2] + margin).next_multiple_of(multiple) }
        };
        Self(plan.buffers.iter().enumerate().map(row).collect())
    }

    /// Those of some buffers, in that order.
    pub(super) fn select(&self, ids: impl Iterator<Item = BufferId>) -> Self {
        Self(ids.map(|id| self.0[id]).collect())
    }

    pub(super) fn row(&self, id: BufferId) -> Row {
        self.0[id]
    }

    /// Floats that a buffer takes: a constant as many as it has.
    pub(super) fn len(&self, plan: &Plan, id: BufferId) -> usize {
        let buffer = &plan.buffers[id];
        let [batch, channels, _] = buffer.shape;
        let Row { head, stride } = self.0[id];
        if buffer.constant.is_some() { buffer.len() } else { head + batch * channels * stride }
    }

    /// Bytes that a buffer takes, in whole vec4s.
    pub(super) fn bytes(&self, plan: &Plan, id: BufferId) -> u64 {
        (self.len(plan, id).next_multiple_of(4) * size_of::<f32>()) as u64
    }
}
