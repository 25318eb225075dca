//! Lists the adapters of this machine and opens devices.

use std::fmt;

use super::{driver_lock::lock_driver, dx12_compiler, environment, waiting::block_on};
use crate::{
    Error, ErrorKind, Result,
    kernels::{Accelerator, Storage},
};

/// The optional features that shaders, profiles and pipeline caches use.
const OPTIONAL_FEATURES: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::PIPELINE_CACHE);

/// The most bytes of a buffer and of a binding, in whole vec4s: DX12's shaders count bytes in 32 bits.
const LARGEST_BUFFER: u64 = u32::MAX as u64 / 16 * 16;

/// The most textures that one shader reads.
const READ_TEXTURES: u32 = 2;

/// A GPU that is not yet opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Adapter {
    /// The index in [`adapters`], as in `gpu:0`.
    pub index: usize,
    /// Whether the driver claims to conform to Vulkan's specification. Metal and DX12 have no such claim.
    pub conformant: bool,
    adapter: wgpu::Adapter,
}

/// The name of an adapter of which the browser says nothing.
const IN_BROWSER: &str = "WebGPU adapter";

/// Lists every adapter that a Vulkan, Metal or DX12 driver offers, in the driver's order. None in WebAssembly, which cannot
/// block until the browser has answered.
///
/// Adapters whose driver does not claim to conform are at the end, and there only if no other is a real GPU. Mesa's Dozen,
/// which WSL has, is one. The variable `WGPU_ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER` lists them always (1) or never (0).
pub fn adapters() -> Vec<Adapter> {
    block_on(async { Ok(all_adapters().await) }).unwrap_or_default()
}

/// Lists the adapters, see [`adapters`]. In a browser it is the one that the browser prefers.
pub(super) async fn all_adapters() -> Vec<Adapter> {
    #[cfg(target_family = "wasm")]
    if !super::browser::describes_adapters() {
        return Vec::new();
    }
    let adapter = |(index, adapter)| Adapter { index, conformant: true, adapter };
    let mut adapters: Vec<Adapter> = enumerate(false).await.into_iter().enumerate().map(adapter).collect();
    let nonconformant =
        || environment::lists_nonconformant().unwrap_or_else(|| adapters.iter().all(Adapter::is_software));
    if !cfg!(target_family = "wasm") && nonconformant() {
        let conformant: Vec<wgpu::AdapterInfo> = adapters.iter().map(Adapter::info).collect();
        let others = enumerate(true).await.into_iter().filter(|adapter| !conformant.contains(&adapter.get_info()));
        let others = (adapters.len()..).zip(others);
        adapters.extend(others.map(|(index, adapter)| Adapter { index, conformant: false, adapter }));
    }
    adapters
}

async fn enumerate(nonconformant: bool) -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(instance_descriptor(nonconformant));
    instance.enumerate_adapters(wgpu::Backends::all()).await
}

fn instance_descriptor(nonconformant: bool) -> wgpu::InstanceDescriptor {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = environment::backends();
    // The shaders that check indirect dispatches cost every start, some drivers refuse them, and nothing is dispatched
    // indirectly.
    descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    descriptor.flags = descriptor.flags.with_env();
    descriptor.flags.set(wgpu::InstanceFlags::ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER, nonconformant);
    descriptor.backend_options.dx12.shader_compiler = dx12_compiler::chosen();
    descriptor
}

/// Names a backend as users write it: `vulkan`, `metal`, `dx12` or `webgpu`.
pub(super) fn backend_name(backend: wgpu::Backend) -> String {
    match backend {
        wgpu::Backend::BrowserWebGpu => "webgpu".into(),
        backend => backend.to_string().to_lowercase(),
    }
}

impl Adapter {
    /// Returns the driver's description of the adapter. Most browsers give no name.
    pub fn info(&self) -> wgpu::AdapterInfo {
        let mut info = self.adapter.get_info();
        if info.name.is_empty() {
            info.name = IN_BROWSER.into();
        }
        info
    }

    /// Returns the description of the adapter. In a browser its name has what is known of a device on it.
    #[cfg_attr(not(target_family = "wasm"), expect(unused_variables, reason = "a native adapter has a name"))]
    pub(super) fn info_of(&self, device: &wgpu::Device) -> wgpu::AdapterInfo {
        let info = self.info();
        #[cfg(target_family = "wasm")]
        if let Some(known) = super::browser::vendor_and_architecture(device) {
            return wgpu::AdapterInfo { name: format!("{} ({known})", info.name), ..info };
        }
        info
    }

    /// Returns the largest limits that the adapter offers.
    pub fn limits(&self) -> wgpu::Limits {
        self.adapter.limits()
    }

    /// Names the backend: `vulkan`, `metal`, `dx12` or `webgpu`.
    pub fn backend(&self) -> String {
        backend_name(self.info().backend)
    }

