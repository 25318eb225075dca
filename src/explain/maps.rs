//! The three methods: gradient × input, occlusion, and Grad-CAM.

use std::{fmt, str::FromStr};

use super::{Signal, gradient_plan::ClassGradients, runner::Runner};
use crate::{
    Error, ErrorKind, Result,
    network::{Folded, FoldedOperation},
};

/// A method of attributing a logit to parts of the input. `docs/explanations.md` has the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The gradient of the logit with respect to each sample, times the sample (Shrikumar et al. 2016, arXiv 1605.01713).
    Gradient,
    /// How much the logit falls when a window of a lead is replaced by a straight line (Zeiler and Fergus 2014, doi
    /// 10.1007/978-3-319-10590-1_53).
    Occlusion,
    /// The weighted activations of the last convolution (Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74), for all leads
    /// together.
    GradCam,
}

impl Method {
    /// All methods, in the order in which they are shown.
    pub const ALL: [Method; 3] = [Method::Gradient, Method::Occlusion, Method::GradCam];

    /// Returns the name for an option and for JSON: `gradient`, `occlusion` or `grad-cam`.
    pub fn key(self) -> &'static str {
        match self {
            Method::Gradient => "gradient",
            Method::Occlusion => "occlusion",
            Method::GradCam => "grad-cam",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Gradient => "gradient × input",
            Method::Occlusion => "occlusion",
            Method::GradCam => "Grad-CAM",
        })
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Method::ALL.into_iter().find(|method| method.key() == text);
        let unknown =
            || Error::new(ErrorKind::Usage, format!("method '{text}'"), "use gradient, occlusion or grad-cam");
        known.ok_or_else(unknown)
    }
}

/// The attribution of one class's logit to the parts of the input.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Map {
    /// The method.
    pub method: Method,
    /// The attributions `[rows, columns]`: one row per lead, or one for all leads with Grad-CAM; one column per window of
    /// [`Map::window`] samples. A positive number supports the class. In logits, with Grad-CAM without unit.
    pub values: Vec<f64>,
    /// The rows.
    pub rows: usize,
    /// The samples of a column: 1 except with occlusion.
    pub window: usize,
    /// The attribution of each lead as a whole, in logits, `[leads]`; none with Grad-CAM. With occlusion it is the fall of the
    /// logit when all of the lead is replaced.
    pub leads: Vec<f64>,
    /// The attribution of each window of the record, all leads together. With occlusion it is the fall of the logit when the
    /// window is replaced in all leads; with Grad-CAM the mean.
    pub bands: Vec<f64>,
    /// With Grad-CAM, the values before its ReLU.
    unclipped: Option<Vec<f64>>,
}

impl Map {
    /// Returns the values, with Grad-CAM those before its ReLU. The maps of many random networks are negative everywhere: after
    /// the ReLU they would be equal to no other.
    pub(super) fn before_relu(&self) -> &[f64] {
        self.unclipped.as_ref().unwrap_or(&self.values)
    }

    /// Returns row `row`.
    pub fn row(&self, row: usize) -> &[f64] {
        let columns = self.values.len() / self.rows;
        &self.values[row * columns..][..columns]
    }

    /// Returns the attribution of each window, row by row.
    pub(super) fn in_windows(&self, signal: &Signal) -> Vec<f64> {
        if self.window == 1 { signal.windows.sums(&self.values) } else { self.values.clone() }
    }
}

/// Computes the maps of some classes for a signal, `[classes][methods]`: all gradients in one batch, and all occlusions for all
/// classes at once.
///
/// With `parts`, occlusion also replaces whole leads, and windows of all leads.
///
/// # Errors
/// The device fails, or does not train.
pub(super) fn maps(
    runner: &mut Runner,
    signal: &Signal,
    classes: &[usize],
    methods: &[Method],
    parts: bool,
) -> Result<Vec<Vec<Map>>> {
    let mut gradients = None;
    if methods.iter().any(|method| *method != Method::Occlusion) {
        gradients = Some(ClassGradients::new(runner.backend, &runner.folded, &signal.values, classes)?);
    }
    let mut occlusions = None;
    if methods.contains(&Method::Occlusion) {
        occlusions = Some(Occlusions::new(runner, signal, parts)?);
    }
    let map = |at: usize, method: Method| match (method, &gradients, &occlusions) {
        (Method::Gradient, Some(gradients), _) => gradient(signal, gradients, at),
        (Method::GradCam, Some(gradients), _) => grad_cam(signal, gradients, at, &runner.folded),
        (Method::Occlusion, _, Some(occlusions)) => occlusions.map(signal, classes[at]),
        _ => unreachable!("what each method needs was computed"),
    };
    Ok((0..classes.len()).map(|at| methods.iter().map(|&method| map(at, method)).collect()).collect())
}

/// Returns the sums of rows of equal length, one per row.
fn sums_of_rows(values: &[f64], length: usize) -> Vec<f64> {
    values.chunks(length).map(|row| row.iter().sum()).collect()
}

/// Gradient × input of record `at` of the gradients.
fn gradient(signal: &Signal, gradients: &ClassGradients, at: usize) -> Map {
    let (len, samples) = (signal.values.len(), signal.windows.samples);
    let of_record = &gradients.input[at * len..][..len];
    let values: Vec<f64> =
        of_record.iter().zip(&signal.values).map(|(gradient, x)| f64::from(*gradient) * f64::from(*x)).collect();
    let leads = sums_of_rows(&values, samples);
    let mut bands = vec![0.0; signal.windows.count()];
    for (at, sum) in signal.windows.sums(&values).into_iter().enumerate() {
        bands[at % signal.windows.count()] += sum;
    }
    Map { method: Method::Gradient, rows: signal.leads, window: 1, values, leads, bands, unclipped: None }
}

