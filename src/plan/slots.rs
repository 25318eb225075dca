//! Which activations can share memory: the first free slot goes to each in turn, as in linear-scan register allocation.

use super::{Buffer, BufferId, Step};

/// Gives every activation a slot and returns how many there are. An output keeps its slot to the end.
pub(super) fn assign(buffers: &mut [Buffer], steps: &[Step], outputs: &[BufferId]) -> usize {
    let last_read = |id: BufferId| {
        let end = outputs.contains(&id).then_some(steps.len());
        end.or_else(|| steps.iter().rposition(|step| step.reads.contains(&id))).unwrap_or(steps.len())
    };
    // The step after which each slot is free again.
    let mut busy_until: Vec<usize> = Vec::new();
    let input = buffers.iter().position(|buffer| buffer.constant.is_none());
    let activations =
        input.into_iter().map(|id| (id, None)).chain(steps.iter().enumerate().map(|(at, step)| (step.write, Some(at))));
    for (id, written_at) in activations {
        let free = |until: &usize| written_at.is_some_and(|at| *until < at);
        let slot = busy_until.iter().position(free).unwrap_or_else(|| {
            busy_until.push(0);
            busy_until.len() - 1
        });
        busy_until[slot] = last_read(id);
        buffers[id].slot = Some(slot);
    }
    busy_until.len()
}

#[cfg(test)]
mod tests {
    use crate::{
        network::{Folded, Weights},
        plan::{Keep, Plan},
    };

    #[test]
    fn a_chain_needs_two_slots() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        let plan = Plan::new(&folded, 3, 1000, Keep::Results).unwrap();
        assert_eq!(plan.slots, 2);
        let all = Plan::new(&folded, 3, 1000, Keep::Stages).unwrap();
        assert_eq!(all.slots, all.steps.len(), "a slot a stage; the second takes the input's");
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
                plan.steps[..at].iter().map(|earlier| earlier.write).chain([plan.input]).collect();
            for id in written.iter().filter(|id| needed(id)) {
                assert_ne!(plan.buffers[*id].slot, plan.buffers[step.write].slot, "step {}", step.name);
            }
        }
    }
}
