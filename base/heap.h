// How the C library's heap treats freed memory; mallopt(3) of glibc.
#pragma once

namespace kiln {

// For programs that move data in large blocks. By itself the heap gives pages back as soon as
// some hundred KiB are free at its end: then the buffers of each message are paged in anew,
// which was half of what a context of 20 000 files cost on either side. From now on up to
// 16 MiB stay with each arena, and blocks of up to 4 MiB come from there. There are as many
// arenas as processors, in place of eight times as many. Who is done with much memory calls
// malloc_trim(3). Once, before there are threads.
void KeepFreedMemory();

}  // namespace kiln
