//! How a GPU runs an operation: the layouts that it demands, its variants and their shaders.
//!
//! Only the GPU backend calls this, so that a program without a GPU contains no text of a shader.

use std::{
    borrow::Cow,
    fmt,
    ops::Deref,
    sync::{Arc, LazyLock},
};

use super::{Kernel, Operation, Storage};

/// How a GPU stores an activation: `base_offset` zeros, then one row of `pitch` numbers for each channel of each record.
///
/// The samples begin `offset` numbers into their row. Every other number of the row is zero, so that the padding that a
/// convolution reads before and after the samples is part of the row. The base offset and the pitch are multiples of eight
/// where an operation loads or stores several numbers at once; the offset aligns the windows of the reader with its loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLayout {
    /// Numbers before the first row.
    pub base_offset: usize,
    /// Numbers of a row before its samples.
    pub offset: usize,
    /// Numbers from one row to the next.
    pub pitch: usize,
    /// How the numbers are stored.
    pub storage: Storage,
}

/// The properties of a GPU that decide which variants it can run and which is fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accelerator {
    /// Whether the adapter computes on the CPU.
    pub software: bool,
    /// Invocations of a subgroup, if shaders may use subgroups and all have the same size.
    pub subgroup_size: Option<usize>,
    /// Whether shaders may use 64-bit integers.
    pub int64: bool,
    /// Rows and columns of the square matrices that a subgroup multiplies in f16 and adds in f32, if shaders may use
    /// cooperative matrices.
    pub matrix_side: Option<usize>,
    /// Rows of [`TEXTURE_WIDTH`] texels that a texture may have; 0 if a shader may not read two textures.
    pub texture_rows: usize,
    /// Workgroup memory that one workgroup may have.
    pub workgroup_bytes: usize,
    /// How weights are stored, and the activations that need not be in f32.
    pub storage: Storage,
}

impl Accelerator {
    /// The workgroup memory to plan with: at most the 16 KiB that every adapter has, so that several workgroups are
    /// resident on one multiprocessor.
    pub(super) fn workgroup_memory(&self) -> usize {
        self.workgroup_bytes.min(16 << 10)
    }

    /// The same GPU as a browser offers it: WebGPU has neither 64-bit integers nor cooperative matrices.
    pub fn in_browser(self) -> Self {
        Self { int64: false, matrix_side: None, ..self }
    }
}

/// Texels in one row of a texture that holds a copy of an f32 buffer. Texel t holds numbers 4t to 4t + 3 and is in column
/// t % TEXTURE_WIDTH of row t / TEXTURE_WIDTH.
pub const TEXTURE_WIDTH: usize = 1024;

/// The names of all variants of all operations of a forward pass.
pub const VARIANT_NAMES: [&str; 14] = [
    "plain",
    "tile 8",
    "tile 4",
    "tile 4 sliced",
    "subgroups",
    "winograd",
    "winograd texture",
    "matrices 8",
    "matrices 16",
    "fused 256",
    "fused 8",
    "rows",
    "halves",
    "slices",
];

/// How a GPU runs an operation. The counterpart on the CPU is [`Operation::reference`].
pub trait GpuOperation: Operation {
    /// Describes the ways to run the operation on a device, the one estimated to be the fastest first.
    ///
    /// `layouts` are those of the reads and, last, of the output; those of weights have no meaning. The result is empty only
    /// if the operation cannot take these layouts.
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant>;

    /// Whether all reads and the output with the shape of the first read must have one layout of whole vec4s.
    fn needs_aligned_rows(&self) -> bool {
        false
    }

    /// The zeros that must surround the samples of a row of the first read.
    fn padding(&self) -> usize {
        0
    }

    /// The zeros that the operation may read before the first row of its first read.
    fn base_offset(&self) -> usize {
        self.padding()
    }

    /// The best offset of the samples in a row of the first read, for an output whose samples are at `y_offset`.
    fn offset(&self, y_offset: usize) -> usize {
        let _ = y_offset;
        0
    }

    /// A divisor that the pitches of the first read and of the output must have.
    fn pitch_multiple(&self) -> usize {
        1
    }
}

/// One way to run an operation on a GPU.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The name among the operation's variants. The variant `plain` runs on every device.
    pub name: &'static str,
    /// The shader.
    pub shader: Shader,
    /// The shader's parameter struct, word by word, in whole vec4s.
    pub parameters: Vec<u32>,
    /// Workgroups along x, y and z.
    pub grid: [usize; 3],
    /// Whether the shader uses subgroups.
    pub subgroups: bool,
    /// How many partial results the shader writes, one after another, each as long as the output and without gaps. The
    /// backend adds them up.
    pub parts: usize,
    /// The order in which the shader reads its weights.
    pub packing: Packing,
}

impl Variant {
    /// A variant named `plain` without subgroups, partial results or packing.
    pub fn plain(shader: Shader, parameters: impl Into<Vec<usize>>, grid: [usize; 3]) -> Self {
        let mut parameters: Vec<u32> = parameters.into().into_iter().map(|size| size as u32).collect();
        parameters.resize(parameters.len().next_multiple_of(4), 0);
        Self { name: "plain", shader, parameters, grid, subgroups: false, parts: 1, packing: Packing::NONE }
    }
}

/// Brings weights into the order in which a variant's shader reads them.
#[derive(Clone, Copy)]
pub struct Packing(pub(super) fn(&Kernel, usize, &[f32]) -> Vec<f32>);

