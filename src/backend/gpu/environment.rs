//! The environment variables of wgpu that choose among adapters. Users know them from other programs.

use std::env;

/// The backends that the engine can use.
#[cfg(not(target_family = "wasm"))]
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);
/// The backend that the engine can use.
#[cfg(target_family = "wasm")]
const BACKENDS: wgpu::Backends = wgpu::Backends::BROWSER_WEBGPU;

/// The variable that names backends, such as `vulkan` or `dx12`.
const BACKEND: &str = "WGPU_BACKEND";
/// The variable that has a part of an adapter's name.
const ADAPTER_NAME: &str = "WGPU_ADAPTER_NAME";
/// The variable that prefers adapters by their power: `low` or `high`.
const POWER_PREFERENCE: &str = "WGPU_POWER_PREF";
/// The variable that lists drivers which do not claim to conform (1), or hides them (0).
const NONCONFORMANT: &str = "WGPU_ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER";
/// The variable that names the compiler of DX12's shaders: `dxc` or `fxc`.
const DX12_COMPILER: &str = "WGPU_DX12_COMPILER";

/// Lists the variables that are set and that choose among adapters or their compilers, each with its value.
pub fn variables() -> Vec<(&'static str, String)> {
    let set = |name| Some((name, env::var(name).ok()?));
    [BACKEND, ADAPTER_NAME, POWER_PREFERENCE, NONCONFORMANT, DX12_COMPILER].into_iter().filter_map(set).collect()
}

/// The backends whose adapters are listed.
pub(super) fn backends() -> wgpu::Backends {
    wgpu::Backends::from_env().map_or(BACKENDS, |named| named & BACKENDS)
}

/// A part of the name of the adapters that may be chosen as the best, in lower case.
pub(super) fn adapter_name() -> Option<String> {
    env::var(ADAPTER_NAME).ok().map(|name| name.to_lowercase())
}

/// Whether integrated GPUs are better than discrete ones.
pub(super) fn prefers_low_power() -> bool {
    wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower)
}

/// Whether drivers that do not claim to conform are listed (true) or hidden (false); none if the variable is not set.
pub(super) fn lists_nonconformant() -> Option<bool> {
    env::var(NONCONFORMANT).ok().map(|value| value != "0")
}

/// Names the variables that are set, for the remedy of an error: ` (WGPU_BACKEND=dx12 is set)`. Empty if none is set.
pub(super) fn hint() -> String {
    let set: Vec<String> = variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    match set.len() {
        0 => String::new(),
        1 => format!(" ({} is set)", set[0]),
        _ => format!(" ({} are set)", set.join(", ")),
    }
}
