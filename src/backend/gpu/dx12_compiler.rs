//! Chooses the compiler of DX12's shaders.
//!
//! Windows has the old one, FXC. The new one, DXC, comes with a program, as a file `dxcompiler.dll` beside it. The file is
//! not looked for elsewhere: any other in the search path is of an unknown version, or not even DXC.

use std::{env, path::Path};

use wgpu::Dx12Compiler;

const DXC: &str = "dxcompiler.dll";

/// Returns DXC if it is beside the program, otherwise FXC, unless the variable WGPU_DX12_COMPILER names one of them.
pub(super) fn chosen() -> Dx12Compiler {
    let program = env::current_exe().ok();
    // The static one is not part of the program, and wgpu panics without it.
    let named = Dx12Compiler::from_env().filter(|named| !matches!(named, Dx12Compiler::StaticDxc));
    named.unwrap_or_else(|| beside(program.as_deref()))
}

fn beside(program: Option<&Path>) -> Dx12Compiler {
    let file = program.and_then(Path::parent).map(|folder| folder.join(DXC)).filter(|file| file.is_file());
    // wgpu takes the path as text, so a path that is none cannot be given to it.
    match file.and_then(|file| file.into_os_string().into_string().ok()) {
        Some(dxc_path) => Dx12Compiler::DynamicDxc { dxc_path },
        None => Dx12Compiler::Fxc,
    }
}

/// Says in words which compiler it is.
pub(super) fn describe(compiler: &Dx12Compiler) -> String {
    match compiler {
        Dx12Compiler::DynamicDxc { dxc_path } => format!("DXC ({dxc_path})"),
        _ => format!("FXC; {DXC} beside the program is faster"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dxc_compiles_where_it_is_beside_the_program_and_fxc_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ecgpu.exe");
        assert!(matches!(beside(Some(&program)), Dx12Compiler::Fxc));
        assert!(matches!(beside(None), Dx12Compiler::Fxc));
        let file = folder.path().join(DXC);
        std::fs::write(&file, "").unwrap();
        assert_eq!(describe(&beside(Some(&program))), format!("DXC ({})", file.display()));
    }
}
