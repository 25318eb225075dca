//! A device that computes the operations of a forward pass in plain f32 loops, with the freedom that WGSL and Vulkan leave
//! to devices, and optionally with a fault in an index.

use std::time::Duration;

use ecgpu::{
    Error, ErrorKind, Result,
    engine::{
        backend::{Backend, DeviceInfo, Executor},
        kernels::{Kernel, Storage},
        plan::{Plan, Step},
        random::Random,
    },
};

/// The choices of a device where the languages leave one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arithmetic {
    /// Sums and products are rounded toward zero, not to the nearest number.
    pub toward_zero: bool,
    /// A product and its sum are rounded once, together.
    pub contracts: bool,
    /// Numbers below 2⁻¹²⁶ become zero.
    pub flushes: bool,
    /// The error of a division in units in the last place. WGSL allows 2.5.
    pub division: f64,
}

impl Arithmetic {
    /// Draws the choices of a device.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let mut either = || random.below(2) == 1;
        let (toward_zero, contracts, flushes) = (either(), either(), either());
        Self { toward_zero, contracts, flushes, division: random.between(-2.5, 2.5) }
    }

    /// Rounds an exact number.
    fn round(self, exact: f64) -> f32 {
        let nearest = exact as f32;
        let away = f64::from(nearest).abs() > exact.abs();
        let rounded = if self.toward_zero && away { f32::from_bits(nearest.to_bits() - 1) } else { nearest };
        if self.flushes && rounded.abs() < f32::MIN_POSITIVE { 0.0 } else { rounded }
    }

    fn add(self, a: f32, b: f32) -> f32 {
        self.round(f64::from(a) + f64::from(b))
    }

    /// Adds a product. That of two f32 is exact in f64.
    fn add_product(self, sum: f32, a: f32, b: f32) -> f32 {
        let product = f64::from(a) * f64::from(b);
        match self.contracts {
            true => self.round(f64::from(sum) + product),
            false => self.add(sum, self.round(product)),
        }
    }

    fn divide(self, a: f32, b: f32) -> f32 {
        let exact = f64::from(a) / f64::from(b);
        // The unit in the last place of the largest number with this exponent.
        let unit = f64::from(f32::from_bits((exact as f32).to_bits() & 0x7f80_0000)) * f64::from(f32::EPSILON);
        self.round(exact + self.division * unit)
    }
}

/// An index that is wrong, or a term that is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    TapOffByOne,
    LastTapLeftOut,
    LastChannelLeftOut,
    ChannelsSwapped,
    OutputsSwapped,
    BiasLeftOut,
    ReluLeftOut,
    StrideOfOne,
    FirstOfEachWindow,
    WindowOffByOne,
    MeanOfOneMore,
    LastSampleLeftOut,
    FeaturesSwapped,
    LastFeatureLeftOut,
    RecordOfNeighbour,
}

/// Every fault.
pub const FAULTS: [Fault; 15] = [
    Fault::TapOffByOne,
    Fault::LastTapLeftOut,
    Fault::LastChannelLeftOut,
    Fault::ChannelsSwapped,
    Fault::OutputsSwapped,
    Fault::BiasLeftOut,
    Fault::ReluLeftOut,
    Fault::StrideOfOne,
    Fault::FirstOfEachWindow,
    Fault::WindowOffByOne,
    Fault::MeanOfOneMore,
    Fault::LastSampleLeftOut,
    Fault::FeaturesSwapped,
    Fault::LastFeatureLeftOut,
    Fault::RecordOfNeighbour,
];

/// The device.
#[derive(Debug, Clone, Copy)]
pub struct LegalDevice {
    pub arithmetic: Arithmetic,
    pub fault: Option<Fault>,
}

impl Backend for LegalDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo::new("legal device", "gpu", Storage::F32)
    }

    fn largest_batch(&self, _: &Plan) -> Result<usize> {
        Ok(1 << 10)
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        Ok(Box::new(Prepared { device: *self, plan: plan.clone() }))
    }
}

struct Prepared {
    device: LegalDevice,
    plan: Plan,
}

impl Executor for Prepared {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let contents = |buffer: &ecgpu::engine::plan::Buffer| buffer.constant().map_or_else(Vec::new, |it| it.to_vec());
        let mut buffers: Vec<Vec<f32>> = self.plan.buffers.iter().map(contents).collect();
        buffers[self.plan.input()] = input.to_vec();
        for step in &self.plan.steps {
            let shapes = [step.reads[0], step.write].map(|id| self.plan.buffers[id].shape);
            let reads: Vec<&[f32]> = step.reads.iter().map(|&id| &*buffers[id]).collect();
            buffers[step.write] = self.device.step(step, &reads, shapes);
        }
        *outputs = self.plan.outputs.iter().map(|&id| buffers[id].clone()).collect();
        Ok(())
    }

    fn device(&self) -> DeviceInfo {
        self.device.info()
    }

    fn profile(&mut self, _: &[f32]) -> Result<Vec<Duration>> {
        Err(Error::new(ErrorKind::Device, "this device has no clock", "profile another"))
    }
}

