//! Checks whether the records of a batch influence each other.

use ecgpu::engine::{
    backend::Backend,
    network::Folded,
    plan::{Keep, Plan},
};

use crate::{followed_by_max_pool, one_convolution};

/// Runs a batch of three records, the first and the third multiplied by `scale`. Returns the outputs of each record.
pub fn outputs(backend: &dyn Backend, folded: &Folded, samples: usize, scale: f32) -> [Vec<f32>; 3] {
    let plan = Plan::new(folded, 3, samples, Keep::Results).unwrap();
    let record = plan.buffers[plan.input()].len() / 3;
    let scale_of = |i: usize| if i / record == 1 { 1.0 } else { scale };
    let input: Vec<f32> = (0..3 * record).map(|i| scale_of(i) * ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let mut outputs = Vec::new();
    backend.prepare(&plan).unwrap().run(&input, &mut outputs).unwrap();
    let record = |at: usize| outputs.iter().flat_map(move |output| output.chunks(output.len() / 3).nth(at).unwrap());
    [0, 1, 2].map(|at| record(at).copied().collect())
}

/// Returns the outputs of the second of three records, whose neighbours are multiplied by `scale`.
pub fn second_output(backend: &dyn Backend, folded: &Folded, samples: usize, scale: f32) -> Vec<f32> {
    let [_, second, _] = outputs(backend, folded, samples, scale);
    second
}

/// Says whether a record's bits depend on its neighbours. Without padding no zeros separate one row from the next.
pub fn depend_on_each_other(backend: &dyn Backend) -> bool {
    let sizes = [(7, 3, 1, 0, 16), (7, 5, 1, 0, 32), (3, 7, 2, 0, 40), (12, 5, 2, 2, 125)];
    sizes.into_iter().any(|(channels, kernel, stride, padding, samples)| {
        let folded = one_convolution([channels, 31], kernel, stride, padding, false);
        [folded.clone(), followed_by_max_pool(folded)]
            .iter()
            .any(|folded| second_output(backend, folded, samples, 0.0) != second_output(backend, folded, samples, 1e9))
    })
}
