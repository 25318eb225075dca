// Eight neighbouring numbers of x from its buffer, as four 64-bit integers.
@group(0) @binding(1) var<storage, read> x: array<vec4<u64>>;  // [batch, in_channels, x_pitch / 8] after x_base_offset / 8

fn two(pair: u64) -> vec2<f32> {
    return vec2(bitcast<f32>(u32(pair)), bitcast<f32>(u32(pair >> 32u)));
}

fn x_at(i: u32) -> Eight {
    let eight = x[i];
    return Eight(vec4(two(eight.x), two(eight.y)), vec4(two(eight.z), two(eight.w)));
}
