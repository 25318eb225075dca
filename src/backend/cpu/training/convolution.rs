//! Convolutions and linear layers with weights that change from step to step: they are packed anew each time, which for
//! 64 records takes a hundredth of the step.

use super::{
    Context, Operation,
    places::{Places, Spot, Spread},
};
use crate::{
    backend::cpu::{
        choice::Cut,
        conv1d::Conv,
        instructions::Kernels,
        memory::Area,
        packing::{Packing, pack_panel},
        tile::{DirectTile, Finish, Target},
    },
    kernels::Linear,
    plan::Step,
};

/// Weights and bias, and where they are packed.
struct Constants {
    weight: Spot,
    bias: Spot,
    packing: Packing,
    packed: Area,
    /// The bias with zeros up to whole panels.
    padded: Area,
}

impl Constants {
    fn new(places: &Places, step: &Step, packing: Packing) -> Self {
        Self {
            weight: places.spot(step.reads[1]),
            bias: places.spot(step.reads[2]),
            packed: Area::new(packing.panels * packing.panel_len()),
            padded: Area::new(packing.panels * packing.panel),
            packing,
        }
    }

    /// Packs a panel; the first brings the bias.
    ///
    /// # Safety
    /// As of [`Operation::run`].
    unsafe fn pack(&self, panel: usize, context: &Context) {
        let len = self.packing.panel_len();
        // SAFETY: each item has its own panel, and the bias is the first one's.
        unsafe {
            if panel == 0 {
                self.padded.write(0..self.bias.len).copy_from_slice(self.bias.read(context.memory));
            }
            let to = self.packed.place(panel * len, 1, 0, len);
            pack_panel(&self.packing, panel, self.weight.read(context.memory), to, context.kernels);
        }
    }

    /// # Safety
    /// Everything is packed.
    unsafe fn get(&self) -> [&[f32]; 2] {
        // SAFETY: as the caller vouches.
        unsafe { [self.packed.read(0..self.packed.len()), self.padded.read(0..self.padded.len())] }
    }
}

struct Convolution {
    conv: Conv,
    cut: Cut,
    constants: Constants,
    x: Spread,
    y: Spread,
}

pub(super) fn convolution(places: &Places, at: usize, step: &Step) -> Box<dyn Operation> {
    let conv = places.convolution(at).clone();
    Box::new(Convolution {
        cut: conv.cut(1),
        constants: Constants::new(places, step, conv.packing()),
        x: places.rows(step.reads[0]),
        y: places.rows(step.write),
        conv,
    })
}

impl Operation for Convolution {
    fn phases(&self) -> Vec<usize> {
        vec![self.constants.packing.panels, self.x.records]
    }

    fn scratch(&self) -> usize {
        self.conv.evaluated(self.cut)
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item of the second phase has a record of its own, and the first phase is done by then.
        unsafe {
            if phase == 0 {
                return self.constants.pack(item, context);
            }
            let memory = [self.x.area(context.memory, item), context.scratch, self.y.area(context.memory, item)];
            for piece in 0..self.cut.items() {
                self.conv.run(context.kernels, self.cut, piece, self.constants.get(), memory);
            }
        }
    }
}

/// One matrix product.
struct Product {
    constants: Constants,
    x: Spread,
    y: Spread,
    depth: usize,
}

pub(super) fn linear(places: &Places, step: &Step, linear: &Linear, kernels: &Kernels) -> Box<dyn Operation> {
    let (x, y) = (places.rows(step.reads[0]), places.rows(step.write));
    let packing = Packing {
        shape: [linear.out_features, linear.in_features, 1],
        stride: 1,
        width: linear.in_features,
        panel: kernels.panel,
        panels: linear.out_features.div_ceil(kernels.panel),
        filter: None,
    };
    Box::new(Product { constants: Constants::new(places, step, packing), x, y, depth: linear.in_features })
}

impl Operation for Product {
    fn phases(&self) -> Vec<usize> {
        vec![self.constants.packing.panels; 2]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item has a panel of its own, and the first phase is done by the second.
        unsafe {
            if phase == 0 {
                return self.constants.pack(item, context);
            }
            let [weight, bias] = self.constants.get();
            let (panel, rows) = (context.kernels.panel, self.x.rows.samples);
            let (x, y) = (self.x.area(context.memory, 0), self.y.area(context.memory, 0));
            for first in (0..rows).step_by(context.kernels.rows) {
                let count = context.kernels.rows.min(rows - first);
                let start = y.place(self.y.rows.at(first as isize) + item * panel, count, self.y.rows.width, panel);
                let tile = DirectTile {
                    rows: count,
                    depth: self.depth,
                    x: x.read(self.x.rows.at(first as isize)..x.len()),
                    row: self.x.rows.width,
                    weight: &weight[item * self.depth * panel..][..self.depth * panel],
                    finish: Finish { bias: &bias[item * panel..][..panel], relu: false },
                    y: Target { start, row: self.y.rows.width },
                };
                (context.kernels.direct)(&tile);
            }
        }
    }
}
