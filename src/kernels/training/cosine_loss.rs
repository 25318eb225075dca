//! BYOL's loss (Grill et al. 2020): each prediction must have the direction of the target network's projection of the other
//! view. The target has no gradient.
//!
//! The loss of p and t is 2 − 2·cos(p, t), and its gradient with respect to p is −2·(t̂ − p̂·cos(p, t))/‖p‖.

use super::{
    first,
    l2_normalise::{SMALLEST_NORM, dot, norm},
    shader,
};
use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

/// Computes the loss of each row: of p's row i and t's row i + N mod 2N, the other view.
///
/// Reads p and t `[rows, features]`, 2N rows; writes `[rows]`. The loss of a batch is the sum over rows divided by N.
#[derive(Debug, Clone, PartialEq)]
pub struct CosineLoss {
    /// Rows, two per record.
    pub rows: usize,
    /// Numbers per row.
    pub features: usize,
}

impl CosineLoss {
    /// Mirror of `struct CosineLoss` and `struct CosineLossGradient` in the shaders.
    fn parameters(&self, layouts: &[RowLayout]) -> [usize; 9] {
        let [p, t, y] = layouts else { unreachable!("the plan gives a cosine loss two reads") };
        [self.rows, self.features, first(*p), p.pitch, first(*t), t.pitch, y.base_offset, y.pitch, y.offset]
    }

    /// Returns a row of p and the target's row of the other view.
    fn pair<'a>(&self, row: usize, p: &'a [f64], t: &'a [f64]) -> [&'a [f64]; 2] {
        let other = (row + self.rows / 2) % self.rows;
        [&p[row * self.features..][..self.features], &t[other * self.features..][..self.features]]
    }
}

impl CosineLoss {
    /// The buffer of p, t or dp.
    fn features(&self) -> Extent {
        Extent::Activation([self.rows, self.features, 1])
    }
}

impl Operation for CosineLoss {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([self.features(); 2], Extent::Numbers(self.rows)))
    }

    fn describe(&self) -> String {
        "cosine loss".into()
    }

    fn floating_point_operations(&self) -> u64 {
        6 * self.rows as u64 * self.features as u64
    }

    fn reference(&self, reads: &[&[f64]], losses: &mut [f64]) {
        let [p, t] = reads else { unreachable!("the plan gives a cosine loss two reads") };
        for (i, loss) in losses.iter_mut().enumerate() {
            let [p, t] = self.pair(i, p, t);
            *loss = 2.0 - 2.0 * dot(p, t) / (norm(p) * norm(t));
        }
    }
}

impl GpuOperation for CosineLoss {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let shader = shader!("cosine_loss", [("SMALLEST_NORM", SMALLEST_NORM)]);
        vec![Variant::plain(shader, self.parameters(layouts), [self.rows, 1, 1])]
    }
}

/// Computes the gradient of the batch's loss with respect to p.
///
/// Reads p and t; writes dp, all `[rows, features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CosineLossGradient(pub CosineLoss);

impl Operation for CosineLossGradient {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([self.0.features(); 2], self.0.features()))
    }

    fn describe(&self) -> String {
        "cosine loss gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        11 * self.0.rows as u64 * self.0.features as u64
    }

    fn reference(&self, reads: &[&[f64]], dp: &mut [f64]) {
        let [p, t] = reads else { unreachable!("the plan gives a cosine loss's gradient two reads") };
        let CosineLoss { rows, features } = self.0;
        for i in 0..rows {
            let [p, t] = self.0.pair(i, p, t);
            let (p_norm, t_norm) = (norm(p), norm(t));
            let cosine = dot(p, t) / (p_norm * t_norm);
            for d in 0..features {
                let slope = (t[d] / t_norm - p[d] / p_norm * cosine) / p_norm;
                dp[i * features + d] = -2.0 * slope / (rows / 2) as f64;
            }
        }
    }
}

impl GpuOperation for CosineLossGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let shader = shader!("cosine_loss_gradient", [("SMALLEST_NORM", SMALLEST_NORM)]);
        vec![Variant::plain(shader, self.0.parameters(layouts), [self.0.rows, 1, 1])]
    }
}