/// The logits of all occluded copies of a signal.
struct Occlusions {
    classes: usize,
    /// `[copies, classes]`: the signal itself, each window of each lead, and with parts each lead and each window of all leads.
    logits: Vec<f32>,
}

impl Occlusions {
    fn new(runner: &mut Runner, signal: &Signal, parts: bool) -> Result<Self> {
        let (leads, windows) = (signal.leads, signal.windows.count());
        let [cells, whole_leads] = [1 + leads * windows, 1 + leads * windows + leads];
        let count = if parts { whole_leads + windows } else { cells };
        let logits = runner.logits(signal, count, &|copy, to| match copy {
            0 => signal.replaced(|_, _| false, to),
            _ if copy < cells => signal.replaced(|lead, window| lead * windows + window == copy - 1, to),
            _ if copy < whole_leads => signal.replaced(|lead, _| lead == copy - cells, to),
            _ => signal.replaced(|_, window| window == copy - whole_leads, to),
        })?;
        Ok(Self { classes: runner.folded.network.classes(), logits })
    }

    /// The map of a class: by how much its logit falls.
    fn map(&self, signal: &Signal, class: usize) -> Map {
        let logits: Vec<f64> = self.logits.chunks(self.classes).map(|of_copy| f64::from(of_copy[class])).collect();
        let mut falls = logits[1..].iter().map(|logit| logits[0] - logit);
        let mut take = |count: usize| falls.by_ref().take(count).collect();
        let windows = signal.windows.count();
        Map {
            method: Method::Occlusion,
            rows: signal.leads,
            window: signal.windows.length,
            values: take(signal.leads * windows),
            leads: take(signal.leads),
            bands: take(windows),
            unclipped: None,
        }
    }
}

/// Grad-CAM of record `at` of the gradients: ReLU(Σ αₖ·Aₖ), where Aₖ is channel k of the last convolution's output, and αₖ the
/// mean of the gradient with respect to it. Between the positions of the output it is interpolated linearly.
fn grad_cam(signal: &Signal, gradients: &ClassGradients, at: usize, folded: &Folded) -> Map {
    let positions = gradients.positions;
    let mut map = vec![0.0; positions];
    let of_record = |values: &[f32]| {
        let len = gradients.activations.len() / (gradients.input.len() / signal.values.len());
        values[at * len..][..len].to_vec()
    };
    let [activations, gradients] = [&gradients.activations, &gradients.activation_gradients].map(|it| of_record(it));
    for (activation, gradient) in activations.chunks(positions).zip(gradients.chunks(positions)) {
        let weight = gradient.iter().map(|&value| f64::from(value)).sum::<f64>() / positions as f64;
        map.iter_mut().zip(activation).for_each(|(sum, &value)| *sum += weight * f64::from(value));
    }
    let [first, spacing] = centres(folded);
    let interpolated = |sample: usize, at: &dyn Fn(usize) -> f64| {
        let position = ((sample as f64 - first) / spacing).clamp(0.0, (positions - 1) as f64);
        let (before, share) = (position as usize, position.fract());
        at(before) * (1.0 - share) + at((before + 1).min(positions - 1)) * share
    };
    let samples = 0..signal.windows.samples;
    let values: Vec<f64> = samples.clone().map(|sample| interpolated(sample, &|at| map[at].max(0.0))).collect();
    let unclipped = Some(samples.map(|sample| interpolated(sample, &|at| map[at])).collect());
    let sums = signal.windows.sums(&values);
    let means = sums.iter().zip(values.chunks(signal.windows.length)).map(|(sum, window)| sum / window.len() as f64);
    let bands = means.collect();
    Map { method: Method::GradCam, rows: 1, window: 1, values, leads: Vec::new(), bands, unclipped }
}

/// Returns the sample that the first position of the last convolution's output is centred on, and the samples from one position
/// to the next.
fn centres(folded: &Folded) -> [f64; 2] {
    let last = folded.layers.iter().rposition(|layer| matches!(layer.operation, FoldedOperation::Conv1d { .. }));
    let (mut first, mut spacing) = (0.0, 1.0);
    for layer in folded.layers.iter().take(last.map_or(0, |last| last + 1)) {
        let (kernel, stride, padding) = match layer.operation {
            FoldedOperation::Conv1d { kernel, stride, padding, .. } => (kernel, stride, padding),
            FoldedOperation::MaxPool { kernel, stride } => (kernel, stride, 0),
            _ => continue,
        };
        first += spacing * ((kernel as f64 - 1.0) / 2.0 - padding as f64);
        spacing *= stride as f64;
    }
    [first, spacing]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Weights, published};

    #[test]
    fn positions_of_the_last_convolution_are_centred_where_its_kernels_are() {
        let centres = |network| {
            let weights = Weights::random(network, 1);
            centres(&Folded::new(&weights.network, weights.parameters).unwrap())
        };
        assert_eq!(centres(published::training_code_542k()), [0.0, 8.0]);
        // Two max pools of two: 0.5 samples and 0.5 positions of two samples.
        assert_eq!(centres(published::model_card_55k()), [1.5, 4.0]);
    }
}