    /// Names the type: `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub fn kind(&self) -> &'static str {
        match self.info().device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
    }

    /// Whether the adapter computes on the CPU, as Mesa's lavapipe, SwiftShader and WARP do.
    pub fn is_software(&self) -> bool {
        self.info().device_type == wgpu::DeviceType::Cpu
    }

    /// Lists the features that the engine can use, and whether the adapter has them.
    pub fn features(&self) -> Vec<(&'static str, bool)> {
        let has = self.adapter.features();
        [
            ("subgroups", wgpu::Features::SUBGROUP),
            ("shader_f16", wgpu::Features::SHADER_F16),
            ("shader_int64", wgpu::Features::SHADER_INT64),
            ("timestamp_query", wgpu::Features::TIMESTAMP_QUERY),
            ("pipeline_cache", wgpu::Features::PIPELINE_CACHE),
        ]
        .map(|(name, feature)| (name, has.contains(feature)))
        .to_vec()
    }

    /// Names the compiler that DX12's driver needs for shaders, and where it is; none on other backends.
    pub fn shader_compiler(&self) -> Option<String> {
        (self.info().backend == wgpu::Backend::Dx12).then(|| dx12_compiler::describe(&dx12_compiler::chosen()))
    }

    /// Ranks the adapter among several: the smallest rank is preferred.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        rank(self.kind(), self.conformant, environment::prefers_low_power())
    }

    /// Returns the side of the largest square matrices that a subgroup multiplies in f16 and adds in f32; none without
    /// cooperative matrices.
    pub(super) fn matrix_side(&self) -> Option<usize> {
        let features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
        if !self.adapter.features().contains(features) {
            return None;
        }
        let scalars = [wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32];
        let of_f16 =
            self.adapter.cooperative_matrix_properties().into_iter().filter(|it| [it.ab_type, it.cr_type] == scalars);
        of_f16.filter(|it| it.m_size == it.n_size && it.n_size == it.k_size).map(|it| it.m_size as usize).max()
    }

    /// Opens a device with the default limits, except that buffers and textures may be as large as the adapter allows, with
    /// the optional features that the adapter has, and with cooperative matrices if they are wanted.
    ///
    /// # Errors
    /// The driver gives no device.
    pub(super) async fn request(&self, matrices: bool) -> Result<(wgpu::Device, wgpu::Queue)> {
        let mut descriptor = wgpu::DeviceDescriptor {
            label: Some("ecgpu"),
            required_features: self.adapter.features() & OPTIONAL_FEATURES,
            required_limits: self.limits_to_request(),
            // The other hint takes 128 MiB of the device at once, where a network needs a few.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..wgpu::DeviceDescriptor::default()
        };
        if matrices {
            descriptor.required_features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: wgpu asks for the acknowledgement that experimental features may have bugs beyond its checks. One
            // shader uses them. Its comments show that its matrices are within their buffers and aligned as Vulkan demands,
            // and it is compared with the reference like every other shader.
            descriptor.experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let device = {
            // A native driver has opened the device when this returns the future.
            let _driver = lock_driver();
            self.adapter.request_device(&descriptor)
        };
        device.await.map_err(|error| {
            let cause = format!("{self} gives no device ({error})");
            Error::new(ErrorKind::Device, cause, "update its driver, or choose another device")
        })
    }

    /// Returns the default limits, or less where the adapter offers less. Buffers and textures of a native device may be as
    /// large as the adapter allows; the default is enough for the batches of a browser.
    fn limits_to_request(&self) -> wgpu::Limits {
        let offered = self.adapter.limits();
        let limits = wgpu::Limits::default().or_worse_values_from(&offered);
        if cfg!(target_family = "wasm") {
            return limits;
        }
        wgpu::Limits {
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size.min(LARGEST_BUFFER),
            max_buffer_size: offered.max_buffer_size.min(LARGEST_BUFFER),
            max_texture_dimension_2d: offered.max_texture_dimension_2d,
            ..limits
        }
    }
}

/// Ranks a kind of adapter: a real GPU before a software adapter, and one whose driver claims to conform before another.
fn rank(kind: &str, conformant: bool, low_power: bool) -> (bool, bool, usize) {
    let kinds = if low_power { ["integrated", "discrete"] } else { ["discrete", "integrated"] };
    let kinds = [kinds[0], kinds[1], "virtual", "other"];
    (kind == "software", !conformant, kinds.iter().position(|&known| known == kind).unwrap_or(kinds.len()))
}

/// Describes the properties of a device that the choice among variants depends on.
pub(super) fn accelerator(device: &wgpu::Device, info: &wgpu::AdapterInfo, matrix_side: Option<usize>) -> Accelerator {
    let sizes = [info.subgroup_min_size, info.subgroup_max_size];
    let subgroups = device.features().contains(wgpu::Features::SUBGROUP) && sizes[0] == sizes[1];
    let limits = device.limits();
    let reads_textures = limits.max_storage_textures_per_shader_stage >= READ_TEXTURES;
    let accelerator = Accelerator {
        software: info.device_type == wgpu::DeviceType::Cpu,
        subgroup_size: subgroups.then_some(sizes[0] as usize),
        int64: device.features().contains(wgpu::Features::SHADER_INT64),
        matrix_side,
        texture_rows: if reads_textures { limits.max_texture_dimension_2d as usize } else { 0 },
        workgroup_bytes: limits.max_compute_workgroup_storage_size as usize,
        storage: Storage::F32,
    };
    if info.backend == wgpu::Backend::BrowserWebGpu { accelerator.in_browser() } else { accelerator }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.info().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_a_device_compiles_no_shaders_of_wgpu() {
        let flags = instance_descriptor(false).flags;
        assert!(!flags.contains(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL), "{flags:?}");
    }

    #[test]
    fn a_real_gpu_comes_before_a_software_adapter_and_a_driver_that_conforms_before_another() {
        let mut ranked = [
            ("software", true, false),
            ("discrete", false, false),
            ("virtual", true, false),
            ("integrated", true, false),
            ("discrete", true, false),
        ];
        ranked.sort_by_key(|&(kind, conformant, low_power)| rank(kind, conformant, low_power));
        assert_eq!(ranked.map(|(kind, ..)| kind), ["discrete", "integrated", "virtual", "discrete", "software"]);
        assert!(rank("integrated", true, true) < rank("discrete", true, true));
    }
}
