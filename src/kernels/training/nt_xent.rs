//! NT-Xent, SimCLR's loss (Chen et al. 2020): each embedding must be more similar to the other view of its record than to all
//! others.
//!
//! With s_ij = z_i·z_j/τ of rows of length 1, the loss of row i is ln Σ_{j≠i} e^{s_ij} − s_ip, where its positive p is
//! i + N mod 2N: rows 0..N are one view of N records, rows N..2N the other. With q_ij = e^{s_ij}/Σ_{k≠i} e^{s_ik} − [j = p],
//! the mean loss has dz_i = Σ_{j≠i} (q_ij + q_ji)·z_j / (2N·τ).

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{NO_CONSTANTS, WORKGROUP, by_rows, first, l2_normalise::dot, shader};

/// Computes `s[i, j] = z_i · z_j / temperature`.
///
/// Reads z `[rows, features]` of length 1; writes `[rows, rows]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Similarity {
    /// Rows, two per record.
    pub rows: usize,
    /// Numbers per row.
    pub features: usize,
    /// The temperature τ.
    pub temperature: f32,
}

impl Similarity {
    /// The buffer of the projections z.
    fn projections(&self) -> Extent {
        Extent::Activation([self.rows, self.features, 1])
    }
}

/// The buffer with a number for each pair of rows.
fn pairs(rows: usize) -> Extent {
    Extent::Activation([1, rows, rows])
}

impl Operation for Similarity {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([self.projections()], pairs(self.rows)))
    }

    fn describe(&self) -> String {
        "similarities".into()
    }

    fn floating_point_operations(&self) -> u64 {
        2 * self.rows as u64 * self.rows as u64 * self.features as u64
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], similarities: &mut [f64]) {
        by_rows(self, reads, similarities);
    }

    fn reference_row(&self, reads: &[&[f64]], i: usize, similarities: &mut [f64]) {
        let [z] = reads else { unreachable!("the plan gives similarities one read") };
        let z = |i: usize| &z[i * self.features..][..self.features];
        for (j, similarity) in similarities.iter_mut().enumerate() {
            *similarity = dot(z(i), z(j)) / f64::from(self.temperature);
        }
    }
}

impl GpuOperation for Similarity {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [z, s] = layouts else { unreachable!("the plan gives similarities one read") };
        // Mirror of `struct Similarity` in the shader.
        let parameters = [self.rows, self.features, first(*z), z.pitch, s.base_offset, s.pitch, s.offset];
        let shader = shader!("similarity", [("TEMPERATURE", f64::from(self.temperature))]);
        vec![Variant::plain(shader, parameters, [s.pitch.div_ceil(WORKGROUP), self.rows, 1])]
    }
}

/// Computes the loss of each row.
///
/// Reads similarities `[rows, rows]`; writes `[rows]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NtXentLoss {
    /// Rows, two per record.
    pub rows: usize,
}

impl NtXentLoss {
    /// Returns the row of the other view of the same record.
    fn positive(&self, row: usize) -> usize {
        (row + self.rows / 2) % self.rows
    }
}

impl Operation for NtXentLoss {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([pairs(self.rows)], Extent::Numbers(self.rows)))
    }

    fn describe(&self) -> String {
        "NT-Xent".into()
    }

    fn floating_point_operations(&self) -> u64 {
        3 * self.rows as u64 * self.rows as u64
    }

    fn reference(&self, reads: &[&[f64]], losses: &mut [f64]) {
        let [similarities] = reads else { unreachable!("the plan gives NT-Xent one read") };
        for i in 0..self.rows {
            let row = &similarities[i * self.rows..][..self.rows];
            let others = || (0..self.rows).filter(|&j| j != i).map(|j| row[j]);
            let largest = others().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = others().map(|s| (s - largest).exp()).sum();
            losses[i] = largest + sum.ln() - row[self.positive(i)];
        }
    }
}

impl GpuOperation for NtXentLoss {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [s, loss] = layouts else { unreachable!("the plan gives NT-Xent one read") };
        // Mirror of `struct NtXentLoss` in the shader.
        let parameters = [self.rows, first(*s), s.pitch, loss.base_offset, loss.pitch, loss.offset];
        vec![Variant::plain(shader!("nt_xent_loss", NO_CONSTANTS), parameters, [self.rows, 1, 1])]
    }
}

/// Computes the gradient of the mean loss with respect to z.
///
/// Reads z `[rows, features]`, similarities `[rows, rows]`, losses `[rows]`; writes dz with the shape of z.
#[derive(Debug, Clone, PartialEq)]
pub struct NtXentGradient(pub Similarity);

impl Operation for NtXentGradient {
    fn extents(&self) -> Option<Extents> {
        let (z, rows) = (self.0.projections(), self.0.rows);
        Some(Extents::new([z, pairs(rows), Extent::Numbers(rows)], z))
    }

    fn describe(&self) -> String {
        "NT-Xent gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        2 * self.0.rows as u64 * self.0.rows as u64 * (self.0.features as u64 + 4)
    }

    fn independent_rows(&self) -> usize {
        self.0.rows
    }

    fn reference(&self, reads: &[&[f64]], dz: &mut [f64]) {
        by_rows(self, reads, dz);
    }

    fn reference_row(&self, reads: &[&[f64]], i: usize, dz: &mut [f64]) {
        let [z, similarities, losses] = reads else { unreachable!("the plan gives NT-Xent's gradient three reads") };
        let Similarity { rows, features, temperature } = self.0;
        let loss = NtXentLoss { rows };
        // The logarithm of the sum in q_ij is the loss plus the similarity of the positive.
        let q = |i: usize, j: usize| {
            let positive = loss.positive(i);
            let logarithm = losses[i] + similarities[i * rows + positive];
            (similarities[i * rows + j] - logarithm).exp() - f64::from(u8::from(j == positive))
        };
        dz.fill(0.0);
        for j in (0..rows).filter(|&j| j != i) {
            let weight = q(i, j) + q(j, i);
            dz.iter_mut().zip(&z[j * features..][..features]).for_each(|(dz, z)| *dz += weight * z);
        }
        let scale = rows as f64 * f64::from(temperature);
        dz.iter_mut().for_each(|dz| *dz /= scale);
    }
}

impl GpuOperation for NtXentGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [z, s, loss, dz] = layouts else { unreachable!("the plan gives NT-Xent's gradient three reads") };
        let Similarity { rows, features, temperature } = self.0;
        // Mirror of `struct NtXentGradient` in the shader.
        let parameters =
            [rows, features, first(*z), z.pitch, first(*s), s.pitch, first(*loss), dz.base_offset, dz.pitch, dz.offset];
        let shader = shader!("nt_xent_gradient", [("TEMPERATURE", f64::from(temperature))]);
        vec![Variant::plain(shader, parameters, [rows, features.div_ceil(WORKGROUP), 1])]
    }
}
