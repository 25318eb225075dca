const POOLED: u32 = 1;  // positions per number of y

// Stores four positions of one channel, the first at number i of its row. The zeros around the samples are written too.
fn store(b: u32, o: u32, i: u32, sum: vec4<f32>) {
    if i >= conv.y_pitch || o >= conv.out_channels {
        return;
    }
    let rectified = select(sum, max(sum, vec4(0.0)), RELU);
    let t = i - conv.y_offset; // a large number before the first sample, by wraparound
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(conv.out_samples);
    let row = conv.y_base_offset + (b * conv.out_channels + o) * conv.y_pitch;
    set_y((row + i) / 4, select(vec4(0.0), rectified, inside));
}
