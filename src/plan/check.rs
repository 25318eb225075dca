//! Checks a plan before a backend relies on it. A plan is public data, which safe code can build from any numbers.

use std::ops::Range;

use super::{Buffer, BufferId, PART_ALIGNMENT, Plan, Role, Step};
use crate::{Error, ErrorKind, Result, kernels::Extent};

impl Plan {
    /// Checks that every buffer is what it says, that every step fits its buffers, and that nothing is read which was not
    /// written, or is no longer there.
    ///
    /// # Errors
    /// One of them does not hold.
    pub(crate) fn check(&self) -> Result<()> {
        if self.slots > self.buffers.len() {
            return Err(bad(format!("{} slots for {} buffers", self.slots, self.buffers.len())));
        }
        for (id, buffer) in self.buffers.iter().enumerate() {
            let refused = || bad(format!("buffer {id}, {}, is not what its role demands", buffer.name));
            self.is_possible(id, buffer).then_some(()).ok_or_else(refused)?;
        }
        // What each slot holds.
        let mut held = vec![None; self.slots];
        for &id in &self.inputs {
            let free = self.slot(id).filter(|&slot| held[slot].is_none());
            held[free.ok_or_else(|| bad(format!("input {id} has no memory of its own")))?] = Some(id);
        }
        for step in &self.steps {
            self.check_step(step, &mut held).map_err(|error| error.at(format!("step {}", step.name)))?;
        }
        match self.outputs.iter().find(|&&id| self.slot(id).is_none_or(|slot| held[slot] != Some(id))) {
            None => Ok(()),
            Some(id) => Err(bad(format!("output {id} is not there at the end"))),
        }
    }

    /// The slot of an activation; none for another buffer, or none.
    fn slot(&self, id: BufferId) -> Option<usize> {
        self.buffers.get(id).and_then(Buffer::slot)
    }

    /// Whether a buffer has numbers that can be counted, and memory for them.
    fn is_possible(&self, id: BufferId, buffer: &Buffer) -> bool {
        // A network without batch norm has no running statistics, and no step reads them.
        if matches!(&buffer.role, Role::State(values) if values.is_empty()) {
            return buffer.shape.contains(&0);
        }
        let Some(length) = count(buffer) else { return false };
        match &buffer.role {
            Role::Activation { slot } => *slot < self.slots,
            Role::Constant(values) | Role::State(values) => values.len() == length,
            Role::Part { of, offset } => {
                let state = self.buffers[..id].get(*of).filter(|state| matches!(state.role, Role::State(_)));
                let end = offset.checked_add(length).filter(|_| offset.is_multiple_of(PART_ALIGNMENT));
                state.and_then(count).zip(end).is_some_and(|(state, end)| end <= state)
            }
        }
    }

    /// Checks a step, and notes in `held` what it writes.
    fn check_step(&self, step: &Step, held: &mut [Option<BufferId>]) -> Result<()> {
        let impossible = || bad(format!("{} has a size that is impossible", step.kernel.operation().describe()));
        let extents = step.kernel.operation().extents().ok_or_else(impossible)?;
        if step.reads.len() != extents.reads.len() {
            return Err(bad(format!("{} reads where {} are needed", step.reads.len(), extents.reads.len())));
        }
        let mut records = None;
        let buffers = step.reads.iter().chain([&step.write]);
        for (&id, extent) in buffers.zip(extents.reads.iter().chain([&extents.write])) {
            let fits = self.buffers.get(id).is_some_and(|buffer| fits(buffer, *extent, &mut records));
            fits.then_some(()).ok_or_else(|| bad(format!("buffer {id} is not {extent:?}")))?;
        }
        for &id in &step.reads {
            if self.slot(id).is_some_and(|slot| held[slot] != Some(id)) {
                return Err(bad(format!("buffer {id} is not there to be read")));
            }
            if self.overlap(id, step.write) {
                return Err(bad(format!("buffer {id} is read and written at the same time")));
            }
        }
        match (&self.buffers[step.write].role, self.slot(step.write)) {
            (Role::Constant(_), _) => return Err(bad(format!("buffer {} is a constant and written", step.write))),
            (_, Some(slot)) => held[slot] = Some(step.write),
            _ => {}
        }
        Ok(())
    }

