#include "oci/isal_inflate.h"

#include <dlfcn.h>

namespace kiln::oci {
namespace {

template <typename Function>
bool Find(void* library, const char* name, Function** function) {
  *function = reinterpret_cast<Function*>(::dlsym(library, name));
  return *function != nullptr;
}

const IsalInflate* Load() {
  void* library = ::dlopen("libisal.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  static IsalInflate found;
  const bool whole = Find(library, "isal_inflate_init", &found.init) &&
                     Find(library, "isal_inflate_reset", &found.reset) &&
                     Find(library, "isal_inflate", &found.inflate);
  return whole ? &found : nullptr;
}

}  // namespace

const IsalInflate* LoadIsalInflate() {
  static const IsalInflate* const loaded = Load();
  return loaded;
}

std::string_view IsalFault(int answer) {
  switch (answer) {
    case ISAL_INVALID_BLOCK: return "invalid block type";
    case ISAL_INVALID_SYMBOL: return "invalid code";
    case ISAL_INVALID_LOOKBACK: return "invalid distance too far back";
    case ISAL_INVALID_WRAPPER: return "incorrect header check";
    case ISAL_UNSUPPORTED_METHOD: return "unknown compression method";
    case ISAL_INCORRECT_CHECKSUM: return "incorrect data check";
    default: return "corrupt";
  }
}

}  // namespace kiln::oci
