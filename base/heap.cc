#include "base/heap.h"

#include <malloc.h>

#include <algorithm>
#include <thread>

namespace kiln {

void KeepFreedMemory() {
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_ARENA_MAX, std::max(2, static_cast<int>(std::thread::hardware_concurrency())));
}

}  // namespace kiln
