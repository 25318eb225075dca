// Wander of the baseline, and noise. Counterpart: src/kernels/training/augment/wander_and_noise.rs. It adds the
// random numbers and sine and cosine at `//#`.
//
// y = x + sum over the lead's two sources s of weight * (a[s] * sin(2 pi (f * t + phase[s])) + level * deviation[s] * n[s, t])
//
// An invocation computes four samples: four random words give four normal numbers.

override SAMPLING_RATE: f32;
override SMALLEST_AMPLITUDE: f32;
override LARGEST_AMPLITUDE: f32;

const WORKGROUP: u32 = 64;
const SAMPLES: u32 = 4; // per invocation
const STEP: u32 = 0; // index in the schedule
const WANDER: u32 = 9; // index in the draws
const NOISE: u32 = 10;
const WANDER_DOMAIN: u32 = 8; // the last word of a counter
const NOISE_DOMAIN: u32 = 9;

struct WanderAndNoise {
    rows: u32,
    leads: u32,
    samples: u32,
    x_first: u32,
    x_pitch: u32,
    draws_first: u32,
    draws_pitch: u32,
    statistics_first: u32,
    statistics_pitch: u32,
    sources_first: u32,
    schedule_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: WanderAndNoise;
@group(0) @binding(1) var<storage, read> x: array<f32>;           // [rows, leads, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;       // [rows, draws_pitch] after draws_first
@group(0) @binding(3) var<storage, read> statistics: array<f32>;  // [rows, 2, leads, statistics_pitch] after statistics_first
@group(0) @binding(4) var<storage, read> sources: array<f32>;     // [leads, 2, 2] after sources_first
@group(0) @binding(5) var<storage, read> schedule: array<f32>;    // after schedule_first
@group(0) @binding(6) var<storage, read_write> y: array<f32>;     // [rows, leads, y_pitch] after y_base_offset

//# philox
//# sine_cosine

fn draw(place: u32, row: u32, domain: u32) -> vec4<u32> {
    return philox(vec4(place, u32(schedule[sizes.schedule_first + STEP]), row, domain));
}

fn wander(row: u32, source: u32, t: vec4<f32>, frequency: f32) -> vec4<f32> {
    let words = draw(source, row, WANDER_DOMAIN);
    let amplitude = SMALLEST_AMPLITUDE + (LARGEST_AMPLITUDE - SMALLEST_AMPLITUDE) * unit(words.x);
    let part = fract(frequency * t / SAMPLING_RATE + unit(words.y));
    return amplitude * vec4(sine_cosine(part.x).y, sine_cosine(part.y).y, sine_cosine(part.z).y, sine_cosine(part.w).y);
}

// Four normal numbers by Box and Muller. 1 - u is in (0, 1], so that its logarithm is finite; near 1 a
// device may compute a logarithm above 0.
fn normal(words: vec4<u32>) -> vec4<f32> {
    let radius = sqrt(max(vec2(0.0), -2.0 * log(1.0 - vec2(unit(words.x), unit(words.z)))));
    return radius.xxyy * vec4(sine_cosine(unit(words.y)), sine_cosine(unit(words.w)));
}

// The wander and noise of samples 4 * block to 4 * block + 3.
fn added(row: u32, lead: u32, block: u32) -> vec4<f32> {
    let drawn = sizes.draws_first + row * sizes.draws_pitch;
    let frequency = draws[drawn + WANDER];
    let level = draws[drawn + NOISE];
    let t = f32(SAMPLES * block) + vec4(0.0, 1.0, 2.0, 3.0);
    var sum = vec4(0.0);
    for (var at = 0u; at < 2; at++) {
        let entry = sizes.sources_first + (lead * 2 + at) * 2;
        let source = u32(sources[entry]);
        let weight = sources[entry + 1];
        if weight != 0.0 && frequency > 0.0 {
            sum += weight * wander(row, source, t, frequency);
        }
        if weight != 0.0 && level > 0.0 {
            let variance =
                statistics[sizes.statistics_first + ((row * 2 + 1) * sizes.leads + source) * sizes.statistics_pitch];
            let blocks = (sizes.samples + SAMPLES - 1) / SAMPLES;
            sum += weight * level * sqrt(variance) * normal(draw(source * blocks + block, row, NOISE_DOMAIN));
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let blocks = (sizes.y_pitch + SAMPLES - 1) / SAMPLES;
    let channel = at / blocks;
    if channel >= sizes.rows * sizes.leads {
        return;
    }
    let block = at % blocks;
    let sum = added(channel / sizes.leads, channel % sizes.leads, block);
    let row = sizes.y_base_offset + channel * sizes.y_pitch;
    for (var i = 0u; i < SAMPLES; i++) {
        let t = block * SAMPLES + i;
        if t < sizes.samples {
            y[row + sizes.y_offset + t] = x[sizes.x_first + channel * sizes.x_pitch + t] + sum[i];
        }
        // The zeros around the samples of a row are written too.
        if t < sizes.y_pitch && t - sizes.y_offset >= sizes.samples { // a large number before the first sample, by wraparound
            y[row + t] = 0.0;
        }
    }
}
