//! An explanation as JSON: the same fields for every front end.

use serde_json::{Map as Object, Value, json};

use super::{Attribution, Deletion, Explanation, LARGEST_CORRELATION, Map, Randomisation, RandomisationStage};

impl Explanation {
    /// Returns a JSON object on one line, with the names of the source, such as a file's path, and of the record. An empty
    /// source is left out.
    ///
    /// The fields are `source`, `record`, `device`, `backend`, `network`, `seed`, `class`, `probability`, `logit`,
    /// `time_band_seconds`, `methods` and `warnings`. Each method has `method`, `passed`, `leads` and `leads_by_class` (null
    /// with Grad-CAM), `time_bands` of all leads together, `map` `[leads, time bands]` (one row with Grad-CAM), and the checks
    /// `random_weights` and `deletion`.
    pub fn to_json(&self, source: &str, record: &str) -> String {
        let methods: Vec<Value> =
            self.attributions.iter().enumerate().map(|(at, attribution)| self.method(at, attribution)).collect();
        let mut object = json!({
            "source": source,
            "record": record,
            "device": self.prediction.device.name,
            "backend": self.prediction.device.backend,
            "network": self.network,
            "seed": self.seed,
            "class": self.class_name(),
            "probability": self.probability(),
            "logit": self.prediction.logits[self.class],
            "time_band_seconds": self.window as f64 / self.sampling_rate,
            "methods": methods,
            "warnings": self.prediction.warnings,
        });
        if let (true, Some(fields)) = (source.is_empty(), object.as_object_mut()) {
            fields.shift_remove("source");
        }
        object.to_string()
    }

    /// Returns the map of method `at` with its checks.
    fn method(&self, at: usize, attribution: &Attribution) -> Value {
        let Attribution { map, randomisation, deletion } = attribution;
        let of_classes = self.prediction.classes.iter().zip(&self.maps);
        let by_class: Object<String, Value> =
            of_classes.map(|(class, maps)| (class.clone(), self.by_lead(&maps[at].leads))).collect();
        let per_lead = !map.leads.is_empty();
        json!({
            "method": map.method.key(),
            "passed": attribution.passed(),
            "leads": per_lead.then(|| self.by_lead(&map.leads)),
            "leads_by_class": per_lead.then_some(by_class),
            "time_bands": map.bands,
            "map": self.time_bands(map),
            "random_weights": random_weights(randomisation),
            "deletion": deletion_curve(deletion),
        })
    }

    /// Returns a number of each lead by the lead's name.
    fn by_lead(&self, values: &[f64]) -> Value {
        self.leads.iter().zip(values).map(|(lead, &value)| (lead.to_string(), json!(value))).collect::<Object<_, _>>().into()
    }

    /// Returns a map in time bands, `[rows][bands]`: with occlusion its values, otherwise the sums over each band; with
    /// Grad-CAM, whose values have no unit, the means.
    fn time_bands(&self, map: &Map) -> Vec<Vec<f64>> {
        if map.rows == 1 {
            return vec![map.bands.clone()];
        }
        let per_band = (self.window / map.window).max(1);
        (0..map.rows).map(|row| map.row(row).chunks(per_band).map(|band| band.iter().sum()).collect()).collect()
    }
}

fn random_weights(check: &Randomisation) -> Value {
    let stage = |stage: &RandomisationStage| {
        json!({
            "random_layers": stage.layers,
            "random_networks": stage.networks,
            "rank_correlation": stage.magnitudes,
            "signed_rank_correlation": stage.signed,
        })
    };
    json!({
        "passed": check.passed,
        "largest_rank_correlation": LARGEST_CORRELATION,
        "stages": check.stages.iter().map(stage).collect::<Vec<_>>(),
    })
}

fn deletion_curve(check: &Deletion) -> Value {
    json!({
        "passed": check.passed,
        "area": check.area,
        "random_orders": check.orders,
        "random_orders_beaten": check.beaten,
        "probability_by_map": check.by_map,
        "probability_at_random": check.at_random,
    })
}
