// The mean over the samples of every channel, and a linear layer of the means. Counterpart: src/kernels/pooled_linear.rs.
//
// y[b, c] = mean over t of x[b, c, t]
// y[b, channels + o] = bias[o] + sum over c of weight[o, c] * y[b, c]
//
// A workgroup computes one record. ACROSS invocations sum one row, whose other numbers are zeros, and SLICES invocations sum
// one output. Their sums are added in the same order every time, so that the result has the same bits.

//# storage

//# constants

const WORKGROUP: u32 = OUTPUTS * SLICES;
const FEATURES: u32 = (CHANNELS + 3) / 4;  // in vec4s, the last padded with zeros

struct PooledLinear {
    samples: u32,
    out_features: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> size: PooledLinear;
@group(0) @binding(1) var<storage, read> x: array<X>;            // vec4s [batch, CHANNELS, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read> weight: array<Weight>;  // vec4s [out_features, FEATURES]
@group(0) @binding(3) var<storage, read> bias: array<f32>;       // [out_features]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [batch, CHANNELS + out_features] after y_base_offset

var<workgroup> sums: array<f32, FEATURES * 4 * ACROSS>;
var<workgroup> features: array<vec4<f32>, FEATURES>;
var<workgroup> partial: array<f32, WORKGROUP>;

fn mean(c: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < ACROSS; i++) {
        sum += sums[c * ACROSS + i];
    }
    return sum / f32(size.samples);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = group.x;
    let row = size.x_pitch / 4;
    for (var c = lane / ACROSS; c < FEATURES * 4; c += WORKGROUP / ACROSS) {
        var sum = vec4(0.0);
        let first = size.x_base_offset / 4 + (b * CHANNELS + c) * row;
        for (var t = lane % ACROSS; t < row && c < CHANNELS; t += ACROSS) {
            sum += x_at(first + t);
        }
        sums[c * ACROSS + lane % ACROSS] = sum.x + sum.y + sum.z + sum.w;
    }
    workgroupBarrier();
    let to = size.y_base_offset + b * (CHANNELS + size.out_features);
    for (var i = lane; i < FEATURES; i += WORKGROUP) {
        let four = vec4(mean(4 * i), mean(4 * i + 1), mean(4 * i + 2), mean(4 * i + 3));
        features[i] = four;
        //# store
    }
    for (var from_output = 0u; from_output < size.out_features; from_output += OUTPUTS) {
        workgroupBarrier();
        let o = from_output + lane % OUTPUTS;
        var sum = 0.0;
        for (var i = lane / OUTPUTS; i < FEATURES && o < size.out_features; i += SLICES) {
            sum += dot(weight_at(o * FEATURES + i), features[i]);
        }
        partial[lane] = sum;
        workgroupBarrier();
        if lane < OUTPUTS && o < size.out_features {
            sum = bias[o];
            for (var slice = 0u; slice < SLICES; slice++) {
                sum += partial[slice * OUTPUTS + lane];
            }
            y[to + CHANNELS + o] = sum;
        }
    }
}
