//! The text of a card, as Markdown.

use ecgpu::{engine::network::Contract, evaluate::DRAWS};

use super::{
    Card,
    evaluation::{Evaluation, Summary},
};
use crate::{
    evaluate::table::{Table, with_interval},
    terminal::clean,
};

/// Returns the text.
pub fn text(card: &Card) -> String {
    let contract = &card.weights.contract;
    let parts = [
        head(card),
        usage(card),
        input(contract),
        output(card),
        training(contract),
        card.evaluation.as_ref().map_or_else(none, results),
        limits(card),
    ];
    parts.join("\n")
}

/// Makes a text from a file safe: it cannot begin a table cell, a link, a heading or HTML.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in clean(text).chars() {
        if c.is_ascii_punctuation() && !".,;:-+%/()'".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

fn head(card: &Card) -> String {
    let weights = &card.weights;
    format!(
        "# {}\n\nWeights for ecgpu, which classifies 12-lead ECGs: network {}, {} elements, stored as {} in the safetensors \
         format.\n\n**For research only. Not a medical device.**\n",
        card.title(),
        weights.network.name,
        weights.elements(),
        weights.stored_as
    )
}

fn usage(card: &Card) -> String {
    let repository = card.repository();
    format!(
        "## Use\n\n```sh\necgpu classify record.hea --weights hf:{repository}\n```\n\n```rust\n// Cargo.toml: ecgpu with \
         the feature \"hub\"\nlet weights = ecgpu::Weights::from_pretrained(\"{repository}\")?;\nlet classifier = \
         ecgpu::Classifier::open(weights, ecgpu::Device::Auto)?;\n```\n\n```python\nimport ecgpu\n\nmodel = \
         ecgpu.Classifier.from_pretrained(\"{repository}\")\nmodel.classify(\"record.hea\").probabilities\n```\n\nThe file is \
         downloaded once and kept in the cache of Hugging Face's tools.\n"
    )
}

fn input(contract: &Contract) -> String {
    let mut table = Table::new(&["input", "of the network"]);
    let leads = contract.leads.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for (name, value) in [
        ("leads", leads),
        ("sampling rate", format!("{} Hz", contract.sampling_rate)),
        ("samples per lead", format!("{} ({} s)", contract.samples, contract.duration())),
        ("unit", contract.unit.to_string()),
        ("DC offset of each lead", contract.dc_offset.to_string()),
        ("mean that is subtracted", contract.mean.to_string()),
        ("standard deviation that it is divided by", contract.deviation.to_string()),
    ] {
        table.row([name.to_string(), value]);
    }
    format!(
        "## Input\n\n{}\necgpu converts every recording to this: it matches leads by name, derives III, aVR, aVL and aVF where \
         they are missing, converts units and resamples.\n",
        table.markdown()
    )
}

fn output(card: &Card) -> String {
    let contract = &card.weights.contract;
    let mut table = Table::new(&["class", "threshold"]);
    for (class, threshold) in contract.classes.iter().zip(&contract.thresholds) {
        table.row([plain(class), threshold.to_string()]);
    }
    format!(
        "## Output\n\n{}\nThe classes do not exclude each other. The probability of a class is the sigmoid of its logit over the \
         temperature {}; a class is given as a label from its threshold on.\n",
        table.markdown(),
        contract.temperature
    )
}

fn training(contract: &Contract) -> String {
    let provenance = match contract.provenance.as_str() {
        "" | "unknown" => "The file does not say how the weights were trained.".into(),
        provenance => format!("In the words of the file: {}.", plain(provenance.trim_end_matches('.'))),
    };
    let data = if contract.provenance.contains("PTB-XL") {
        "\nPTB-XL: Wagner et al., *PTB-XL, a large publicly available electrocardiography dataset*, Scientific Data 7, 154 \
         (2020), doi 10.1038/s41597-020-0495-6; PhysioNet, CC BY 4.0.\n"
    } else {
        ""
    };
    format!("## Training\n\n{provenance}\n{data}")
}

fn none() -> String {
    "## Evaluation\n\nNo evaluation of these weights was given for this card.\n".into()
}

fn results(evaluation: &Evaluation) -> String {
    let Evaluation { data, fold, summaries, subgroups, doubts } = evaluation;
    let mut text = format!(
        "## Evaluation\n\n`ecgpu evaluate` on {}, fold {fold}. In brackets 95 % intervals by bootstrap over patients, {DRAWS} \
         draws.\n",
        plain(data)
    );
    doubts.iter().for_each(|doubt| text += &format!("\n> **{}**\n", plain(doubt)));
    for summary in summaries {
        let Summary { population, records, patients, .. } = summary;
        text += &format!("\n### {}: {records} records of {patients} patients\n\n", plain(population));
        text += &classes(summary).markdown();
        text += &format!(
            "\nExact-match accuracy {}, per-label accuracy {}, Fmax {}.\n",
            with_interval(summary.exact_match_accuracy, 4),
            with_interval(summary.per_label_accuracy, 4),
            with_interval(summary.fmax, 4)
        );
    }
    if !subgroups.is_empty() {
        let mut table = Table::new(&["group", "records", "macro AUROC"]);
        for group in subgroups {
            let name = plain(&format!("{}: {}", group.group, group.name));
            table.row([name, group.records.to_string(), with_interval(group.macro_auroc, 4)]);
        }
        text += &format!("\n### Groups of patients\n\n{}", table.markdown());
    }
    text
}

/// The table of the classes of a population and their means.
fn classes(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        "class",
        "records",
        "AUROC",
        "average precision",
        "threshold",
        "precision",
        "recall",
        "specificity",
        "F1",
        "Brier",
        "ECE",
    ]);
    for class in &summary.classes {
        let threshold = format!("{:.3}", class.threshold);
        let first = [plain(&class.class), class.support.to_string(), with_interval(class.auroc, 4)];
        let decided = [class.precision, class.recall, class.specificity, class.f1];
        let rest = decided.into_iter().chain([class.brier_score, class.expected_calibration_error]);
        let middle = [with_interval(class.average_precision, 3), threshold];
        table.row(first.into_iter().chain(middle).chain(rest.map(|estimate| with_interval(estimate, 3))));
    }
    let mean =
        |name: &str| summary.macro_average.get(name).map_or(String::new(), |estimate| with_interval(*estimate, 3));
    let areas = [with_interval(summary.macro_auroc, 4), with_interval(summary.macro_average_precision, 3)];
    let means = ["precision", "recall", "specificity", "f1"].map(mean);
    let cells = ["macro".into(), String::new()].into_iter().chain(areas).chain([String::new()]).chain(means);
    table.row(cells.chain([String::new(), String::new()]));
    table
}

fn limits(card: &Card) -> String {
    let mut text = String::from(
        "## Limits\n\n- Research only. It has not been evaluated for any clinical use.\n- It knows the classes above and nothing \
         else; an ECG may show what none of them covers.\n",
    );
    text += match &card.evaluation {
        Some(_) => "- The results hold for data like those that they were measured on. Expect less elsewhere.\n",
        None => "- Nothing is stated here about how often it is right.\n",
    };
    if card.is_of_ptb_xl() {
        text += "- PTB-XL has European hospital patients, 1989 to 1996, recorded with devices of one maker, and few of some \
                 groups of patients.\n";
    }
    text + "- Choose thresholds for your own use.\n"
}
