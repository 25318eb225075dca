//! How numbers are stored in a GPU's buffers, and the WGSL functions that read and write them.
//!
//! Whatever the storage, a shader computes indices in u32 and numbers in f32: f16 has no gaps only up to 2048, and sums in
//! f16 would lose a digit per term.

use std::{borrow::Cow, fmt, str::FromStr};

use half::f16;

/// The largest finite number of f16.
pub(crate) const LARGEST_F16: f32 = 65504.0;

/// How numbers are stored in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// 32 bits per number.
    #[default]
    F32,
    /// 16 bits per number, for devices whose shaders have the type.
    F16,
    /// The same 16 bits, packed in pairs into u32 and unpacked by the shader: runs on every device.
    PackedF16,
}

/// How many numbers a shader reads with one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    One,
    Four,
}

/// How many numbers a shader writes with one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Two,
    Four,
}

impl Storage {
    /// Whether a number has 16 bits.
    pub fn is_half(self) -> bool {
        self != Storage::F32
    }

    /// Bytes per number.
    pub fn bytes(self) -> usize {
        if self.is_half() { size_of::<f16>() } else { size_of::<f32>() }
    }

    /// Encodes numbers as they are stored, rounded to the nearest f16 if it is a half type, padded to whole u32s.
    pub fn encode(self, values: &[f32]) -> Cow<'_, [u8]> {
        if !self.is_half() {
            return Cow::Borrowed(bytemuck::cast_slice(values));
        }
        let mut halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        halves.resize(halves.len().next_multiple_of(2), f16::ZERO);
        Cow::Owned(bytemuck::cast_slice(&halves).to_vec())
    }

    /// Decodes stored numbers, as many as the bytes contain.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, [f32]> {
        if !self.is_half() {
            return Cow::Borrowed(bytemuck::cast_slice(bytes));
        }
        Cow::Owned(bytemuck::cast_slice::<u8, f16>(bytes).iter().map(|half| half.to_f32()).collect())
    }

    /// Generates the type `X` of the elements of the binding `x` and `fn x_at(i) -> f32` or `-> vec4<f32>`.
    fn reader(self, name: &str, elements: Elements) -> [String; 2] {
        let (stored, read, value) = match (self, elements) {
            (Storage::F32, Elements::One) => ("f32", "f32", format!("{name}[i]")),
            (Storage::F32, Elements::Four) => ("vec4<f32>", "vec4<f32>", format!("{name}[i]")),
            (Storage::F16, Elements::One) => ("f16", "f32", format!("f32({name}[i])")),
            (Storage::F16, Elements::Four) => ("vec4<f16>", "vec4<f32>", format!("vec4<f32>({name}[i])")),
            (Storage::PackedF16, Elements::One) => {
                ("u32", "f32", format!("unpack2x16float({name}[i / 2] >> (i % 2 * 16)).x"))
            }
            (Storage::PackedF16, Elements::Four) => {
                let halves = format!("vec4(unpack2x16float({name}[i].x), unpack2x16float({name}[i].y))");
                ("vec2<u32>", "vec4<f32>", halves)
            }
        };
        let function = format!("fn {name}_at(i: u32) -> {read} {{ return {value}; }}");
        [format!("alias {} = {stored};", type_name(name)), function]
    }

    /// Generates the type `Y` of the elements of the binding `y`, `fn set_y(i, vec4<f32>)` or `vec2`, and
    /// `fn note_overflow(b)`.
    ///
    /// If y is stored in 16 bits, `note_overflow` sets record b of the binding after y to 1 if a number that this invocation
    /// has written, or has passed to `fn note_largest`, is too large for f16.
    fn writer(self, written: Written, binding: usize) -> Vec<String> {
        let (value_type, four) = match written {
            Written::Two => ("vec2<f32>", "value.xyxy"),
            Written::Four => ("vec4<f32>", "value"),
        };
        let (stored, value) = match (self, written) {
            (Storage::F32, _) => (value_type, "value"),
            (Storage::F16, Written::Two) => ("vec2<f16>", "vec2<f16>(value)"),
            (Storage::F16, Written::Four) => ("vec4<f16>", "vec4<f16>(value)"),
            (Storage::PackedF16, Written::Two) => ("u32", "pack2x16float(value)"),
            (Storage::PackedF16, Written::Four) => {
                ("vec2<u32>", "vec2(pack2x16float(value.xy), pack2x16float(value.zw))")
            }
        };
        let mut lines = vec![format!("alias Y = {stored};")];
        if !self.is_half() {
            lines.push(format!("fn set_y(i: u32, value: {value_type}) {{ y[i] = {value}; }}"));
            lines.push("fn note_overflow(b: u32) {}".into());
            return lines;
        }
        lines.push(format!(
            "@group(0) @binding({binding}) var<storage, read_write> overflow: array<atomic<u32>>;  // [batch]"
        ));
        lines.push("var<private> largest_written: f32;".into());
        lines.push("fn note_largest(value: vec4<f32>) {".into());
        lines.push("    let magnitude = abs(value);".into());
        lines.push("    largest_written = max(largest_written, max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w)));".into());
        lines.push("}".into());
        lines.push(format!("fn set_y(i: u32, value: {value_type}) {{"));
        lines.push(format!("    note_largest({four});"));
        lines.push(format!("    y[i] = {value};"));
        lines.push("}".into());
        lines.push("fn note_overflow(b: u32) {".into());
        lines.push(format!("    if largest_written > {LARGEST_F16:.1} {{ atomicStore(&overflow[b], 1u); }}"));
        lines.push("}".into());
        lines
    }
}

/// Generates the lines `//# storage`, which are the first of a shader: a reader of each named binding in `reads`, and a
/// writer of y if y is written by `set_y`. y is the last binding of the plan's step.
pub(super) fn lines(
    reads: &[(&str, Storage, Elements)],
    y: Option<(Storage, Written)>,
    constants: usize,
) -> Vec<String> {
    let mut stored = reads.iter().map(|(_, storage, _)| *storage).chain(y.map(|(storage, _)| storage));
    let native = stored.any(|storage| storage == Storage::F16);
    // Binding 0 is the parameters and 1 is x. The constants, y and the overflow follow.
    let writer = y.into_iter().flat_map(|(storage, written)| storage.writer(written, 3 + constants));
    let readers = reads.iter().flat_map(|&(name, storage, elements)| storage.reader(name, elements));
    native.then(|| "enable f16;".to_string()).into_iter().chain(readers).chain(writer).collect()
}

/// Names the type of a binding: `X` for `x`, `Weight` for `weight`.
fn type_name(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
            Storage::PackedF16 => "packed-f16",
        })
    }
}

impl FromStr for Storage {
    type Err = ();

    /// Parses the text that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Storage::F32, Storage::F16, Storage::PackedF16];
        all.into_iter().find(|storage| storage.to_string() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_keep_eleven_bits() {
        let values = [1.0, -0.333_251_95, LARGEST_F16, 6e-8, 2049.0];
        assert_eq!(Storage::F32.decode(&Storage::F32.encode(&values)), &values[..]);
        for storage in [Storage::F16, Storage::PackedF16] {
            let bytes = storage.encode(&values);
            assert_eq!(bytes.len(), 12, "five f16 numbers and one to fill the last u32");
            // 6e-8 is nearest to the smallest subnormal number, 2^-24. 2049 is between 2048 and 2050.
            let smallest = (-24f32).exp2();
            assert_eq!(storage.decode(&bytes), &[1.0, -0.333_251_95, LARGEST_F16, smallest, 2048.0, 0.0][..]);
        }
    }
}