impl LegalDevice {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Computes a step from `[batch, channels, samples]` to another such shape.
    fn step(&self, step: &Step, reads: &[&[f32]], [x, y]: [[usize; 3]; 2]) -> Vec<f32> {
        let [batch, out_channels, out_samples] = y;
        let record = x[1] * x[2];
        let one = |b: usize| {
            let b = if self.has(Fault::RecordOfNeighbour) { (b + 1) % batch } else { b };
            let reads: Vec<&[f32]> =
                std::iter::once(&reads[0][b * record..][..record]).chain(reads[1..].to_vec()).collect();
            let outputs = (0..out_channels).flat_map(|o| (0..out_samples).map(move |t| (o, t)));
            outputs.map(|(o, t)| self.output(step, &reads, x, o, t)).collect::<Vec<f32>>()
        };
        (0..batch).flat_map(one).collect()
    }

    /// Computes an output of one record.
    fn output(&self, step: &Step, reads: &[&[f32]], [_, channels, samples]: [usize; 3], o: usize, t: usize) -> f32 {
        let sizes = step.kernel.operation().sizes();
        let size = |name: &str| sizes.iter().find(|(size, _)| *size == name).map_or(0, |(_, size)| *size);
        match &step.kernel {
            Kernel::Conv1d(conv) if conv.fused_max_pool => {
                let [first, second] =
                    [2 * t, 2 * t + 1].map(|t| self.convolution(step, reads, [channels, samples], o, t));
                if self.has(Fault::FirstOfEachWindow) { first } else { first.max(second) }
            }
            Kernel::Conv1d(_) => self.convolution(step, reads, [channels, samples], o, t),
            Kernel::MaxPool(_) => {
                let first = t * size("stride") + usize::from(self.has(Fault::WindowOffByOne));
                let kernel = if self.has(Fault::FirstOfEachWindow) { 1 } else { size("kernel") };
                let window = (first..first + kernel).map(|at| reads[0][o * samples + at.min(samples - 1)]);
                window.fold(f32::MIN, f32::max)
            }
            Kernel::GlobalAveragePool(_) => {
                let count = samples - usize::from(self.has(Fault::LastSampleLeftOut) && samples > 1);
                let row = &reads[0][o * samples..][..count];
                let sum = row.iter().fold(0.0, |sum, &x| self.arithmetic.add(sum, x));
                self.arithmetic.divide(sum, (samples + usize::from(self.has(Fault::MeanOfOneMore))) as f32)
            }
            Kernel::Linear(_) => {
                let features = channels * samples;
                let weights = &reads[1][o * features..][..features];
                let mut order: Vec<usize> = (0..features).collect();
                if self.has(Fault::FeaturesSwapped) && features > 1 {
                    order.swap(0, 1);
                }
                let used = features - usize::from(self.has(Fault::LastFeatureLeftOut));
                let terms = order.iter().zip(weights).take(used);
                terms.fold(reads[2][o], |sum, (&i, &w)| self.arithmetic.add_product(sum, w, reads[0][i]))
            }
            other => unreachable!("a forward pass has no {}", other.name()),
        }
    }

    /// Computes an output of a convolution, before a max pool that is fused with it.
    fn convolution(&self, step: &Step, reads: &[&[f32]], [channels, samples]: [usize; 2], o: usize, t: usize) -> f32 {
        let Kernel::Conv1d(conv) = &step.kernel else { unreachable!("the caller knows that it is one") };
        let [x, weight, bias] = reads else { unreachable!("the plan gives a convolution three reads") };
        let swapped = |at: usize, count: usize, fault| if self.has(fault) && count > 1 && at < 2 { 1 - at } else { at };
        let o = swapped(o, conv.out_channels, Fault::OutputsSwapped);
        let stride = if self.has(Fault::StrideOfOne) { 1 } else { conv.stride };
        let begin = t * stride + usize::from(self.has(Fault::TapOffByOne));
        let taps = conv.kernel - usize::from(self.has(Fault::LastTapLeftOut));
        let mut sum = if self.has(Fault::BiasLeftOut) { 0.0 } else { bias[o] };
        for c in 0..channels - usize::from(self.has(Fault::LastChannelLeftOut)) {
            let row = &x[swapped(c, channels, Fault::ChannelsSwapped) * samples..][..samples];
            let weights = &weight[(o * channels + c) * conv.kernel..][..taps];
            for (k, &w) in weights.iter().enumerate() {
                if let Some(&x) = (begin + k).checked_sub(conv.padding).and_then(|at| row.get(at)) {
                    sum = self.arithmetic.add_product(sum, w, x);
                }
            }
        }
        if conv.relu && !self.has(Fault::ReluLeftOut) { sum.max(0.0) } else { sum }
    }
}
