//! Every metric equals that of scikit-learn on the same numbers, which tests/metrics.py wrote.

#![cfg(feature = "evaluate")]

use ecgpu::evaluate::{
    Counts, Decisions, Predictions, Ranking, auroc, average_precision, best_threshold, brier_score,
    expected_calibration_error, fmax,
};
use serde_json::Value;

/// The numbers of scikit-learn.
struct Golden(Value);

impl Golden {
    fn open() -> Self {
        Self(serde_json::from_str(include_str!("data/metrics.json")).unwrap())
    }

    fn numbers(&self, place: &str) -> Vec<f64> {
        match self.0.pointer(place).unwrap_or_else(|| panic!("{place} is missing")) {
            Value::Array(numbers) => numbers.iter().map(|number| number.as_f64().unwrap()).collect(),
            number => vec![number.as_f64().unwrap()],
        }
    }

    fn predictions(&self) -> Predictions {
        let labels = self.numbers("/labels").into_iter().map(|label| label == 1.0).collect();
        Predictions::new(self.numbers("/probabilities"), labels, 5).unwrap()
    }

    fn agrees(&self, place: &str, computed: &[f64]) {
        let expected = self.numbers(place);
        assert_eq!(computed.len(), expected.len(), "{place}");
        for (computed, expected) in computed.iter().zip(expected) {
            assert!((computed - expected).abs() <= 1e-9, "{place}: {computed} instead of {expected}");
        }
    }
}

#[test]
fn areas_under_curves_equal_scikit_learns() {
    let golden = Golden::open();
    let predictions = golden.predictions();
    let of_classes = |metric: fn(&[f64], &[bool]) -> Option<f64>| -> Vec<f64> {
        (0..5).filter_map(|class| metric(&predictions.class(class).0, &predictions.class(class).1)).collect()
    };
    golden.agrees("/auroc", &of_classes(auroc));
    golden.agrees("/average_precision", &of_classes(average_precision));
    let weights: Vec<u64> = golden.numbers("/weights").into_iter().map(|weight| weight as u64).collect();
    let weighted = |metric: fn(&Ranking, &[u64]) -> Option<f64>| -> Vec<f64> {
        let of = |class| metric(&Ranking::new(&predictions.class(class).0, &predictions.class(class).1), &weights);
        (0..5).filter_map(of).collect()
    };
    golden.agrees("/weighted_auroc", &weighted(|ranking, weights| ranking.auroc(|record| weights[record])));
    let precision = weighted(|ranking, weights| ranking.average_precision(|record| weights[record]));
    golden.agrees("/weighted_average_precision", &precision);
    golden.agrees("/fmax", &[fmax(&predictions).unwrap()]);
}

#[test]
fn decisions_equal_scikit_learns() {
    let golden = Golden::open();
    let decisions = Decisions::new(&golden.predictions(), &golden.numbers("/thresholds"));
    for (name, metric) in
        [("precision", Counts::precision as fn(&Counts) -> f64), ("recall", Counts::recall), ("f1", Counts::f1)]
    {
        let of_classes: Vec<f64> = decisions.classes.iter().map(metric).collect();
        golden.agrees(&format!("/by_class/{name}"), &of_classes);
        golden.agrees(&format!("/macro/{name}"), &[decisions.macro_mean(metric)]);
        golden.agrees(&format!("/micro/{name}"), &[metric(&decisions.micro())]);
    }
    let supports: Vec<f64> = decisions.classes.iter().map(|counts| counts.support() as f64).collect();
    golden.agrees("/by_class/support", &supports);
    let specificities: Vec<f64> = decisions.classes.iter().map(Counts::specificity).collect();
    golden.agrees("/specificity", &specificities);
    golden.agrees("/exact_match_accuracy", &[decisions.exact_match_accuracy()]);
    golden.agrees("/per_label_accuracy", &[decisions.per_label_accuracy()]);
}

#[test]
fn calibration_equals_scikit_learns() {
    let golden = Golden::open();
    let predictions = golden.predictions();
    let of = |metric: fn(&[f64], &[bool]) -> f64, classes: usize| -> Vec<f64> {
        (0..classes).map(|class| metric(&predictions.class(class).0, &predictions.class(class).1)).collect()
    };
    golden.agrees("/brier", &of(brier_score, 4));
    golden.agrees("/expected_calibration_error", &of(expected_calibration_error, 5));
}

#[test]
fn the_best_threshold_has_the_largest_f1_of_all() {
    let predictions = Golden::open().predictions();
    for class in 0..4 {
        let (probabilities, labels) = predictions.class(class);
        let one = Predictions::new(probabilities.clone(), labels.clone(), 1).unwrap();
        let f1 = |threshold| Decisions::new(&one, &[threshold]).classes[0].f1();
        let best = best_threshold(&probabilities, &labels).unwrap();
        assert!((0..=1000).all(|at| f1(f64::from(at) / 1000.0) <= f1(best)), "class {class}: {best}");
    }
    let (probabilities, labels) = predictions.class(4);
    assert_eq!(best_threshold(&probabilities, &labels), None, "a class without a positive record");
}
