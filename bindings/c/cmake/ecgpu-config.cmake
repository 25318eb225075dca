# find_package(ecgpu) gives the target ecgpu::ecgpu. Installed by `cargo cinstall` to PREFIX/share/ecgpu/cmake.
get_filename_component(_ecgpu_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_path(ecgpu_INCLUDE_DIR ecgpu.h PATHS "${_ecgpu_prefix}/include" NO_DEFAULT_PATH)
find_library(ecgpu_LIBRARY ecgpu PATHS "${_ecgpu_prefix}/lib" "${_ecgpu_prefix}/lib64" PATH_SUFFIXES "${CMAKE_LIBRARY_ARCHITECTURE}" NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ecgpu REQUIRED_VARS ecgpu_LIBRARY ecgpu_INCLUDE_DIR)
if(ecgpu_FOUND AND NOT TARGET ecgpu::ecgpu)
  add_library(ecgpu::ecgpu UNKNOWN IMPORTED)
  set_target_properties(ecgpu::ecgpu PROPERTIES
    IMPORTED_LOCATION "${ecgpu_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${ecgpu_INCLUDE_DIR}")
endif()
