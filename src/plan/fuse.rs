//! Fuses steps of a plan for a GPU, where a dispatch and the memory between two dispatches cost more than some steps.
//!
//! A convolution and a max pool of two become one step, and so do a global average pool and the linear layer that reads it.
//! Both pairs are matched here; the fused operations are [`Conv1d::fused_max_pool`] and [`PooledLinear`]. What fusing saves:
//! docs/measurements/fused-plans.md.

use std::ops::Range;

use super::{Buffer, BufferId, Plan, Step, slots};
use crate::kernels::{Conv1d, Kernel, MaxPool, PooledLinear};

/// A plan in which one step computes what several source steps did. GPUs and the reference run it; the CPU refuses it.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedPlan {
    /// The plan with fused steps. Several outputs may be channels of one buffer.
    pub plan: Plan,
    /// For each output, the channels of its buffer that belong to it.
    pub(crate) channels: Vec<Range<usize>>,
    /// How many source steps each step replaces.
    pub(crate) source_steps: Vec<usize>,
}

impl FusedPlan {
    /// Makes an unfused plan: one step per operation.
    pub fn unfused(plan: &Plan) -> Self {
        let channels = plan.outputs.iter().map(|&id| 0..plan.buffers[id].shape[1]).collect();
        Self { plan: plan.clone(), channels, source_steps: vec![1; plan.steps.len()] }
    }

    /// Fuses every max pool of two with the convolution before it, unless the outputs of the convolution have another reader.
    pub fn with_fused_max_pools(mut self) -> Self {
        let fused_max_pool = |plan: &Plan| {
            plan.steps.windows(2).enumerate().find_map(|(at, pair)| Some((at, plan.fused_max_pool(pair)?)))
        };
        while let Some((at, kernel)) = fused_max_pool(&self.plan) {
            let Step { reads, write, .. } = self.plan.steps[at].clone();
            self.fuse(at, kernel, reads);
            self.plan.remove(write);
        }
        self
    }

    /// Fuses the global average pool with the linear layer that reads it. None if the plan has no such pair, if the pool has
    /// another reader, or if a step reads the output of the linear layer.
    pub fn with_fused_pooled_linear(mut self) -> Option<Self> {
        let plan = &self.plan;
        let (at, sizes, layer) = plan.steps.windows(2).enumerate().find_map(|(at, pair)| {
            let [pool, linear] = pair else { return None };
            let (Kernel::GlobalAveragePool(sizes), Kernel::Linear(layer)) = (&pool.kernel, &linear.kernel) else {
                return None;
            };
            let sole =
                linear.reads[0] == pool.write && plan.readers(pool.write) == 1 && plan.readers(linear.write) == 0;
            sole.then(|| (at, sizes.clone(), layer.clone()))
        })?;
        let (pool, linear) = (plan.steps[at].clone(), plan.steps[at + 1].clone());
        let kernel = Kernel::PooledLinear(PooledLinear {
            batch: sizes.batch,
            channels: sizes.channels,
            samples: sizes.samples,
            out_features: layer.out_features,
        });
        self.fuse(at, kernel, [&pool.reads[..], &linear.reads[1..]].concat());
        let shape = [sizes.batch, sizes.channels + layer.out_features, 1];
        let name = self.plan.steps[at].name.clone();
        let both = &mut self.plan.buffers[linear.write];
        *both = Buffer { name, shape, ..both.clone() };
        for (id, channels) in self.plan.outputs.iter_mut().zip(&mut self.channels) {
            if *id == linear.write {
                *channels = sizes.channels..shape[1];
            } else if *id == pool.write {
                (*id, *channels) = (linear.write, 0..sizes.channels);
            }
        }
        self.plan.remove(pool.write);
        Some(self)
    }

    /// Replaces two steps by one that writes the output of the second.
    fn fuse(&mut self, at: usize, kernel: Kernel, reads: Vec<BufferId>) {
        let [first, second] = [at, at + 1].map(|at| &self.plan.steps[at]);
        let (name, write) = (format!("{} + {}", first.name, second.name), second.write);
        self.plan.steps.splice(at..at + 2, [Step { name, kernel, reads, write }]);
        self.source_steps[at] += self.source_steps.remove(at + 1);
    }
}

