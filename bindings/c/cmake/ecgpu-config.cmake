# find_package(ecgpu CONFIG) gives the target ecgpu::ecgpu: the shared library, or the static one where ECGPU_USE_STATIC_LIBS is on or
# only it is installed. Installed by `cargo cinstall` to PREFIX/share/cmake/ecgpu.
get_filename_component(_ecgpu_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_ecgpu_names ecgpu ecgpu.dll)
if(ECGPU_USE_STATIC_LIBS)
  set(_ecgpu_names "${CMAKE_STATIC_LIBRARY_PREFIX}ecgpu${CMAKE_STATIC_LIBRARY_SUFFIX}")
endif()
set(_ecgpu_places PATHS "${_ecgpu_prefix}/lib" "${_ecgpu_prefix}/lib64" PATH_SUFFIXES "${CMAKE_LIBRARY_ARCHITECTURE}" NO_DEFAULT_PATH)
# Not in the cache: a project may ask again, for the other library.
unset(_ecgpu_library)
unset(_ecgpu_library CACHE)
find_library(_ecgpu_library NAMES ${_ecgpu_names} ${_ecgpu_places})
find_file(_ecgpu_pc ecgpu.pc PATHS "${_ecgpu_prefix}/lib/pkgconfig" "${_ecgpu_prefix}/lib64/pkgconfig"
  "${_ecgpu_prefix}/lib/${CMAKE_LIBRARY_ARCHITECTURE}/pkgconfig" NO_DEFAULT_PATH)
mark_as_advanced(_ecgpu_library _ecgpu_pc)

if(NOT _ecgpu_library)
  set(ecgpu_FOUND FALSE)
  set(ecgpu_NOT_FOUND_MESSAGE "none of ${_ecgpu_names} is in ${_ecgpu_prefix}/lib: install it there again with cargo cinstall")
elseif(NOT TARGET ecgpu::ecgpu)
  add_library(ecgpu::ecgpu UNKNOWN IMPORTED)
  set_target_properties(ecgpu::ecgpu PROPERTIES
    IMPORTED_LOCATION "${_ecgpu_library}"
    INTERFACE_INCLUDE_DIRECTORIES "${_ecgpu_prefix}/include")
  # What the static library needs of the system, as cargo-c asked the compiler.
  if(_ecgpu_pc AND _ecgpu_library MATCHES "\\${CMAKE_STATIC_LIBRARY_SUFFIX}$")
    file(STRINGS "${_ecgpu_pc}" _ecgpu_needs REGEX "^Libs.private:")
    string(REGEX REPLACE "^Libs.private: *" "" _ecgpu_needs "${_ecgpu_needs}")
    separate_arguments(_ecgpu_needs UNIX_COMMAND "${_ecgpu_needs}")
    set_target_properties(ecgpu::ecgpu PROPERTIES INTERFACE_LINK_LIBRARIES "${_ecgpu_needs}")
  endif()
endif()
