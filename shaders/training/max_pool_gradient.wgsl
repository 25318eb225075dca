// The gradient of a max pool. Counterpart: src/kernels/training/max_pool_gradient.rs.
//
// dx[row, i] = sum of dy[row, t] over the windows t whose first largest sample is i, a row being a channel of a record

override KERNEL: u32;
override STRIDE: u32;

const WORKGROUP: u32 = 64;

struct MaxPoolGradient {
    rows: u32,
    in_samples: u32,
    out_samples: u32,
    x_first: u32,
    x_pitch: u32,
    dy_first: u32,
    dy_pitch: u32,
    dx_base_offset: u32,
    dx_pitch: u32,
    dx_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: MaxPoolGradient;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [rows, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> dy: array<f32>;        // [rows, dy_pitch] after dy_first
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;  // dx, [rows, dx_pitch] after dx_base_offset

// The first largest sample of window t.
fn largest(row: u32, t: u32) -> u32 {
    var at = t * STRIDE;
    var value = x[row + at];
    for (var i = t * STRIDE + 1; i < t * STRIDE + KERNEL; i++) {
        let other = x[row + i];
        if other > value {
            at = i;
            value = other;
        }
    }
    return at;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let row = at / sizes.dx_pitch;
    if row >= sizes.rows {
        return;
    }
    let i = at % sizes.dx_pitch - sizes.dx_offset; // a large number before the first sample, by wraparound
    var sum = 0.0;
    if i < sizes.in_samples {
        // The windows that contain sample i.
        let from_window = (max(i + 1, KERNEL) - KERNEL + STRIDE - 1) / STRIDE;
        for (var t = from_window; t <= min(i / STRIDE, sizes.out_samples - 1); t++) {
            if largest(sizes.x_first + row * sizes.x_pitch, t) == i {
                sum += dy[sizes.dy_first + row * sizes.dy_pitch + t];
            }
        }
    }
    // The zeros around the samples of a row are written too.
    gradient[sizes.dx_base_offset + at] = sum;
}
