//! An explanation as JSON: the same fields for every front end.

use serde_json::{Map as Object, Value, json};

use super::{Attribution, Deletion, Explanation, LARGEST_CORRELATION, Map, Randomisation, RandomisationStage};

impl Explanation {
    /// Returns a JSON object on one line, with the names of the source, such as a file's path, and of the record. An empty
    /// source is left out.
    ///
    /// The fields are `source`, `record`, `device`, `backend`, `network`, `seed`, `class`, `probability`, `logit`,
    /// `time_band_seconds`, `methods` and `warnings`. Each method has `method`, `passed`, `leads` and `leads_by_class` (null
    /// with Grad-CAM), `time_bands` of all leads together, `lead_time_bands` of each lead (null with Grad-CAM), and the checks
    /// `random_weights` and `deletion`. Numbers of leads and times are in logits, with Grad-CAM without unit.
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
            of_classes.map(|(class, maps)| (class.clone(), self.by_lead(&maps[at].leads).into())).collect();
        let per_lead = !map.leads.is_empty();
        json!({
            "method": map.method.key(),
            "passed": attribution.passed(),
            "leads": per_lead.then(|| self.by_lead(&map.leads)),
            "leads_by_class": per_lead.then_some(by_class),
            "time_bands": map.bands,
            "lead_time_bands": per_lead.then(|| self.by_lead(&self.time_bands(map))),
            "random_weights": random_weights(randomisation),
            "deletion": deletion_curve(deletion),
        })
    }

    /// Returns values of the leads by the leads' names.
    fn by_lead<T: Clone + Into<Value>>(&self, values: &[T]) -> Object<String, Value> {
        self.leads.iter().zip(values).map(|(lead, value)| (lead.to_string(), value.clone().into())).collect()
    }

    /// Returns the attribution of each time band of each lead, `[leads][bands]`: the sum over the windows of the band.
    fn time_bands(&self, map: &Map) -> Vec<Vec<f64>> {
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
