//! A plan as a GPU runs it, where a dispatch costs more than what some steps compute: a global average pool and the linear
//! layer that reads it become one step.

use std::ops::Range;

use super::{Buffer, BufferId, Plan, Step, slots};
use crate::kernels::{Kernel, PooledLinear};

/// A plan with fewer steps that makes the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The steps. Several outputs may be channels of one buffer.
    pub plan: Plan,
    /// Which channels of its buffer each output is.
    pub channels: Vec<Range<usize>>,
    /// How many steps of the plan that it was made from each step stands for.
    pub stands_for: Vec<usize>,
}

impl Joined {
    /// The plan as it is.
    pub fn apart(plan: &Plan) -> Self {
        let channels = plan.outputs.iter().map(|&id| 0..plan.buffers[id].shape[1]).collect();
        Self { plan: plan.clone(), channels, stands_for: vec![1; plan.steps.len()] }
    }

    /// With the pool joined to its linear layer, whose output no step may read. None where there are no such two.
    pub fn new(plan: &Plan) -> Option<Self> {
        let readers = |id: BufferId| plan.steps.iter().filter(move |step| step.reads.contains(&id)).count();
        let (at, sizes, layer) = plan.steps.windows(2).enumerate().find_map(|(at, pair)| {
            let [pool, linear] = pair else { return None };
            let (Kernel::GlobalAveragePool(sizes), Kernel::Linear(layer)) = (&pool.kernel, &linear.kernel) else {
                return None;
            };
            let alone = linear.reads[0] == pool.write && readers(pool.write) == 1 && readers(linear.write) == 0;
            alone.then_some((at, sizes, layer))
        })?;
        let (pool, linear) = (&plan.steps[at], &plan.steps[at + 1]);
        let kernel = Kernel::PooledLinear(PooledLinear {
            batch: sizes.batch,
            channels: sizes.channels,
            samples: sizes.samples,
            out_features: layer.out_features,
        });
        let name = format!("{} + {}", pool.name, linear.name);
        let mut joined = plan.clone();
        let shape = [sizes.batch, sizes.channels + layer.out_features, 1];
        joined.buffers[linear.write] = Buffer { name: name.clone(), shape, ..plan.buffers[linear.write].clone() };
        let reads = [&pool.reads[..], &linear.reads[1..]].concat();
        joined.steps.splice(at..at + 2, [Step { name, kernel, reads, write: linear.write }]);
        let channels = plan.outputs.iter().map(|&id| match id {
            id if id == pool.write => 0..sizes.channels,
            id if id == linear.write => sizes.channels..shape[1],
            id => 0..plan.buffers[id].shape[1],
        });
        let channels = channels.collect();
        joined.outputs.iter_mut().filter(|id| **id == pool.write).for_each(|id| *id = linear.write);
        joined.remove(pool.write);
        let mut stands_for = vec![1; joined.steps.len()];
        stands_for[at] = 2;
        Some(Self { plan: joined, channels, stands_for })
    }
}

impl Plan {
    /// Takes a buffer out that nothing reads or writes any more, and assigns the slots anew.
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
        network::{Folded, Weights, published},
        plan::Keep,
    };

    #[test]
    fn a_joined_plan_makes_the_same_in_one_step_less() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        for keep in [Keep::Results, Keep::Stages] {
            let plan = Plan::new(&folded, 2, 100, keep).unwrap();
            let joined = Joined::new(&plan).unwrap();
            assert_eq!(
                (joined.plan.steps.len(), joined.stands_for.iter().sum()),
                (plan.steps.len() - 1, plan.steps.len())
            );
            let input: Vec<f32> = (0..2 * 12 * 100).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
            let (apart, together) =
                (reference::run(&plan, &input).unwrap(), reference::run(&joined.plan, &input).unwrap());
            for ((apart, together), channels) in apart.iter().zip(&together).zip(&joined.channels) {
                let width = together.len() / 2 / (apart.len() / 2 / channels.len());
                let samples = apart.len() / 2 / channels.len();
                let of_record = |record: &[f64]| record[channels.start * samples..channels.end * samples].to_vec();
                let taken: Vec<f64> = together.chunks_exact(width * samples).flat_map(of_record).collect();
                assert_eq!(&taken, apart);
            }
        }
    }

    #[test]
    fn a_linear_layer_that_another_reads_stays_apart() {
        let [_, small] = published();
        let zeros = small.tensors().into_iter().map(|(name, shape)| {
            let values = vec![0.0; shape.iter().product()].into();
            (name, crate::network::Tensor { shape, values })
        });
        let folded = Folded::new(&small, crate::network::Parameters::new(zeros)).unwrap();
        let plan = Plan::new(&folded, 1, 100, Keep::Results).unwrap();
        assert_eq!(Joined::new(&plan), None);
        assert_eq!(Joined::apart(&plan).plan, plan);
    }
}
