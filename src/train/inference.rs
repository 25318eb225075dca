//! The logits of whole records during a run, from the inference engine on the training device, with batch norm folded,
//! exactly as users will run the network.

use super::Examples;
use crate::{
    Result,
    backend::Backend,
    network::{Folded, Network, Parameters},
    plan::{Keep, LOGITS, Plan},
};

/// The largest batch; devices with little memory use a smaller one.
const LARGEST_BATCH: usize = 64;

/// Computes the logits of some records, `[records, classes]`.
///
/// # Errors
/// The network does not fit the records, or the device fails.
pub(super) fn logits(
    backend: &dyn Backend,
    network: &Network,
    parameters: &Parameters,
    examples: &dyn Examples,
    records: &[usize],
) -> Result<Vec<f32>> {
    let folded = Folded::new(network, parameters)?;
    let samples = examples.samples();
    let largest = backend.largest_batch(&Plan::new(&folded, 1, samples, Keep::Results)?)?;
    let batch = LARGEST_BATCH.min(largest).min(records.len()).max(1);
    let mut executor = backend.prepare(&Plan::new(&folded, batch, samples, Keep::Results)?)?;
    let length = examples.leads() * samples;
    let (mut input, mut outputs, mut logits) = (vec![0.0; batch * length], Vec::new(), Vec::new());
    for records in records.chunks(batch) {
        for (&record, into) in records.iter().zip(input.chunks_mut(length)) {
            examples.record(record, into);
        }
        executor.run(&input, &mut outputs)?;
        logits.extend_from_slice(&outputs[LOGITS][..records.len() * network.classes()]);
    }
    Ok(logits)
}