/// Returns the fused operation of a convolution and the max pool of two that reads it; none for another pair of steps.
pub(super) fn fused_max_pool(pair: &[Step]) -> Option<Kernel> {
    let [first, second] = pair else { return None };
    let (Kernel::Conv1d(conv), Kernel::MaxPool(pool)) = (&first.kernel, &second.kernel) else { return None };
    let MaxPool { kernel: 2, stride: 2, out_samples, .. } = *pool else { return None };
    let follows = second.reads[0] == first.write && !conv.fused_max_pool;
    follows.then(|| Kernel::Conv1d(Conv1d { out_samples, fused_max_pool: true, ..conv.clone() }))
}

impl Plan {
    /// Counts the steps that read a buffer.
    fn readers(&self, id: BufferId) -> usize {
        self.steps.iter().filter(|step| step.reads.contains(&id)).count()
    }

    /// Returns the fused operation of a convolution and a max pool, unless the outputs of the convolution have another reader.
    fn fused_max_pool(&self, pair: &[Step]) -> Option<Kernel> {
        let written = pair[0].write;
        let sole_reader = self.readers(written) == 1 && !self.outputs.contains(&written);
        fused_max_pool(pair).filter(|_| sole_reader)
    }

    /// Removes a buffer that no step reads or writes, and assigns the slots again.
    fn remove(&mut self, unused: BufferId) {
        self.buffers.remove(unused);
        let step_ids = self.steps.iter_mut().flat_map(|step| step.reads.iter_mut().chain([&mut step.write]));
        let ids = step_ids.chain(&mut self.inputs).chain(&mut self.outputs);
        ids.filter(|id| **id > unused).for_each(|id| *id -= 1);
        self.slots = slots::assign(&mut self.buffers, &self.steps, &self.inputs, &self.outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::reference,
        network::{Folded, Parameters, Tensor, Weights, published},
        plan::Keep,
    };

    #[test]
    fn a_fused_plan_computes_the_same_in_one_step_less() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        for keep in [Keep::Results, Keep::Stages] {
            let plan = Plan::new(&folded, 2, 100, keep).unwrap();
            let fused = FusedPlan::unfused(&plan).with_fused_max_pools().with_fused_pooled_linear().unwrap();
            assert_eq!(
                (fused.plan.steps.len(), fused.source_steps.iter().sum()),
                (plan.steps.len() - 1, plan.steps.len())
            );
            let input: Vec<f32> = (0..2 * 12 * 100).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
            let (unfused, fused_outputs) =
                (reference::run(&plan, &input).unwrap(), reference::run(&fused.plan, &input).unwrap());
            for ((expected, computed), channels) in unfused.iter().zip(&fused_outputs).zip(&fused.channels) {
                let width = computed.len() / 2 / (expected.len() / 2 / channels.len());
                let samples = expected.len() / 2 / channels.len();
                let of_record = |record: &[f64]| record[channels.start * samples..channels.end * samples].to_vec();
                let taken: Vec<f64> = computed.chunks_exact(width * samples).flat_map(of_record).collect();
                assert_eq!(&taken, expected);
            }
        }
    }

    /// The network 55k with equal weights.
    fn small() -> Folded {
        let small = published::model_card_55k();
        let tensors = small.tensors().into_iter().map(|(name, shape)| {
            let values = vec![0.1; shape.iter().product()].into();
            (name, Tensor { shape, values })
        });
        Folded::new(&small, Parameters::new(tensors)).unwrap()
    }

    #[test]
    fn a_linear_layer_with_a_reader_is_not_fused() {
        let plan = Plan::new(&small(), 1, 100, Keep::Results).unwrap();
        assert_eq!(FusedPlan::unfused(&plan).with_fused_pooled_linear(), None);
        assert_eq!(FusedPlan::unfused(&plan).plan, plan);
    }

    #[test]
    fn a_max_pool_is_fused_with_a_convolution_without_other_readers() {
        let input: Vec<f32> = (0..2 * 12 * 103).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        for (keep, fewer) in [(Keep::Results, 2), (Keep::Pooled, 2), (Keep::Stages, 0)] {
            let plan = Plan::new(&small(), 2, 103, keep).unwrap();
            let fused = FusedPlan::unfused(&plan).with_fused_max_pools();
            assert_eq!(fused.plan.steps.len(), plan.steps.len() - fewer);
            assert_eq!(fused.source_steps.iter().sum::<usize>(), plan.steps.len());
            assert_eq!(reference::run(&fused.plan, &input).unwrap(), reference::run(&plan, &input).unwrap());
        }
    }
}
