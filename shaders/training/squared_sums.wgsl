// Sums of squares, one per stretch. Counterpart: src/kernels/training/squared_sums.rs.
//
// y[s] = sum over stretch s of x[i]^2
//
// A workgroup computes one stretch. Its invocations add up every 64th number and are then added in pairs, always in the
// same order, so that the result has the same bits every time.

const WORKGROUP: u32 = 64;

struct SquaredSums {
    length: u32,
    stretch: u32,
    stretches: u32,
    x_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: SquaredSums;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [length] after x_first
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [y_pitch] after y_base_offset

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let s = group.x;
    var sum = 0.0;
    for (var i = s * sizes.stretch + lane; i < min((s + 1) * sizes.stretch, sizes.length); i += WORKGROUP) {
        let value = x[sizes.x_first + i];
        sum += value * value;
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane == 0 {
        y[sizes.y_base_offset + sizes.y_offset + s] = partial[0];
    }
    // Writes the zeros around the sums.
    let sums_end = sizes.y_offset + sizes.stretches;
    for (var at = lane; s == 0 && at < sizes.y_pitch; at += WORKGROUP) {
        if at < sizes.y_offset || at >= sums_end {
            y[sizes.y_base_offset + at] = 0.0;
        }
    }
}
