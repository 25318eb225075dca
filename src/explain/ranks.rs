//! The correlation of ranks of two maps.

/// Returns Spearman's rank correlation of two lists of equal length, in which equal numbers have the mean of their ranks; 0
/// where all numbers of a list are equal.
pub(super) fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let [a, b] = [a, b].map(ranks);
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    if scale > 0.0 { product(&a, &b) / scale } else { 0.0 }
}

/// Returns the rank of each number, from 0 for the smallest; equal numbers have the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        group.iter().for_each(|&at| ranks[at] = first as f64 + (group.len() as f64 - 1.0) / 2.0);
        first += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_correlation_is_that_of_scipy() {
        // scipy.stats.spearmanr
        let (a, b) = ([3.0, 1.0, 4.0, 1.0, 5.0], [2.0, 7.0, 1.0, 8.0, 2.0]);
        assert!((rank_correlation(&a, &b) + 0.789_473_684_210_526_4).abs() < 1e-12, "{}", rank_correlation(&a, &b));
        assert_eq!(rank_correlation(&a, &a.map(|x| x * x)), 1.0);
        assert_eq!(rank_correlation(&a, &a.map(|x| -x)), -1.0);
        assert_eq!(rank_correlation(&a, &[2.0; 5]), 0.0, "a constant map is like no other");
    }
}
