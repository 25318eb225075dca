//! As `peer`, for the CPU alone: without naming `Device` the program carries no GPU code, and a quarter of the bytes.

mod protocol;

use ecgpu::engine::backend::cpu::Cpu;

fn main() -> protocol::Fallible<()> {
    protocol::serve(|threads| Ok(Box::new(threads.map_or_else(|| Ok(Cpu::default()), Cpu::with_threads)?)))
}
