//! The convolution for GPUs that multiply matrices in f16 and add in f32, as the tensor cores of NVIDIA's do: a workgroup
//! of four subgroups stages the samples of some input channels, and each subgroup keeps eight matrices of sums. Twin:
//! shaders/conv1d/matrices.wgsl.
//!
//! For a tap and as many input channels as a matrix has rows, a subgroup loads two matrices of weights and four of samples
//! and multiplies eight times. Matrices must begin at multiples of 16 bytes, and a window that moves by one tap does not
//! where samples lie side by side; so staging turns them round, neighbouring invocations taking neighbouring channels,
//! which meets no bank conflict in workgroup memory and reads whole 32-byte sectors through the cache in four turns.
//!
//! Reckoned, not yet measured on a real GPU: a staged number serves 64 channels × kernel / stride products, 96 at the
//! least here. A multiprocessor stages at least 16 numbers a cycle and multiplies about 1024 pairs, so that the products
//! are what counts; at a third of that rate a record of network 542k at 12 × 1000 takes 1.1 µs on 132 multiprocessors,
//! beside 6 µs at half of their f32 rate. A single record's grid is too small for that, and left to [`super::tile`].
//!
//! The network's input, in f32, is rounded to f16 as it is staged: the first layer's error is 6.1e-8 in the mean square then,
//! beside 4.8e-8 of storing its output alone. Left in f32 it would take 0.25 µs of those 1.1.
//!
//! Proved right on Mesa 26's lavapipe, which has matrices of 8 × 8 and runs it eight times as long as the variant for its
//! subgroups. Of 16 × 16, as NVIDIA's GPUs have them, the shader's text is known to be valid, no more.

use super::{Conv1d, RowLayout, Variant, blocks, shader, write_lines};
use crate::kernels::{
    Accelerator, Storage, fill,
    storage::{self, Elements},
};

/// Subgroups of a workgroup, two of channels by two of positions, and the matrices of each.
const SUBGROUPS: usize = 4;
const ROWS: usize = 2;
const COLUMNS: usize = 4;
/// Times that many input channels as a matrix has rows are staged at once at most.
const MOST_STAGED: usize = 4;

/// The sides that a matrix may have, and the variant's name for each.
const SIDES: [(usize, &str); 2] = [(16, "matrices 16"), (8, "matrices 8")];

/// None where there are no such matrices or subgroups differ in size, where y or the weights are not in f16 as shaders have
/// it, and where a window is too long to be staged.
pub(super) fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Option<Variant> {
    let lanes = accelerator.subgroup_size?;
    let (side, name) = SIDES.into_iter().find(|(side, _)| accelerator.matrix_side == Some(*side))?;
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
    let sums = || (0..ROWS).flat_map(|r| (0..COLUMNS).map(move |c| (r, c)));
    let matrix = |scalar: &str, role: &str| format!("coop_mat{side}x{side}<{scalar}, {role}>");
    let weights = (0..ROWS).map(|r| {
        let from = format!("from_weight + {r} * blocks * KERNEL * MATRIX");
        format!("let w{r} = coopLoadT<{}>(&weight[{from}], SIDE);", matrix("f16", "A"))
    });
    let samples = (0..COLUMNS).map(|c| {
        let from = format!("from_window + {c} * SIDE * STRIDE * SIDE");
        format!("let x{c} = coopLoad<{}>(&window[{from}], STRIDE * SIDE);", matrix("f16", "B"))
    });
    let products = sums().map(|(r, c)| format!("sum{r}_{c} = coopMultiplyAdd(w{r}, x{c}, sum{r}_{c});"));
    let store = sums().flat_map(|(r, c)| {
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
    let constants = [
        ("SIDE", side),
        ("LANES", lanes),
        ("KERNEL", conv.kernel),
        ("STRIDE", conv.stride),
        ("SHIFT", shift),
        ("WINDOW", window),
        ("STAGED", staged),
    ];
    let declare = sums().map(|(r, c)| format!("var sum{r}_{c}: {};", matrix("f32", "C")));
    let source = fill(
        include_str!("../../../shaders/conv1d/matrices.wgsl"),
        &[
            ("storage", storage::lines(&[("x", x.storage, Elements::Four)], Some((y.storage, conv.written())), 2)),
            ("write", write_lines(conv)),
            ("staged", staged_lines(x.storage)),
            ("constants", constants.map(|(name, value)| format!("const {name}: u32 = {value};")).into()),
            ("declare", declare.collect()),
            ("multiply", weights.chain(samples).chain(products).collect()),
            ("store", store.collect()),
        ],
    );
    let (constants, head) = conv.vector_window_and_base_offset(x, y);
    Some(Variant {
        name,
        shader: shader("conv1d/matrices", source, y, constants),
        parameters: conv.parameters(head, x, y),
        grid: [y.pitch.div_ceil(positions), conv.out_channels.div_ceil(SUBGROUPS * side), conv.batch],
        subgroups: true,
    })
}

/// `fn staged(i) -> vec4<f16>`, four samples of x. Those of the network's input are in f32, and may be too large.
fn staged_lines(storage: Storage) -> Vec<String> {
    let note = if storage == Storage::F32 { &["    note_size(x[i]);"][..] } else { &[] };
    let lines = [&["fn staged(i: u32) -> vec4<f16> {"], note, &["    return vec4<f16>(x[i]);", "}"]];
    lines.concat().into_iter().map(String::from).collect()
}

/// The side of the matrices of a variant of this name.
pub(super) fn side(variant: &str) -> Option<usize> {
    SIDES.into_iter().find(|(_, name)| *name == variant).map(|(side, _)| side)
}

/// Weights as matrices `[out_channels, in_channels]` for each tap: `[out_channels / side, in_channels / side, kernel, side,
/// side]`, filled up with zeros to whole matrices and workgroups. Biases filled up likewise.
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
