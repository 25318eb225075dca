@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;  // as [batch, in_channels, x_row / 8, 2] after x_head / 8

fn x_texel(texel: u32) -> vec4<f32> {
    return textureLoad(x, vec2(texel % TEXELS, texel / TEXELS));
}

fn x_at(i: u32) -> Eight {
    return Eight(x_texel(2 * i), x_texel(2 * i + 1));
}
