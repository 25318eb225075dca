//! The convolution for GPUs that multiply matrices in f16 and add in f32, such as NVIDIA's tensor cores: a workgroup of four
//! subgroups stages the samples of some input channels, and each subgroup holds eight matrices of sums. Counterpart:
//! shaders/conv1d/matrices.wgsl.
//!
//! For each tap and as many input channels as a matrix has rows, a subgroup loads two matrices of weights and four of
//! samples and multiplies eight times. A matrix must begin at a multiple of 16 bytes. If samples
//! were contiguous, a window moved by one tap would not. So the staging transposes: neighbouring invocations take
//! neighbouring channels, which has no bank conflict in workgroup memory and reads whole 32-byte sectors through the cache in
//! four passes.
//!
//! The network's input is in f32 and is rounded to f16 as it is staged. A grid that is too small for matrices, as that of a
//! single record, is left to [`super::tile`].
//!
//! Devices are opened without cooperative matrices, because what wgpu 30 makes of the shader breaks the rules of Vulkan's
//! memory model. Reasons, estimates, errors and measurements: docs/measurements/conv1d-matrices.md.

use super::{Conv1d, Packing, RowLayout, Source, Variant, blocks, declarations, shader, write_lines};
use crate::kernels::{
    Accelerator, Storage,
    storage::{self, Elements},
};

/// Subgroups of a workgroup: two along the channels by two along the positions.
const SUBGROUPS: usize = 4;
/// Matrices of channels per subgroup.
const ROWS: usize = 2;
/// Matrices of positions per subgroup.
const COLUMNS: usize = 4;
/// The most matrices of input channels that are staged at once.
const MOST_STAGED: usize = 4;

/// The sides that a matrix may have, with the name and the packing of the variant.
const SIDES: [(usize, &str, Packing); 2] = [
    (16, "matrices 16", Packing(|kernel, read, values| packed(kernel.of_type(), 16, read, values))),
    (8, "matrices 8", Packing(|kernel, read, values| packed(kernel.of_type(), 8, read, values))),
];

/// None if the device has no such matrices or its subgroups differ in size, if y or the weights are not native f16, or if
/// a window is too long to be staged.
pub(super) fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Option<Variant> {
    let lanes = accelerator.subgroup_size?;
    let (side, name, packing) = SIDES.into_iter().find(|(side, ..)| accelerator.matrix_side == Some(*side))?;
    if [y.storage, accelerator.storage] != [Storage::F16; 2] {
        return None;
    }
    let (shift, positions) = (conv.shift(x, y), 2 * COLUMNS * side);
    let window = ((positions - 1) * conv.stride + shift + conv.kernel).next_multiple_of(4);
    let memory = accelerator.workgroup_memory().checked_sub(SUBGROUPS * side * side * size_of::<f32>())?;
    let staged = (memory / (window * side * Storage::F16.bytes())).min(MOST_STAGED);
    if staged == 0 {
        return None;
    }
    let constants = [
        ("SIDE", side),
        ("LANES", lanes),
        ("KERNEL", conv.kernel),
        ("STRIDE", conv.stride),
        ("SHIFT", shift),
        ("WINDOW", window),
        ("STAGED", staged),
    ];
    let sizes = conv.clone();
    let source = Source::filled(include_str!("../../../shaders/conv1d/matrices.wgsl"), move || {
        let y = Some((y.storage, sizes.written()));
        [
            ("storage", storage::lines(&[("x", x.storage, Elements::Four)], y, 2)),
            ("write", write_lines(&sizes)),
            ("staged", staged_lines(x.storage)),
            ("constants", declarations(constants)),
            ("declare", declare(side)),
            ("multiply", multiply(side)),
            ("store", store()),
        ]
    });
    let (overrides, base_offset) = conv.window_and_base_offset(x, y);
    Some(Variant {
        name,
        shader: shader("conv1d/matrices", source, y, overrides),
        parameters: conv.parameters(base_offset, x, y),
        grid: [y.pitch.div_ceil(positions), conv.out_channels.div_ceil(SUBGROUPS * side), conv.batch],
        subgroups: true,
        parts: 1,
        packing,
    })
}

