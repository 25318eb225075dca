//! The program of `peer` for the CPU alone. As it does not name `Device`, it contains no GPU code and has a quarter of
//! the size.

mod protocol;

use ecgpu::engine::backend::cpu::Cpu;

fn main() -> protocol::Fallible<()> {
    protocol::serve(|threads| Ok(Box::new(threads.map_or_else(|| Ok(Cpu::default()), Cpu::with_threads)?)))
}
