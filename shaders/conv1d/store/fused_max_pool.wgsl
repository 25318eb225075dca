const POOLED: u32 = 2;  // positions per number of y

// Stores two numbers of four positions of one channel, the first as number position / 2 of its row. The zeros around the
// samples are written too.
fn store(b: u32, o: u32, position: u32, sum: vec4<f32>) {
    let i = position / POOLED;
    if i >= conv.y_pitch || o >= conv.out_channels {
        return;
    }
    let larger = max(sum.xz, sum.yw);
    let rectified = select(larger, max(larger, vec2(0.0)), RELU);
    let t = i - conv.y_offset; // a large number before the first sample, by wraparound
    let inside = vec2(t, t + 1) < vec2(conv.out_samples);
    let row = conv.y_base_offset + (b * conv.out_channels + o) * conv.y_pitch;
    set_y((row + i) / 2, select(vec2(0.0), rectified, inside));
}
