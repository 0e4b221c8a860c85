// The stacks of all threads as text, for /debug/pprof/goroutine.
#pragma once

#include <string>

namespace kiln::buildkitd {

// Makes the signal known that asks a thread for its stack. Call once, before threads start
// to matter.
void PrepareThreadStacks();

// Interrupts every thread for a moment. Symbols are there as far as the program has them;
// addresses otherwise. One caller at a time; takes milliseconds per thread.
std::string ThreadStacks();

// The number of threads.
int ThreadCount();

}  // namespace kiln::buildkitd
