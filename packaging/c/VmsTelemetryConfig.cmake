# find_package(VmsTelemetry) gives the target VmsTelemetry::VmsTelemetry.
if(NOT TARGET VmsTelemetry::VmsTelemetry)
  get_filename_component(_vms_telemetry "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
  add_library(VmsTelemetry::VmsTelemetry SHARED IMPORTED)
  set_target_properties(VmsTelemetry::VmsTelemetry PROPERTIES
    IMPORTED_LOCATION "${_vms_telemetry}/@LIBRARY@"
    INTERFACE_INCLUDE_DIRECTORIES "${_vms_telemetry}/include")
  if(WIN32)
    set_target_properties(VmsTelemetry::VmsTelemetry PROPERTIES IMPORTED_IMPLIB "${_vms_telemetry}/lib/vms_telemetry.lib")
  endif()
  unset(_vms_telemetry)
endif()