/// The row and the column of each matrix of sums.
fn sums() -> impl Iterator<Item = (usize, usize)> {
    (0..ROWS).flat_map(|r| (0..COLUMNS).map(move |c| (r, c)))
}

/// The type of a matrix in a role: A for weights, B for samples, C for sums.
fn matrix(side: usize, scalar: &str, role: char) -> String {
    format!("coop_mat{side}x{side}<{scalar}, {role}>")
}

fn declare(side: usize) -> Vec<String> {
    sums().map(|(r, c)| format!("var sum{r}_{c}: {};", matrix(side, "f32", 'C'))).collect()
}

fn multiply(side: usize) -> Vec<String> {
    let weights = (0..ROWS).map(|r| {
        let from = format!("from_weight + {r} * blocks * KERNEL * MATRIX");
        format!("let w{r} = coopLoadT<{}>(&weight[{from}], SIDE);", matrix(side, "f16", 'A'))
    });
    let samples = (0..COLUMNS).map(|c| {
        let from = format!("from_window + {c} * SIDE * STRIDE * SIDE");
        format!("let x{c} = coopLoad<{}>(&window[{from}], STRIDE * SIDE);", matrix(side, "f16", 'B'))
    });
    let products = sums().map(|(r, c)| format!("sum{r}_{c} = coopMultiplyAdd(w{r}, x{c}, sum{r}_{c});"));
    weights.chain(samples).chain(products).collect()
}

fn store() -> Vec<String> {
    let lines = sums().flat_map(|(r, c)| {
        [
            format!("coopStoreT(sum{r}_{c}, &sums[from_sum], SIDE);"),
            "workgroupBarrier();".into(),
            "for (var i = lane; i < MATRIX / 4; i += LANES) {".into(),
            format!("    let o = (channels + {r}) * SIDE + i / (SIDE / 4);"),
            format!("    let p = group.x * POSITIONS + position + {c} * SIDE + i % (SIDE / 4) * 4;"),
            "    let at = from_sum + i * 4;".into(),
            "    store(b, o, p, vec4(sums[at], sums[at + 1], sums[at + 2], sums[at + 3]) + bias[o]);".into(),
            "}".into(),
            "workgroupBarrier();".into(),
        ]
    });
    lines.collect()
}

/// Generates `fn staged(i) -> vec4<f16>`, four samples of x. Those of the network's input are in f32 and may be too large
/// for f16.
fn staged_lines(storage: Storage) -> Vec<String> {
    let note = if storage == Storage::F32 { &["    note_largest(x[i]);"][..] } else { &[] };
    let lines = [&["fn staged(i: u32) -> vec4<f16> {"], note, &["    return vec4<f16>(x[i]);", "}"]];
    lines.concat().into_iter().map(String::from).collect()
}

/// Packs weights as a matrix `[out_channels, in_channels]` per tap: `[out_channels / side, in_channels / side, kernel,
/// side, side]`, padded with zeros to whole matrices and workgroups. Biases are padded likewise.
pub(super) fn packed(conv: &Conv1d, side: usize, read: usize, values: &[f32]) -> Vec<f32> {
    let block = SUBGROUPS * side;
    if read != 1 {
        return blocks(values, conv.out_channels, block, 1, |of, o, _| of * block + o, block);
    }
    let row_of_matrices = conv.in_channels.div_ceil(side) * conv.kernel * side * side;
    let place = |of: usize, o: usize, tap: usize| {
        let (c, k) = (tap / conv.kernel, tap % conv.kernel);
        let matrix = (of * SUBGROUPS + o / side) * row_of_matrices + (c / side * conv.kernel + k) * side * side;
        matrix + o % side * side + c % side
    };
    blocks(values, conv.out_channels, block, conv.in_channels * conv.kernel, place, SUBGROUPS * row_of_matrices)
}
