// Draws the random parameters of each record. Counterpart: src/kernels/training/augment/draw.rs, which adds the random
// numbers at `//# philox`.
//
// An invocation computes one row. The last word of the counter of the random words separates the augmentations.

const WORKGROUP: u32 = 64;
const STEP: u32 = 0; // index in the schedule
const SETTING: u32 = 5; // numbers per setting: rate, range, second range
const QUANTILES: f32 = 257.0;
const DRAWS: u32 = 16; // numbers per row

struct Draw {
    rows: u32,
    records: u32,
    samples: u32,
    schedule_first: u32,
    settings_first: u32,
    quantiles_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: Draw;
@group(0) @binding(1) var<storage, read> schedule: array<f32>;   // after schedule_first
@group(0) @binding(2) var<storage, read> settings: array<f32>;   // [9, SETTING] after settings_first
@group(0) @binding(3) var<storage, read> quantiles: array<f32>;  // [QUANTILES] after quantiles_first
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [rows, y_pitch] after y_base_offset

//# philox

// One of 0..n.
fn below(word: u32, n: u32) -> u32 {
    return product(word, n).x;
}

fn words_of(row: u32, domain: u32) -> vec4<u32> {
    return philox(vec4(0, u32(schedule[sizes.schedule_first + STEP]), row, domain));
}

fn setting(augmentation: u32, number: u32) -> f32 {
    return settings[sizes.settings_first + augmentation * SETTING + number];
}

fn happens(augmentation: u32, words: vec4<u32>) -> bool {
    return unit(words.x) < setting(augmentation, 0);
}

// An amount between numbers `low` and `low + 1` of the setting, or `neutral` if the row is not augmented.
fn amount(augmentation: u32, words: vec4<u32>, low: u32, word: u32, neutral: f32) -> f32 {
    let smallest = setting(augmentation, low);
    let drawn = smallest + (setting(augmentation, low + 1) - smallest) * unit(word);
    return select(neutral, drawn, happens(augmentation, words));
}

// The first of some samples, and how many.
fn segment(augmentation: u32, words: vec4<u32>) -> vec2<f32> {
    if !happens(augmentation, words) {
        return vec2(0.0);
    }
    let shortest = u32(setting(augmentation, 1));
    let length = shortest + below(words.y, u32(setting(augmentation, 2)) - shortest + 1);
    return vec2(f32(1 + below(words.z, sizes.samples - 1 - length)), f32(length));
}

// Another record of the same view.
fn partner(row: u32, word: u32) -> f32 {
    let record = row % sizes.records;
    return f32(row - record + (record + 1 + below(word, sizes.records - 1)) % sizes.records);
}

fn share(words: vec4<u32>) -> f32 {
    let place = unit(words.y) * (QUANTILES - 1.0);
    let at = u32(place);
    let below_it = quantiles[sizes.quantiles_first + at];
    let drawn = below_it + (quantiles[sizes.quantiles_first + at + 1] - below_it) * (place - f32(at));
    return select(0.0, drawn, happens(1, words));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (group.y * groups.x + group.x) * WORKGROUP + lane;
    if row >= sizes.rows {
        return;
    }
    let warp = words_of(row, 1);
    let mixup = words_of(row, 2);
    let band = words_of(row, 3);
    let cutmix = words_of(row, 4);
    let wander = words_of(row, 5);
    let noise = words_of(row, 6);
    let dropout = words_of(row, 7);
    let gain = words_of(row, 10);
    let leads = words_of(row, 11);
    let cut = segment(3, cutmix);
    let gap = segment(6, dropout);
    let numbers = array<f32, DRAWS>(
        amount(0, warp, 1, warp.y, 1.0),
        unit(warp.z) * f32(sizes.samples - 1),
        amount(2, band, 1, band.y, 0.0),
        amount(2, band, 3, band.z, 0.0),
        share(mixup),
        partner(row, mixup.z),
        cut.x,
        cut.y,
        partner(row, cutmix.w),
        amount(4, wander, 1, wander.y, 0.0),
        amount(5, noise, 1, noise.y, 0.0),
        gap.x,
        gap.y,
        amount(7, gain, 1, gain.y, 1.0),
        amount(8, leads, 1, leads.y, 0.0),
        0.0,
    );
    // The zeros around the samples of a row are written too.
    for (var i = 0u; i < sizes.y_pitch; i++) {
        let at = i - sizes.y_offset; // a large number before the first, by wraparound
        y[sizes.y_base_offset + row * sizes.y_pitch + i] = select(0.0, numbers[min(at, DRAWS - 1)], at < DRAWS);
    }
}
