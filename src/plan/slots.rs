//! Assigns activations to slots of shared memory, as in linear-scan register allocation.

use super::{Buffer, BufferId, Role, Step};

/// Memory that several activations use one after another.
struct Slot {
    /// The step after which the slot is free again.
    busy_until: usize,
    /// The length of the largest activation so far.
    length: usize,
}

/// Assigns a slot to every activation and returns the number of slots. An output keeps its slot to the end.
///
/// The smallest free slot that is large enough is used, or else the largest free one. In training, long and short activations
/// alternate, and a short one that is kept for its gradient must not occupy a large slot.
pub(super) fn assign(buffers: &mut [Buffer], steps: &[Step], inputs: &[BufferId], outputs: &[BufferId]) -> usize {
    let mut last_read = vec![0; buffers.len()];
    for (at, step) in steps.iter().enumerate() {
        last_read[step.write] = last_read[step.write].max(at);
        step.reads.iter().for_each(|&id| last_read[id] = at);
    }
    outputs.iter().for_each(|&id| last_read[id] = steps.len());
    let mut slots: Vec<Slot> = Vec::new();
    let written = steps.iter().enumerate().map(|(at, step)| (step.write, Some(at)));
    for (id, written_at) in inputs.iter().map(|&id| (id, None)).chain(written) {
        let length = buffers[id].len();
        let Role::Activation { slot } = &mut buffers[id].role else { continue };
        let free = (0..slots.len()).filter(|&at| written_at.is_some_and(|step| slots[at].busy_until < step));
        let misfit = |&at: &usize| (slots[at].length < length, slots[at].length.abs_diff(length));
        *slot = free.min_by_key(misfit).unwrap_or_else(|| {
            slots.push(Slot { busy_until: 0, length: 0 });
            slots.len() - 1
        });
        let Slot { busy_until, length: longest } = &mut slots[*slot];
        (*busy_until, *longest) = (last_read[id], length.max(*longest));
    }
    slots.len()
}

#[cfg(test)]
mod tests {
    use crate::{
        network::{Folded, Weights},
        plan::{Keep, Plan},
    };

    #[test]
    fn a_chain_of_steps_needs_two_slots() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        let plan = Plan::new(&folded, 3, 1000, Keep::Results).unwrap();
        assert_eq!(plan.slots, 2);
        let all = Plan::new(&folded, 3, 1000, Keep::Stages).unwrap();
        assert_eq!(all.slots, all.steps.len(), "one slot per stage; the second stage uses that of the input");
        assert!(plan.activation_bytes() < all.activation_bytes() / 2);
    }

    #[test]
    fn no_step_writes_into_memory_that_is_still_needed() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        let plan = Plan::new(&folded, 1, 250, Keep::Results).unwrap();
        for (at, step) in plan.steps.iter().enumerate() {
            let needed =
                |id: &usize| plan.outputs.contains(id) || plan.steps[at..].iter().any(|later| later.reads.contains(id));
            let written: Vec<usize> =
                plan.steps[..at].iter().map(|earlier| earlier.write).chain(plan.inputs.clone()).collect();
            for id in written.iter().filter(|id| needed(id)) {
                assert_ne!(plan.buffers[*id].slot(), plan.buffers[step.write].slot(), "step {}", step.name);
            }
        }
    }
}
