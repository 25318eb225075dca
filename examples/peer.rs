//! Compares ecgpu with other systems, on the device that `ECGPU_DEVICE` names. `protocol` describes the commands.

mod protocol;

use ecgpu::{Device, engine::backend};

fn main() -> protocol::Fallible<()> {
    let device: Device = std::env::var("ECGPU_DEVICE").unwrap_or_else(|_| "auto".into()).parse()?;
    protocol::serve(|threads| backend::open(&device, threads))
}