    /// Whether two buffers share memory.
    fn overlap(&self, a: BufferId, b: BufferId) -> bool {
        if let (Some(a), Some(b)) = (self.slot(a), self.slot(b)) {
            return a == b;
        }
        let [(a, first), (b, second)] = [a, b].map(|id| self.location(id));
        a == b && first.start < second.end && second.start < first.end
    }

    /// The buffer that stores the numbers of a buffer, and where in it.
    fn location(&self, id: BufferId) -> (BufferId, Range<usize>) {
        let buffer = &self.buffers[id];
        match buffer.role {
            Role::Part { of, offset } => (of, offset..offset + buffer.len()),
            _ => (id, 0..buffer.len()),
        }
    }
}

/// Whether a buffer has an extent. `records` is the number of records of the step's activations whose rows are stated, if
/// known.
fn fits(buffer: &Buffer, extent: Extent, records: &mut Option<usize>) -> bool {
    let [batch, channels, samples] = buffer.shape;
    match (extent, buffer.slot()) {
        (Extent::Activation(shape), Some(_)) => buffer.shape == shape,
        (Extent::Rows(rows, length), Some(_)) => {
            (batch * channels, samples) == (rows, length) && *records.get_or_insert(batch) == batch
        }
        (Extent::Numbers(length), Some(_)) => buffer.shape == [1, 1, length],
        (Extent::Numbers(length), None) => buffer.len() == length,
        (Extent::Activation(_) | Extent::Rows(..), None) => false,
    }
}

/// The number of numbers of a buffer; none if it has none, or more than a shader can count.
fn count(buffer: &Buffer) -> Option<usize> {
    let length = buffer.shape.iter().try_fold(1usize, |length, &size| length.checked_mul(size));
    length.filter(|length| (1..=u32::MAX as usize).contains(length))
}

