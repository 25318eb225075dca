// Random words by Philox4x32-10, as in src/random.rs. Part of every shader that draws random numbers.

override KEY_0: u32;
override KEY_1: u32;

const ROUNDS: u32 = 10;

// The upper and the lower word of a product, from products of halves.
fn product(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16) * (b & 0xffffu) + (low >> 16);
    let other = (a & 0xffffu) * (b >> 16) + (middle & 0xffffu);
    return vec2((a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16), a * b);
}

fn philox(block: vec4<u32>) -> vec4<u32> {
    var counter = block;
    var key = vec2(KEY_0, KEY_1);
    for (var round = 0u; round < ROUNDS; round++) {
        let a = product(0xd2511f53u, counter.x);
        let b = product(0xcd9e8d57u, counter.z);
        counter = vec4(b.x ^ counter.y ^ key.x, b.y, a.x ^ counter.w ^ key.y, a.y);
        key += vec2(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}

// A word's upper 24 bits as a number in [0, 1), exact in f32.
fn unit(word: u32) -> f32 {
    return f32(word >> 8) * 0x1p-24;
}
