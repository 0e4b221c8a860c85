# kiln_grammar(TARGET NAMESPACE ns LEXER x.g4 PARSER y.g4): ANTLR's C++ for a lexer and a parser
# grammar, as a library without our warnings. What 4.7.2 writes is C++17 (it uses u8""), its
# headers are fine from C++20.
function(kiln_grammar target)
  cmake_parse_arguments(ARG "" "NAMESPACE;LEXER;PARSER" "" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen/${target})
  file(MAKE_DIRECTORY ${out})
  get_filename_component(lexer ${ARG_LEXER} NAME_WE)
  get_filename_component(parser ${ARG_PARSER} NAME_WE)
  # The tool writes next to its input's name, so the parser finds the lexer's tokens there.
  set(common -Dlanguage=Cpp -no-listener -no-visitor -package ${ARG_NAMESPACE} -o ${out} -Xexact-output-dir)
  add_custom_command(
    OUTPUT ${out}/${lexer}.cpp ${out}/${lexer}.h ${out}/${lexer}.tokens
    COMMAND ${KILN_ANTLR} ${common} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_LEXER}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_LEXER} VERBATIM)
  add_custom_command(
    OUTPUT ${out}/${parser}.cpp ${out}/${parser}.h
    COMMAND ${KILN_ANTLR} ${common} -lib ${out} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_PARSER}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_PARSER} ${out}/${lexer}.tokens VERBATIM)
  add_library(${target} STATIC ${out}/${lexer}.cpp ${out}/${parser}.cpp)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17)
  target_compile_options(${target} PRIVATE -w -g0)
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC kiln_antlr)
endfunction()