fn bad(cause: String) -> Error {
    Error::new(ErrorKind::Shape, cause, "correct the plan: give each step buffers of its sizes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Backend, cpu::Cpu, reference::Reference},
        kernels::Kernel,
        network::{Folded, Weights, published},
        plan::{Builder, Keep},
        random::Random,
    };

    /// The plan of network 55k for two records of 60 samples.
    fn plan() -> Plan {
        let weights = Weights::random(published::model_card_55k(), 1);
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        Plan::new(&folded, 2, 60, Keep::Results).unwrap()
    }

    fn refused(plan: &Plan, named: &str) {
        for backend in [&Cpu::default() as &dyn Backend, &Reference] {
            let error = backend.prepare(plan).map(drop).expect_err(named);
            assert!(error.kind() == ErrorKind::Shape && error.to_string().contains(named), "{error}: {named}");
        }
    }

    #[test]
    fn a_step_larger_than_its_buffers_is_refused() {
        let changed = |change: &dyn Fn(&mut crate::kernels::Conv1d), named: &str| {
            let mut plan = plan();
            let Kernel::Conv1d(conv) = &mut plan.steps[0].kernel else { panic!("the first step is a convolution") };
            change(conv);
            refused(&plan, named);
        };
        changed(&|conv| conv.in_channels = 64, "buffer 0 is not Activation([2, 64, 60])");
        changed(&|conv| (conv.in_channels, conv.in_samples) = (60, 12), "buffer 0 is not Activation([2, 60, 12])");
        changed(&|conv| conv.out_channels *= 2, "is not Numbers(");
        changed(&|conv| conv.out_samples += 1, "is not Activation(");
        changed(&|conv| conv.kernel += 1, "is not Numbers(");
        changed(&|conv| conv.stride = usize::MAX, "a size that is impossible");
        changed(&|conv| conv.padding = usize::MAX, "a size that is impossible");
        changed(&|conv| conv.out_channels = usize::MAX, "a size that is impossible");
    }

    #[test]
    fn buffers_that_are_not_what_they_say_are_refused() {
        let changed = |change: &dyn Fn(&mut Plan), named: &str| {
            let mut plan = plan();
            change(&mut plan);
            refused(&plan, named);
        };
        changed(&|it| it.buffers[0].role = Role::Activation { slot: usize::MAX }, "buffer 0, input, is not");
        changed(&|it| it.slots = usize::MAX, "slots for");
        changed(&|it| it.buffers[1].shape[2] += 1, "buffer 1, ");
        changed(&|it| it.buffers[0].shape = [1 << 33, 1 << 33, 1], "buffer 0, input, is not");
        changed(&|it| it.buffers[1].role = Role::Part { of: 7, offset: 0 }, "buffer 1, ");
        changed(&|it| it.steps[1].reads[0] = 999, "buffer 999 is not");
        changed(&|it| it.steps[1].write = 999, "buffer 999 is not");
        changed(&|it| it.steps[0].reads.truncate(2), "2 reads where 3 are needed");
        changed(&|it| it.outputs.push(1), "output 1 is not there");
        changed(&|it| it.inputs.push(0), "input 0 has no memory");
        changed(&|it| it.outputs.push(0), "output 0 is not there");
        changed(&|it| it.steps.swap(0, 1), "is not there to be read");
        let error = Cpu::default().prepare(&Plan { batch: 3, ..plan() }).map(drop).unwrap_err();
        assert!(error.to_string().contains("a plan for 3 records"), "{error}");
    }

    #[test]
    fn a_step_that_writes_what_it_reads_is_refused() {
        let mut plan = plan();
        for buffer in &mut plan.buffers {
            if let Role::Activation { slot } = &mut buffer.role {
                *slot = 0;
            }
        }
        refused(&plan, "is read and written at the same time");
    }

    /// Changes a number of a plan.
    fn change(plan: &mut Plan, random: &mut Random) {
        let mut numbers: Vec<&mut usize> = vec![&mut plan.batch, &mut plan.slots];
        for buffer in &mut plan.buffers {
            numbers.extend(&mut buffer.shape);
            if let Role::Activation { slot } = &mut buffer.role {
                numbers.push(slot);
            }
        }
        for step in &mut plan.steps {
            numbers.extend(step.reads.iter_mut().chain([&mut step.write]));
            match &mut step.kernel {
                Kernel::Conv1d(it) => numbers.extend([
                    &mut it.batch,
                    &mut it.in_channels,
                    &mut it.in_samples,
                    &mut it.out_channels,
                    &mut it.out_samples,
                    &mut it.kernel,
                    &mut it.stride,
                    &mut it.padding,
                ]),
                Kernel::MaxPool(it) => numbers.extend([&mut it.kernel, &mut it.stride, &mut it.out_samples]),
                Kernel::GlobalAveragePool(it) => numbers.extend([&mut it.batch, &mut it.channels, &mut it.samples]),
                Kernel::Linear(it) => numbers.extend([&mut it.batch, &mut it.in_features, &mut it.out_features]),
                _ => {}
            }
        }
        numbers.extend(plan.inputs.iter_mut().chain(&mut plan.outputs));
        let at = random.below(numbers.len());
        let other = *numbers[random.below(numbers.len())];
        *numbers[at] = match random.below(3) {
            0 => other,
            1 => numbers[at].wrapping_add(1),
            _ => numbers[at].wrapping_sub(1),
        };
    }

    #[test]
    fn a_changed_plan_is_refused_or_runs() {
        let (cpu, mut random, mut ran) = (Cpu::default(), Random::new(7, 0), 0);
        for _ in 0..2000 {
            let mut plan = plan();
            (0..=random.below(2)).for_each(|_| change(&mut plan, &mut random));
            let Ok(mut executor) = cpu.prepare(&plan) else { continue };
            let input = vec![0.5; plan.buffers[plan.input()].len()];
            executor.run(&input, &mut Vec::new()).unwrap();
            ran += 1;
        }
        assert!(ran > 20, "{ran} plans ran, too few to say anything");
    }

    #[test]
    fn a_state_is_not_read_while_it_is_written() {
        let mut builder = Builder::default();
        let x = builder.input("x", [2, 64, 1]).unwrap();
        let state = builder.state("state", vec![0.0; 128].into()).unwrap();
        let [first, second] = [0, 64].map(|offset| builder.part("part", state, offset, [1, 1, 64]).unwrap());
        let linear = crate::kernels::Linear { batch: 2, in_features: 64, out_features: 1 };
        let y = builder.step("step", linear, &[x, first, second], [2, 1, 1]).unwrap();
        let mut plan = builder.finish(vec![y]);
        // A bias of one number, which is not the second half of the state.
        assert!(plan.check().unwrap_err().to_string().contains("is not Numbers(1)"));
        plan.buffers[second].shape = [1, 1, 1];
        assert_eq!(plan.check(), Ok(()));
        assert!(plan.overlap(state, first) && !plan.overlap(first, second));
    }
}
