// Cosine and sine of an angle in turns, by Taylor's series. A device's own functions may have an error of 2^-11 (Vulkan's
// precision of SPIR-V instructions), and a lower edge of 0.5 Hz at 500 Hz has a tangent of 0.003. Part of several shaders.

const QUARTER: f32 = 1.57079633; // in radians

// To rounding: the first terms left out are (pi / 4)^10 / 10! and (pi / 4)^11 / 11!, 3e-8 and 2e-9.
fn sine_cosine(part: f32) -> vec2<f32> {
    let quarters = round(4.0 * part);
    let angle = (4.0 * part - quarters) * QUARTER;
    let s = angle * angle;
    let cosine = 1.0 + s * (-1.0 / 2.0 + s * (1.0 / 24.0 + s * (-1.0 / 720.0 + s * (1.0 / 40320.0))));
    let sine = angle * (1.0 + s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362880.0)))));
    let quarter = i32(quarters) & 3;
    let turned = select(vec2(cosine, sine), vec2(-sine, cosine), (quarter & 1) == 1);
    return select(turned, -turned, quarter >= 2);
}
