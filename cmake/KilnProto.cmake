# kiln_proto(NAME PROTOS … [GRPC …] USES …): generated code in a target of its
# own, without our warnings. GRPC lists the files that define services. Paths
# are relative to the source root, so that includes read "api/proto/control.pb.h".
function(kiln_proto NAME)
  cmake_parse_arguments(ARG "" "" "PROTOS;GRPC;USES" ${ARGN})
  kiln_target_name(${NAME} target)
  set(out ${CMAKE_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${out})
  set(pb_sources "")
  set(grpc_sources "")
  foreach(proto ${ARG_PROTOS} ${ARG_GRPC})
    string(REGEX REPLACE "[.]proto$" "" stem ${proto})
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protoc -I${CMAKE_SOURCE_DIR} --cpp_out=${out} ${CMAKE_SOURCE_DIR}/${proto}
      DEPENDS ${CMAKE_SOURCE_DIR}/${proto} VERBATIM)
    list(APPEND pb_sources ${out}/${stem}.pb.cc)
  endforeach()
  foreach(proto ${ARG_GRPC})
    string(REGEX REPLACE "[.]proto$" "" stem ${proto})
    add_custom_command(
      OUTPUT ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h
      COMMAND protoc -I${CMAKE_SOURCE_DIR} --grpc_out=${out}
              --plugin=protoc-gen-grpc=${KILN_GRPC_PLUGIN} ${CMAKE_SOURCE_DIR}/${proto}
      DEPENDS ${CMAKE_SOURCE_DIR}/${proto} VERBATIM)
    list(APPEND grpc_sources ${out}/${stem}.grpc.pb.cc)
  endforeach()
  add_library(${target} STATIC ${pb_sources} ${grpc_sources})
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_compile_options(${target} PRIVATE -w -g0)
  target_link_libraries(${target} PUBLIC kiln_protobuf)
  if(grpc_sources)
    target_link_libraries(${target} PUBLIC kiln_grpc)
    # One unit for all service stubs: 20 s instead of 9 x 6 s (the message files cannot be joined).
    set_source_files_properties(${pb_sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 32)
  endif()
  foreach(used ${ARG_USES})
    kiln_check_use(${NAME} ${used})
    kiln_target_name(${used} used_target)
    target_link_libraries(${target} PUBLIC ${used_target})
  endforeach()
endfunction()
