//! Edits shaders so that divisions, roots, exponentials and logarithms are as wrong as WGSL allows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use ecgpu::engine::backend::gpu::EditShader;

/// The direction of the errors.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    Up,
    Down,
    /// As a hash of the number and of this seed says.
    Drawn(u32),
}

/// The numbers by which shaders divide floats.
const DENOMINATORS: [&str; 22] = [
    "(sqrt(v / second) + EPSILON)",
    "(1.0 + e)",
    "(1.0 + g * (g + DAMPING))",
    "(2.0 + e)",
    "(2.0 * SAMPLING_RATE)",
    "(f32(sizes.rows) * TEMPERATURE)",
    "SAMPLING_RATE",
    "TEMPERATURE",
    "count",
    "f32(length + 1)",
    "f32(pool.samples)",
    "f32(size.samples)",
    "f32(sizes.batch * sizes.classes)",
    "f32(sizes.classes)",
    "f32(sizes.rows / 2)",
    "f32(sizes.samples)",
    "first",
    "half.x",
    "norm",
    "norms.x",
    "norms.y",
    "second",
];

/// The calls of functions that may be wrong, and what replaces them. Those of vectors come first.
const CALLS: [(&str, &str); 7] = [
    (" / sqrt(", " * inverse_root("),
    ("sqrt(partial[0].yz)", "roots(partial[0].yz)"),
    ("sqrt(max(vec2(0.0), -2.0 * log(", "roots(max(vec2(0.0), -2.0 * logarithms("),
    (" sqrt(", " root("),
    ("(sqrt(", "(root("),
    ("exp(", "exponential("),
    (" log(", " logarithm("),
];

/// The functions that replace divisions and calls. The errors are those of the table in docs/devices-and-precision.md. A
/// unit in the last place is at most 2⁻²³ of a number.
const FUNCTIONS: &str = "
fn direction(x: f32) -> f32 { return DIRECTION; }
fn moved(x: f32, units: f32) -> f32 { return x + x * (units * direction(x) * 1.1920929e-7); }
fn inverse(x: f32) -> f32 { return moved(1.0 / x, 2.5); }
fn root(x: f32) -> f32 { return moved(sqrt(x), 4.5); }
fn inverse_root(x: f32) -> f32 { return inverse(root(x)); }
fn roots(x: vec2<f32>) -> vec2<f32> { return vec2(root(x.x), root(x.y)); }
fn exponential(x: f32) -> f32 { return moved(exp(x), 3.0 + 2.0 * abs(x)); }
fn logarithm(x: f32) -> f32 {
    let near_one = x >= 0.5 && x <= 2.0;
    return select(moved(log(x), 3.0), log(x) + direction(x) * 4.7683716e-7, near_one);
}
fn logarithms(x: vec2<f32>) -> vec2<f32> { return vec2(logarithm(x.x), logarithm(x.y)); }
";

/// The replacements that were made.
pub type Made = Arc<Mutex<BTreeSet<&'static str>>>;

/// Makes an edit of all shaders, and the set of the replacements that it has made so far.
pub fn edit(direction: Direction) -> (EditShader, Made) {
    let made = Made::default();
    let making = made.clone();
    let edit = move |_: &str, source: &str| edited(source, direction, &mut making.lock().unwrap());
    (Arc::new(edit), made)
}

/// Lists all replacements.
pub fn all() -> BTreeSet<&'static str> {
    DENOMINATORS.into_iter().chain(CALLS.map(|(call, _)| call)).collect()
}

fn edited(source: &str, direction: Direction, made: &mut BTreeSet<&'static str>) -> String {
    let code = |line: &str| format!("{}\n", line.split("//").next().unwrap_or_default());
    let mut code: String = source.lines().map(code).collect();
    let mut replace = |from: &'static str, found: &str, to: &str| {
        // A name ends where no letter follows.
        let ends = |at: usize| {
            let next = code[at + found.len()..].chars().next();
            found.ends_with(['(', ')'])
                || !next.is_some_and(|next| next.is_alphanumeric() || next == '_' || next == '.')
        };
        let places: Vec<usize> = code.match_indices(found).map(|(at, _)| at).filter(|&at| ends(at)).collect();
        for &at in places.iter().rev() {
            code.replace_range(at..at + found.len(), to);
            made.insert(from);
        }
    };
    for denominator in DENOMINATORS {
        replace(denominator, &format!(" / {denominator}"), &format!(" * inverse({denominator})"));
    }
    for (from, to) in CALLS {
        replace(from, from, to);
    }
    let direction = match direction {
        Direction::Up => "1.0".into(),
        Direction::Down => "-1.0".into(),
        Direction::Drawn(seed) => {
            format!("select(-1.0, 1.0, ((bitcast<u32>(x) ^ {seed}u) * 2654435761u) >> 31u == 1u)")
        }
    };
    code + &FUNCTIONS.replace("DIRECTION", &direction)
}
