// ISA-L's inflate, which takes less than half of zlib's time, where the machine has its library
// (Debian: libisal2). It is loaded when first asked for, so that programs run without it.
#pragma once

#include <isa-l/igzip_lib.h>

#include <string_view>

namespace kiln::oci {

// As isa-l/igzip_lib.h says of each. Thread-safe; a state is used by one thread.
struct IsalInflate {
  void (*init)(inflate_state*) = nullptr;
  void (*reset)(inflate_state*) = nullptr;
  int (*inflate)(inflate_state*) = nullptr;
};
// Null if the library is not there. Lives as long as the process.
const IsalInflate* LoadIsalInflate();
// What is wrong, in zlib's words, for a negative answer of `inflate`.
std::string_view IsalFault(int answer);

}  // namespace kiln::oci
