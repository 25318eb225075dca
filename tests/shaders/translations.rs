//! Translates a shader as wgpu does for each backend.

use std::{error::Error, fs, path::PathBuf};

use ecgpu::engine::kernels::{Shader, Storage};
use naga::{
    Module, ShaderStage,
    back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv},
    front::wgsl,
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator},
};
use serde_json::{Value, json};

/// A shader in the languages of all backends, in the oldest versions that wgpu accepts and that have its features.
pub struct Translations {
    /// For Vulkan 1.1 and 1.3.
    spirv: [Vec<u32>; 2],
    /// For each compiler of DX12 that takes the shader, with the shader model.
    hlsl: Vec<(hlsl::ShaderModel, String)>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

impl Translations {
    /// Translates a shader.
    ///
    /// # Errors
    /// The shader is not valid, or a backend has no words for it.
    pub fn new(shader: &Shader, subgroups: bool, storage: Storage) -> Result<Self> {
        let source = &shader.source;
        let module = wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
        let capabilities = capabilities(shader, subgroups, storage);
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        validator.subgroup_stages(ShaderStages::COMPUTE);
        validator.subgroup_operations(SubgroupOperationSet::all());
        let info = validator.validate(&module).map_err(|error| error.emit_to_string(source))?;
        let constants: PipelineConstants =
            shader.constants.iter().map(|(key, value)| (key.to_string(), *value)).collect();
        let (module, info) = process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &constants)?;
        check_msl(&module, &info, capabilities)?;
        Ok(Self {
            spirv: [spirv(&module, &info, capabilities, (1, 3))?, spirv(&module, &info, capabilities, (1, 6))?],
            hlsl: shader_models(shader, capabilities)
                .iter()
                .map(|&model| Ok((model, hlsl(&module, &info, model)?)))
                .collect::<Result<_>>()?,
        })
    }
}

/// Lists what a device must have for a shader: every adapter's capabilities, and others only for the variants that need
/// them.
fn capabilities(shader: &Shader, subgroups: bool, storage: Storage) -> Capabilities {
    let of_variant =
        if subgroups { Capabilities::SUBGROUP | Capabilities::SHADER_INT64 } else { Capabilities::empty() };
    let of_matrices =
        if shader.name == "conv1d/matrices" { Capabilities::COOPERATIVE_MATRIX } else { Capabilities::empty() };
    let of_storage = match storage {
        Storage::F32 => Capabilities::empty(),
        Storage::F16 => Capabilities::SHADER_FLOAT16,
        Storage::PackedF16 => Capabilities::SHADER_FLOAT16_IN_FLOAT32,
    };
    of_variant | of_matrices | of_storage
}

/// Translates to SPIR-V, in the version that wgpu takes for Vulkan 1.1 or 1.3. The newer one is that of a driver which
/// checks the indices of buffers itself.
fn spirv(module: &Module, info: &ModuleInfo, capabilities: Capabilities, version: (u8, u8)) -> Result<Vec<u32>> {
    use spv::Capability::*;
    let mut allowed = vec![Shader, Matrix, Sampled1D, Image1D, ImageQuery, DerivativeControl];
    allowed.push(StorageImageExtendedFormats);
    if capabilities.contains(Capabilities::SUBGROUP) {
        allowed.extend([GroupNonUniform, GroupNonUniformVote, GroupNonUniformArithmetic, GroupNonUniformBallot]);
        allowed.extend([GroupNonUniformShuffle, GroupNonUniformShuffleRelative, GroupNonUniformQuad]);
    }
    if capabilities.contains(Capabilities::SHADER_INT64) {
        allowed.push(Int64);
    }
    if capabilities.contains(Capabilities::SHADER_FLOAT16) {
        allowed.push(Float16);
    }
    if capabilities.contains(Capabilities::COOPERATIVE_MATRIX) {
        allowed.extend([CooperativeMatrixKHR, VulkanMemoryModel]);
    }
    let checked = BoundsCheckPolicy::Restrict;
    let buffer = if version < (1, 6) { checked } else { BoundsCheckPolicy::Unchecked };
    let options = spv::Options {
        lang_version: version,
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        capabilities: Some(allowed.into_iter().collect()),
        bounds_check_policies: BoundsCheckPolicies { index: checked, buffer, image_load: buffer, ..Default::default() },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..spv::Options::default()
    };
    let main = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    Ok(spv::write_vec(module, info, &options, Some(&main))?)
}

