//! Draws the course of a run: losses on the left, AUROCs on the right.

use super::Epoch;
use crate::plot::{Anchor, Area, Font, Pen, Svg, tick};

const COLOURS: [&str; 7] = ["#1f5fa8", "#c0392b", "#2e8b57", "#8e44ad", "#d98200", "#138d90", "#7f8c8d"];
const LABEL: Font = Font { size: 3.0, bold: false, colour: "#333333" };
const GRID: Pen = Pen { width: 0.15, colour: "#dddddd" };

/// One curve: its name, one optional value per epoch, and the width of the line in mm.
struct Curve {
    name: String,
    points: Vec<Option<f64>>,
    width: f64,
}

/// Returns the drawing of a run's epochs as SVG.
pub(super) fn draw(history: &[Epoch], classes: &[String]) -> String {
    let curve = |name: &str, width: f64, of: &dyn Fn(&Epoch) -> Option<f64>| Curve {
        name: name.into(),
        points: history.iter().map(of).collect(),
        width,
    };
    let losses = vec![
        curve("training loss", 0.6, &|epoch| Some(epoch.loss)),
        curve("validation loss", 0.6, &|epoch| epoch.validation_loss),
    ];
    let mut aurocs = vec![curve("macro AUROC", 0.8, &|epoch| epoch.auroc)];
    aurocs.extend(
        classes
            .iter()
            .enumerate()
            .map(|(class, name)| curve(name, 0.4, &|epoch| epoch.auroc_by_class.get(class).copied().flatten())),
    );
    let is_validated = history.iter().any(|epoch| epoch.auroc.is_some());
    let mut svg = Svg::new(if is_validated { 210.0 } else { 110.0 }, 90.0);
    panel(&mut svg, Area { left: 15.0, top: 8.0, width: 80.0, height: 55.0 }, &losses);
    if is_validated {
        panel(&mut svg, Area { left: 115.0, top: 8.0, width: 80.0, height: 55.0 }, &aurocs);
    }
    svg.finish()
}

/// Draws one pair of axes with its curves, and their names below.
fn panel(svg: &mut Svg, area: Area, curves: &[Curve]) {
    let curves: Vec<&Curve> = curves.iter().filter(|curve| curve.points.iter().any(Option::is_some)).collect();
    let values = || curves.iter().flat_map(|curve| curve.points.iter().flatten().copied());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if !(low.is_finite() && high.is_finite()) {
        return;
    }
    let tick = tick(high - low);
    let (first, last) = ((low / tick).floor() as i64, (high / tick).ceil() as i64);
    let (low, span) = (first as f64 * tick, (last - first).max(1) as f64 * tick);
    let epochs = curves.iter().map(|curve| curve.points.len()).max().unwrap_or(1);
    let Area { left, top, width, height } = area;
    let y = |value: f64| top + height - height * (value - low) / span;
    let x = |at: usize| left + width * at as f64 / (epochs - 1).max(1) as f64;
    let decimals = (-tick.log10()).ceil().max(0.0) as usize;
    for at in first..=last {
        let value = at as f64 * tick;
        svg.polyline([[left, y(value)], [left + width, y(value)]], GRID);
        svg.text([left - 1.0, y(value) + 1.0], Anchor::End, LABEL, &format!("{value:.decimals$}"));
    }
    svg.text([left, top + height + 5.0], Anchor::Middle, LABEL, "1");
    svg.text([left + width, top + height + 5.0], Anchor::End, LABEL, &format!("epoch {epochs}"));
    for (at, curve) in curves.iter().enumerate() {
        let pen = Pen { width: curve.width, colour: COLOURS[at % COLOURS.len()] };
        let points = curve.points.iter().enumerate();
        svg.polyline(points.filter_map(|(at, value)| value.map(|value| [x(at), y(value)])), pen);
        let position = [left + (at % 3) as f64 * 27.0, top + height + 11.0 + (at / 3) as f64 * 5.0];
        svg.text(position, Anchor::Start, Font { colour: pen.colour, ..LABEL }, &curve.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_values_are_drawn() {
        let epoch = |epoch, auroc| Epoch {
            epoch,
            step: epoch,
            loss: 1.0 / epoch as f64,
            validation_loss: None,
            auroc,
            auroc_by_class: vec![auroc, None],
            learning_rate: 0.1,
            gradient_norm: 1.0,
            seconds: 1.0,
            records_per_second: 1.0,
        };
        let classes = ["<A>".to_string(), "B".to_string()];
        let svg = draw(&[epoch(1, Some(0.5)), epoch(2, Some(0.75))], &classes);
        assert!(svg.contains(">macro AUROC<") && svg.contains(">&lt;A&gt;<") && svg.contains(">training loss<"));
        assert!(!svg.contains(">B<") && !svg.contains("validation") && !svg.contains("NaN"));
        assert!(!draw(&[], &classes).contains("NaN"));
    }
}
