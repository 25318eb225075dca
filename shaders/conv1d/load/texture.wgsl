// Eight neighbouring numbers of x from a texture that holds a copy of its buffer.
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;  // as [batch, in_channels, x_pitch / 8, 2] after x_base_offset / 8

fn x_at(i: u32) -> Eight {
    return Eight(textureLoad(x, texel_at(2 * i)), textureLoad(x, texel_at(2 * i + 1)));
}
