// What is left of bytes after they were moved and freed.
#pragma once

namespace kiln {

// Bytes are moved through vector registers, which keep them until the next move of about
// that size: in a thread that then waits for long, and a core has the registers of all
// threads (KeepMemoryOutOfCores is about memory). Call it where a thread has had secrets in
// hand and is done with them. A tenth of a microsecond.
void ForgetMovedBytes();

}  // namespace kiln
