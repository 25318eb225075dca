//! The deletion check (Samek et al. 2017, doi 10.1109/TNNLS.2016.2599820; Petsiuk et al. 2018, arXiv 1806.07421): the class's
//! probability must fall faster when the parts that a map calls most important are replaced than when random parts are.

use super::{Map, Method, Signal, randomisation::shuffle, runner::Runner};
use crate::{Result, network::Contract, random::Random};

/// The steps in which everything is replaced.
pub(super) const STEPS: usize = 10;

/// The random orders that a map is compared with. If a map were a random order itself, it would have the smallest area of all 21
/// in one of 21 cases, below 5 %.
pub(super) const RANDOM_ORDERS: usize = 20;

/// The stream of the random orders; those of the weights are below 2³².
const STREAM: u64 = 1 << 32;

/// The deletion check of a map.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Deletion {
    /// The class's probability with 0, 1/10, …, 10/10 of the record replaced, the most important first.
    pub by_map: Vec<f64>,
    /// The mean of the probabilities in random orders.
    pub at_random: Vec<f64>,
    /// The area between the two: the mean probability at random less that by the map. Positive for a map that finds what the
    /// class depends on.
    pub area: f64,
    /// How many random orders have a larger area under their curve than the map.
    pub beaten: usize,
    /// How many random orders there are.
    pub orders: usize,
    /// Whether the map beats all random orders.
    pub passed: bool,
}

/// Counts the forward passes of the checks of these methods.
pub(super) fn passes(methods: &[Method]) -> usize {
    let of_kind = |grad_cam: bool| match methods.iter().filter(|&&it| (it == Method::GradCam) == grad_cam).count() {
        0 => 0,
        maps => 2 + (maps + RANDOM_ORDERS) * (STEPS - 1),
    };
    of_kind(true) + of_kind(false)
}

/// Checks maps of a class.
///
/// # Errors
/// The device fails.
pub(super) fn check(
    runner: &mut Runner,
    (contract, signal): (&Contract, &Signal),
    class: usize,
    maps: &[Map],
    seed: u64,
) -> Result<Vec<Deletion>> {
    let mut checks: Vec<Option<Deletion>> = vec![None; maps.len()];
    // Maps of windows of leads, and maps of windows of all leads, are compared with random orders of their own kind.
    for rows in [signal.leads, 1] {
        let of_kind: Vec<usize> = (0..maps.len()).filter(|&at| maps[at].rows == rows).collect();
        if of_kind.is_empty() {
            continue;
        }
        let cells = rows * signal.windows.count();
        let mut orders: Vec<Vec<usize>> =
            of_kind.iter().map(|&at| by_importance(&maps[at].in_windows(signal))).collect();
        orders.extend((0..RANDOM_ORDERS as u64).map(|at| {
            let mut order: Vec<usize> = (0..cells).collect();
            shuffle(&mut order, &mut Random::new(seed, STREAM + at));
            order
        }));
        let curves = curves(runner, (contract, signal), class, &orders)?;
        let (by_map, at_random) = curves.split_at(of_kind.len());
        for (at, curve) in of_kind.into_iter().zip(by_map) {
            checks[at] = Some(compared(curve, at_random));
        }
    }
    Ok(checks.into_iter().flatten().collect())
}

/// Returns the indices of the cells, the largest attribution first; of equal ones the first first.
fn by_importance(attributions: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..attributions.len()).collect();
    order.sort_by(|&a, &b| attributions[b].total_cmp(&attributions[a]));
    order
}

/// Computes the class's probability after each step of each order of cells. A cell is a window of a lead, or of all leads if
/// there are only as many cells as windows.
fn curves(
    runner: &mut Runner,
    (contract, signal): (&Contract, &Signal),
    class: usize,
    orders: &[Vec<usize>],
) -> Result<Vec<Vec<f64>>> {
    let windows = signal.windows.count();
    let cells = orders[0].len();
    let places: Vec<Vec<usize>> = orders.iter().map(|order| places(order)).collect();
    let between = STEPS - 1;
    // First nothing and everything replaced, which is equal for all orders.
    let logits = runner.logits(signal, 2 + orders.len() * between, &|copy, to| match copy.checked_sub(2) {
        None => signal.replaced(|_, _| copy == 1, to),
        Some(at) => {
            let (place, replaced) = (&places[at / between], (at % between + 1) * cells / STEPS);
            signal.replaced(|lead, window| place[(lead * windows + window) % cells] < replaced, to);
        }
    })?;
    let probabilities: Vec<f64> =
        logits.chunks(runner.folded.network.classes()).map(|logits| contract.probability(logits[class])).collect();
    let (ends, rest) = probabilities.split_at(2);
    Ok(rest.chunks(between).map(|steps| [&ends[..1], steps, &ends[1..]].concat()).collect())
}

/// Returns the place of each cell in an order.
fn places(order: &[usize]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &cell)| places[cell] = place);
    places
}

/// Compares the curve of a map with those of random orders.
fn compared(by_map: &[f64], random: &[Vec<f64>]) -> Deletion {
    let mean_at = |step: usize| random.iter().map(|curve| curve[step]).sum::<f64>() / random.len() as f64;
    let at_random: Vec<f64> = (0..by_map.len()).map(mean_at).collect();
    let beaten = random.iter().filter(|curve| area(curve) > area(by_map)).count();
    Deletion {
        area: area(&at_random) - area(by_map),
        by_map: by_map.to_vec(),
        at_random,
        beaten,
        orders: random.len(),
        passed: beaten == random.len(),
    }
}

/// Returns the area under a curve over 0 to 1, by trapezoids.
fn area(curve: &[f64]) -> f64 {
    let steps = curve.len() - 1;
    curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).sum::<f64>() / steps as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_below_all_random_ones_passes_and_the_area_between_is_its_lead() {
        let random = vec![vec![1.0, 0.5, 0.0], vec![1.0, 0.7, 0.0]];
        let good = compared(&[1.0, 0.1, 0.0], &random);
        assert!(good.passed && good.beaten == 2 && (good.area - 0.25).abs() < 1e-12, "{good:?}");
        let between = compared(&[1.0, 0.6, 0.0], &random);
        assert!(!between.passed && between.beaten == 1 && between.area.abs() < 1e-12, "{between:?}");
        let equal = compared(&[1.0, 0.5, 0.0], &random[..1]);
        assert!(!equal.passed, "as good as random is not better");
    }

    #[test]
    fn the_largest_attribution_is_first_and_places_are_the_inverse() {
        assert_eq!(by_importance(&[0.1, -3.0, 2.0, 0.1]), [2, 0, 3, 1]);
        assert_eq!(places(&[2, 0, 3, 1]), [1, 3, 0, 2]);
    }
}
