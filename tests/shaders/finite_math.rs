//! No shader asks whether a number is NaN or infinite. Compilers may assume that a computed number is neither, as Metal's do
//! by default.

use naga::{Arena, BinaryOperator, Expression, Handle, Module};

/// Shaders that look at the bits of a float where they were stored, which no assumption about arithmetic changes.
const BITS_OF_STORED_NUMBERS: [&str; 1] = ["training/adam"];

/// Says which expression of a shader asks for NaN or infinity; none if there is none.
pub fn question(name: &str, source: &str, module: &Module) -> Option<String> {
    let functions = module.functions.iter().map(|(_, function)| function);
    let functions = functions.chain(module.entry_points.iter().map(|entry| &entry.function));
    for expressions in functions.map(|function| &function.expressions) {
        for (_, expression) in expressions.iter() {
            match expression {
                Expression::Relational { fun, .. } if format!("{fun:?}").starts_with("Is") => {
                    return Some(format!("{fun:?}"));
                }
                Expression::Binary { op: op @ (BinaryOperator::Equal | BinaryOperator::NotEqual), left, right }
                    if same(expressions, *left, *right) =>
                {
                    return Some(format!("{op:?} of a number and itself"));
                }
                _ => (),
            }
        }
    }
    let masks = ["0x7f800000", "0x7fffffff", "0x7f7fffff", "0x7c00"];
    let masked = masks.into_iter().find(|mask| source.to_lowercase().contains(mask));
    masked.filter(|_| !BITS_OF_STORED_NUMBERS.contains(&name)).map(|mask| format!("the mask {mask}"))
}

/// Whether two expressions are the same, read by read.
fn same(expressions: &Arena<Expression>, left: Handle<Expression>, right: Handle<Expression>) -> bool {
    let same = |left, right| same(expressions, left, right);
    left == right
        || match (&expressions[left], &expressions[right]) {
            (Expression::Load { pointer: left }, Expression::Load { pointer: right }) => same(*left, *right),
            (Expression::AccessIndex { base, index }, Expression::AccessIndex { base: other, index: place }) => {
                index == place && same(*base, *other)
            }
            (Expression::Access { base, index }, Expression::Access { base: other, index: place }) => {
                same(*index, *place) && same(*base, *other)
            }
            (Expression::LocalVariable(left), Expression::LocalVariable(right)) => left == right,
            (Expression::GlobalVariable(left), Expression::GlobalVariable(right)) => left == right,
            (Expression::Literal(left), Expression::Literal(right)) => left == right,
            _ => false,
        }
}
