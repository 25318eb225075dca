// Weighted binary cross entropy or focal loss of each record, or its gradient by the logits. Counterpart:
// src/kernels/training/supervised_loss.rs.
//
// loss[b] = mean over c of weight[c] * (y * POSITIVE * (1 - p)^FOCUS * -ln(p) + (1 - y) * NEGATIVE * p^FOCUS * -ln(1 - p))
//
// with p = sigmoid(z[b, c]), y = labels[b, c]; the gradient is that of the mean over the records. An invocation computes
// one record.

override GRADIENT: bool;
override FOCUS: u32;
override POSITIVE: f32;
override NEGATIVE: f32;

const WORKGROUP: u32 = 64;

struct SupervisedLoss {
    batch: u32,
    classes: u32,
    z_first: u32,
    z_pitch: u32,
    labels_first: u32,
    labels_pitch: u32,
    weights_first: u32,
    out_base_offset: u32,
    out_pitch: u32,
    out_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: SupervisedLoss;
@group(0) @binding(1) var<storage, read> z: array<f32>;          // [batch, classes, z_pitch] after z_first
@group(0) @binding(2) var<storage, read> labels: array<f32>;     // [batch, classes, labels_pitch] after labels_first
@group(0) @binding(3) var<storage, read> weights: array<f32>;    // [classes] after weights_first
@group(0) @binding(4) var<storage, read_write> out: array<f32>;  // [out_pitch] or [batch, classes, out_pitch] after out_base_offset

// sigmoid(x), without overflow.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// ln(1 + e) for e from 0 to 1, as 2 artanh(e / (2 + e)). The logarithm of WGSL may be wrong by 2^-21 here, and 1 + e would
// lose the digits of a small e.
fn log1p(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let q = s * s;
    let high = 1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0)));
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * high))));
}

// -ln(sigmoid(x)) = ln(1 + e^-x), without overflow.
fn entropy(x: f32) -> f32 {
    return max(-x, 0.0) + log1p(exp(-abs(x)));
}

// The loss and its derivative by x, where sigmoid(x) should be 1.
fn term(weight: f32, x: f32) -> vec2<f32> {
    let right = sigmoid(x);
    let wrong = sigmoid(-x);
    var factor = weight;
    for (var i = 0u; i < FOCUS; i++) {
        factor *= wrong;
    }
    return factor * vec2(entropy(x), -(f32(FOCUS) * right * entropy(x) + wrong));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let at = invocation.x;
    if !GRADIENT {
        let b = at - sizes.out_offset; // a large number before the first loss, by wraparound
        if at >= sizes.out_pitch {
            return;
        }
        var sum = 0.0;
        for (var c = 0u; b < sizes.batch && c < sizes.classes; c++) {
            sum += weights[sizes.weights_first + c] * mixed(b * sizes.classes + c).x;
        }
        // The zeros around the losses are written too.
        out[sizes.out_base_offset + at] = sum / f32(sizes.classes);
        return;
    }
    if at >= sizes.batch {
        return;
    }
    for (var c = 0u; c < sizes.classes; c++) {
        let i = at * sizes.classes + c;
        let value = weights[sizes.weights_first + c] * mixed(i).y / f32(sizes.batch * sizes.classes);
        for (var in_row = 0u; in_row < sizes.out_pitch; in_row++) {
            out[sizes.out_base_offset + i * sizes.out_pitch + in_row] = select(0.0, value, in_row == sizes.out_offset);
        }
    }
}

// The loss of a logit with its label, and the derivative.
fn mixed(i: u32) -> vec2<f32> {
    let logit = z[sizes.z_first + i * sizes.z_pitch];
    let label = labels[sizes.labels_first + i * sizes.labels_pitch];
    return label * term(POSITIVE, logit) + (1.0 - label) * term(NEGATIVE, -logit) * vec2(1.0, -1.0);
}