/// Translates to Metal's language.
fn check_msl(module: &Module, info: &ModuleInfo, capabilities: Capabilities) -> Result<()> {
    let lang_version = if capabilities.is_empty() { (1, 0) } else { (2, 4) };
    let options = msl::Options { lang_version, ..msl::Options::default() };
    let (_, info) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())?;
    info.entry_point_names.into_iter().try_for_each(|name| Ok(name.map(drop)?))
}

/// Lists the oldest shader model that each compiler of DX12 takes a shader in: FXC ends at 5.1, DXC begins at 6.0. wgpu
/// has no cooperative matrices on DX12, where this variant is not offered.
fn shader_models(shader: &Shader, capabilities: Capabilities) -> &'static [hlsl::ShaderModel] {
    use hlsl::ShaderModel::{V5_1, V6_0, V6_2};
    if shader.name == "conv1d/matrices" {
        &[]
    } else if capabilities.contains(Capabilities::SHADER_FLOAT16) {
        &[V6_2]
    } else if capabilities.intersects(Capabilities::SUBGROUP | Capabilities::SHADER_INT64) {
        &[V6_0]
    } else {
        &[V5_1, V6_0]
    }
}

/// Translates to the language of DX12.
fn hlsl(module: &Module, info: &ModuleInfo, shader_model: hlsl::ShaderModel) -> Result<String> {
    let options = hlsl::Options {
        shader_model,
        // The number of workgroups, in the register after the parameters'.
        special_constants_binding: Some(hlsl::BindTarget { register: 1, ..hlsl::BindTarget::default() }),
        zero_initialize_workgroup_memory: false,
        ..hlsl::Options::default()
    };
    let mut text = String::new();
    let info = hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default()).write(module, info, None)?;
    info.entry_point_names.into_iter().try_for_each(|name| name.map(drop))?;
    Ok(text)
}

/// A folder for the compilers of other languages: a file for each translation, and `shaders.json`, which lists them.
pub struct Folder {
    path: PathBuf,
    listed: Vec<Value>,
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        Self { path, listed: Vec::new() }
    }

    /// Writes a shader as a browser gets it, and its translations. Their names tell the kind of plan, because some compilers
    /// take too long for all. `in_browser` is whether a browser is offered it.
    pub fn write(&mut self, kind: &str, shader: &Shader, in_browser: bool, translations: Translations) {
        let file = format!("{:05}.{kind}", self.listed.len());
        let write = |extension: &str, contents: &[u8]| {
            fs::write(self.path.join(format!("{file}.{extension}")), contents).unwrap();
        };
        write("wgsl", shader.source_for_browser().as_bytes());
        for (version, words) in ["1.1", "1.3"].into_iter().zip(&translations.spirv) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            write(&format!("vulkan{version}.spv"), &bytes);
        }
        for (model, text) in &translations.hlsl {
            write(&format!("cs_{}.hlsl", model.to_str()), text.as_bytes());
        }
        let constants: serde_json::Map<_, _> =
            shader.constants.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        let name = shader.name;
        self.listed.push(json!({ "file": file, "name": name, "constants": constants, "inBrowser": in_browser }));
    }

    /// Writes the list.
    pub fn finish(self) {
        fs::write(self.path.join("shaders.json"), serde_json::to_vec(&self.listed).unwrap()).unwrap();
    }
}