impl Packing {
    /// Leaves weights in the order of the plan.
    pub const NONE: Self = Self(|_, _, values| values.to_vec());

    /// Packs read number `read` of a step, constants or trained weights. `kernel` must be the operation of the variant, of
    /// any size. Numbers change places and zeros are added, nothing else.
    pub fn pack(self, kernel: &Kernel, read: usize, values: &[f32]) -> Vec<f32> {
        (self.0)(kernel, read, values)
    }
}

impl fmt::Debug for Packing {
    /// Writes no address, because tuning files contain a hash of this text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packing")
    }
}

/// A shader with the values that specialise it.
#[derive(Debug, Clone)]
pub struct Shader {
    /// The name of the file in `shaders/`, without its extension.
    pub name: &'static str,
    /// WGSL with one entry point, `main`. Binding 0 is the uniform of parameters. The buffers that are read follow in the
    /// order of the step, then the buffer that is written.
    pub source: Source,
    /// Whether one more binding follows: a u32 per record, which the shader sets to 1 if a number of that record was too
    /// large for the output.
    pub notes_overflow: bool,
    /// Which of the reads are textures that hold copies of buffers, see [`TEXTURE_WIDTH`].
    pub textures: &'static [usize],
    /// The values of the shader's `override` declarations.
    pub constants: Vec<(&'static str, f64)>,
}

impl Shader {
    /// A shader that reads buffers alone and reports no overflow.
    pub fn new(name: &'static str, source: impl Into<Source>) -> Self {
        Self { name, source: source.into(), notes_overflow: false, textures: &[], constants: Vec::new() }
    }

    /// Returns the source for a browser, which demands a line for subgroups that naga refuses.
    pub fn source_for_browser(&self) -> String {
        let code = |line: &str| line.split("//").next().is_some_and(|code| code.contains("subgroup"));
        let enable = if self.source.lines().any(code) { "enable subgroups;\n" } else { "" };
        format!("{enable}{}", &*self.source)
    }
}

/// The WGSL of a shader. It is generated when it is first read, so that a variant that does not run costs nothing.
#[derive(Clone)]
pub struct Source(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Generated(Arc<LazyLock<Cow<'static, str>, Generator>>),
}

type Generator = Box<dyn FnOnce() -> Cow<'static, str> + Send>;

impl Source {
    /// The text that `generate` returns.
    pub fn generated(generate: impl FnOnce() -> String + Send + 'static) -> Self {
        Self(Text::Generated(Arc::new(LazyLock::new(Box::new(|| generate().into())))))
    }

    /// A template whose lines `//# name` are replaced by the unrolled lines of that name.
    pub(super) fn filled<const N: usize>(
        template: impl Into<Self>,
        unrolled: impl FnOnce() -> [(&'static str, Vec<String>); N] + Send + 'static,
    ) -> Self {
        let template = template.into();
        Self::generated(move || fill(&template, &unrolled()))
    }
}

impl Deref for Source {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Generated(text) => text,
        }
    }
}

impl From<&'static str> for Source {
    fn from(text: &'static str) -> Self {
        Self(Text::Static(text))
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self::generated(|| text)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Replaces each line `//# name` of a template by the unrolled lines of that name, with the same indentation.
fn fill(template: &str, unrolled: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let name = line.trim_start().strip_prefix("//# ");
        let lines = name.and_then(|name| unrolled.iter().find(|(other, _)| *other == name)).map(|(_, lines)| lines);
        let indent = &line[..line.len() - line.trim_start().len()];
        match lines {
            Some(lines) => lines.iter().for_each(|line| text.extend([indent, line, "\n"])),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// Declares u32 constants for a shader, one line each.
pub(super) fn declarations(constants: impl IntoIterator<Item = (&'static str, usize)>) -> Vec<String> {
    constants.into_iter().map(|(name, value)| format!("const {name}: u32 = {value};")).collect()
}

/// Returns the name of the vec4 component that holds number `index` of a row of vec4s.
pub(super) fn component(index: usize) -> char {
    ['x', 'y', 'z', 'w'][index % 4]
}

/// The layouts of x, the first read of an operation, and of y, its output.
pub(super) fn input_and_output(layouts: &[RowLayout]) -> [RowLayout; 2] {
    match layouts {
        [x, .., y] => [*x, *y],
        _ => unreachable!("an operation has a read and an output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_generated_once_and_only_when_read() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static GENERATED: AtomicUsize = AtomicUsize::new(0);
        let source = Source::filled("a\n  //# b\nc", || {
            GENERATED.fetch_add(1, Ordering::Relaxed);
            [("b", vec!["1".into(), "2".into()])]
        });
        let copy = source.clone();
        assert_eq!(GENERATED.load(Ordering::Relaxed), 0);
        assert_eq!((&*source, &*copy), ("a\n  1\n  2\nc\n", "a\n  1\n  2\nc\n"));
        assert_eq!(GENERATED.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_browser_is_told_of_subgroups_where_code_uses_them() {
        let enabled =
            |source: &'static str| Shader::new("", source).source_for_browser().starts_with("enable subgroups;");
        assert!(enabled("enable f16;\nfn f() { let sum = subgroupAdd(1.0); }"));
        assert!(enabled("@compute fn main(@builtin(subgroup_invocation_id) lane: u32) {}"));
        assert!(!enabled("// No subgroup is needed.\nfn f() {}"));
    }
}
