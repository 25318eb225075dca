// The labels of mixed records. Counterpart: src/kernels/training/augment/mix.rs.
//
// kept = (1 - share) * labels[r] + share * labels[partner]
// y[r] = (1 - replaced) * kept + replaced * labels[cut_partner]

const WORKGROUP: u32 = 64;
const SHARE: u32 = 4; // index in the draws
const PARTNER: u32 = 5;
const CUT_LENGTH: u32 = 7;
const CUT_PARTNER: u32 = 8;

struct MixLabels {
    rows: u32,
    classes: u32,
    samples: u32,
    labels_first: u32,
    labels_pitch: u32,
    draws_first: u32,
    draws_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: MixLabels;
@group(0) @binding(1) var<storage, read> labels: array<f32>;        // [rows, classes, labels_pitch] after labels_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;    // [rows, draws_pitch] after draws_first
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, classes, y_pitch] after y_base_offset

fn label(row: u32, class_at: u32) -> f32 {
    return labels[sizes.labels_first + (row * sizes.classes + class_at) * sizes.labels_pitch];
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let place = at / sizes.y_pitch;
    if place >= sizes.rows * sizes.classes {
        return;
    }
    let t = at % sizes.y_pitch - sizes.y_offset; // a large number beside the label, by wraparound
    let row = place / sizes.classes;
    let drawn = sizes.draws_first + row * sizes.draws_pitch;
    let class_at = place % sizes.classes;
    var value = 0.0;
    if t == 0 {
        value = label(row, class_at);
        value += draws[drawn + SHARE] * (label(u32(draws[drawn + PARTNER]), class_at) - value);
        let replaced = draws[drawn + CUT_LENGTH] / f32(sizes.samples);
        value += replaced * (label(u32(draws[drawn + CUT_PARTNER]), class_at) - value);
    }
    // The zeros around a label are written too.
    y[sizes.y_base_offset + at] = value;
}
