//! The plan whose outputs are the gradients of logits with respect to the input and to the last convolution.

use crate::{
    Error, ErrorKind, Result,
    backend::Backend,
    kernels::{
        GlobalAveragePool, Kernel, MaxPool,
        training::{GlobalAveragePoolGradient, MaxPoolGradient, ReluGradient},
    },
    network::Folded,
    plan::{self, BufferId, Builder, Plan, conv1d_input_gradient, linear_input_gradient},
};

/// Makes the plan of a forward and a backward pass of a folded network, for [`Backend::prepare_training`].
///
/// Inputs: the records x `[batch, leads, samples]`, and the gradient with respect to the logits `[batch, classes, 1]`: 1 at
/// the class whose logit is differentiated, else 0.
///
/// Outputs: the logits `[batch, classes, 1]`; the gradient with respect to x, with its shape; the output of the last
/// convolution, after its ReLU, `[batch, channels, positions]`; the gradient with respect to that output, with its shape.
///
/// The network is the folded one, so the gradients are those of the network as it classifies: batch norm uses its running
/// statistics.
///
/// # Errors
/// A batch or a length of zero, a network without a convolution, or sizes beyond what can be counted.
pub fn gradient_plan(folded: &Folded, batch: usize, samples: usize) -> Result<Plan> {
    if batch == 0 {
        return Err(Error::new(ErrorKind::Shape, "a batch of zero records", "give at least one record"));
    }
    let mut builder = Builder::default();
    let x = builder.input("input", [batch, folded.network.in_channels(), samples])?;
    let dy = builder.input("logits.gradient", [batch, folded.network.classes(), 1])?;
    let logits = plan::forward(&mut builder, folded, x)?;
    let Gradients { dx, convolution, dy } = backward(&mut builder, dy)?;
    Ok(builder.finish(vec![logits, dx, convolution, dy]))
}

/// The buffers that a backward pass leaves.
struct Gradients {
    /// The gradient with respect to the input.
    dx: BufferId,
    /// The output of the last convolution.
    convolution: BufferId,
    /// The gradient with respect to that output.
    dy: BufferId,
}

/// Adds the backward pass of all steps so far, from dy, the gradient with respect to the output of the last.
fn backward(builder: &mut Builder, mut dy: BufferId) -> Result<Gradients> {
    let mut last_convolution = None;
    for step in builder.steps().to_vec().iter().rev() {
        let [name, x] = [&step.name, &format!("{}.gradient", step.name)];
        match &step.kernel {
            Kernel::Conv1d(conv) => {
                last_convolution = last_convolution.or(Some((step.write, dy)));
                if conv.relu {
                    // The output is positive where the input of the ReLU was.
                    let shape @ [batch, channels, samples] = builder.shape(step.write);
                    let kernel = ReluGradient { rows: batch * channels, samples };
                    dy = builder.step(x, kernel, &[step.write, dy], shape)?;
                }
                dy = conv1d_input_gradient(builder, name, conv, step.reads[1], dy)?;
            }
            Kernel::MaxPool(MaxPool { batch, channels, in_samples, out_samples, kernel, stride }) => {
                let [batch, channels, in_samples, out_samples, kernel, stride] =
                    [*batch, *channels, *in_samples, *out_samples, *kernel, *stride];
                let kernel = MaxPoolGradient { batch, channels, in_samples, out_samples, kernel, stride };
                dy = builder.step(x, kernel, &[step.reads[0], dy], [batch, channels, in_samples])?;
            }
            &Kernel::GlobalAveragePool(GlobalAveragePool { batch, channels, samples }) => {
                let kernel = GlobalAveragePoolGradient { rows: batch * channels, samples };
                dy = builder.step(x, kernel, &[dy], [batch, channels, samples])?;
            }
            Kernel::Linear(linear) => dy = linear_input_gradient(builder, name, linear, step.reads[1], dy)?,
            _ => unreachable!("a forward pass has no other operations"),
        }
    }
    let none = || Error::new(ErrorKind::Shape, "a network without a convolution", "explain a convolutional network");
    let (convolution, of_convolution) = last_convolution.ok_or_else(none)?;
    Ok(Gradients { dx: dy, convolution, dy: of_convolution })
}

/// What one run of a [`gradient_plan`] computes, one record per class.
pub(super) struct ClassGradients {
    /// `[classes, leads, samples]`.
    pub(super) input: Vec<f32>,
    /// `[classes, channels, positions]`; equal for all classes.
    pub(super) activations: Vec<f32>,
    /// `[classes, channels, positions]`.
    pub(super) activation_gradients: Vec<f32>,
    /// The positions of the last convolution's output.
    pub(super) positions: usize,
}

impl ClassGradients {
    /// Computes the gradients of the logits of some classes for one record `[leads, samples]`, all in one batch.
    ///
    /// # Errors
    /// The device fails, or does not train.
    pub(super) fn new(backend: &dyn Backend, folded: &Folded, record: &[f32], of: &[usize]) -> Result<Self> {
        let samples = record.len() / folded.network.in_channels();
        let plan = gradient_plan(folded, of.len(), samples)?;
        let mut seeds = vec![0.0; of.len() * folded.network.classes()];
        for (row, &class) in seeds.chunks_mut(folded.network.classes()).zip(of) {
            row[class] = 1.0;
        }
        let mut outputs = Vec::new();
        backend.prepare_training(&plan)?.run(&[&record.repeat(of.len()), &seeds], &mut outputs)?;
        let [_, input, activations, activation_gradients] =
            outputs.try_into().unwrap_or_else(|_| unreachable!("the plan has four outputs"));
        let [_, _, positions] = plan.buffers[plan.outputs[2]].shape;
        Ok(Self { input, activations, activation_gradients, positions })
    }
}
