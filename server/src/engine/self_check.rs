//! The check that a device computes what the float64 reference computes, on the built-in synthetic sample.

use ecgpu::{
    Classifier, Error, ErrorKind, Result, Weights,
    ecg::{Condition, synthesize},
    engine::{
        backend::reference::Reference,
        verify::{LARGEST_LOGIT_ERROR, LARGEST_LOGIT_ERROR_F16},
    },
};

/// A record and the reference's logits of it.
pub struct SelfCheck {
    /// The network's input, `[leads, samples]`, of the length that the network was trained on.
    input: Vec<f32>,
    samples: usize,
    expected: Vec<f32>,
}

impl SelfCheck {
    /// Computes the logits of the built-in sample in float64.
    ///
    /// # Errors
    /// The weights cannot run.
    pub fn new(weights: Weights) -> Result<Self> {
        let contract = &weights.contract;
        // Of the usual length, so that what is prepared here serves the usual request.
        let seconds = contract.duration().max(2.0);
        let recording = synthesize(Condition::Norm, 1, contract.sampling_rate, seconds)?;
        let reference = Classifier::on(weights, Box::new(Reference))?;
        let input = reference.prepare(&recording)?.input;
        let samples = input.len() / reference.contract().leads.len();
        let expected = reference.run(&input, 1, samples)?.logits;
        Ok(Self { input, samples, expected })
    }

    /// Runs the sample in one batch of `batch` and compares every logit with the reference.
    ///
    /// # Errors
    /// The device fails, or a logit differs by more than rounding explains.
    pub fn run(&self, classifier: &Classifier, batch: usize) -> Result<()> {
        let output = classifier.run(&self.input.repeat(batch), batch, self.samples)?;
        let largest =
            self.expected.iter().fold(f64::MIN_POSITIVE, |largest, &logit| largest.max(f64::from(logit).abs()));
        let bound = if classifier.device().storage.is_half() { LARGEST_LOGIT_ERROR_F16 } else { LARGEST_LOGIT_ERROR };
        // A NaN does not agree with anything.
        let agrees = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs() <= bound * largest;
        let expected = self.expected.iter().cycle();
        let whole = output.logits.len() == batch * self.expected.len();
        if whole && output.logits.iter().zip(expected).all(agrees) {
            return Ok(());
        }
        let cause = format!("{} computes other logits than the reference", classifier.device());
        Err(Error::new(ErrorKind::Parity, cause, "compare the device with `ecgpu verify`"))
    }

    /// Runs every batch size that requests will have, which prepares the device for them, and checks the results.
    ///
    /// # Errors
    /// As for [`SelfCheck::run`].
    pub fn warm_up(&self, classifier: &Classifier, largest_batch: usize) -> Result<()> {
        let sizes = (0..).map(|power| 1 << power).take_while(|&size| size <= largest_batch);
        sizes.into_iter().try_for_each(|size| self.run(classifier, size))
    }
}
