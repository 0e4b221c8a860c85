// PacketScript: a peer of a tree transfer that says what it is told to, in words:
//
//   stat PATH MODE SIZE [LINK]  an entry; MODE in octal, 'd' in front for a folder, 'l' for a
//                               symlink, 'f' for anything else
//   stats COUNT [PREFIX]        so many empty files
//   end                         the end of the list
//   data ID TEXT                a piece of file ID; done ID: its end
//   bytes ID COUNT              so many bytes of it
//   req ID | fin | err TEXT
//   asked COUNT                 reads until so many files have been asked for
//   list                        reads until the end of the peer's list
//   answer                      reads until FIN or ERR
//   hang                        neither reads nor writes any more
//   vanish                      the process ends at once
//
// One word group an argument. What the peer says of errors goes to stdout.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fsutil::types {
class Packet;
}

namespace kiln {

struct PacketEnds {
  std::function<bool(::fsutil::types::Packet*)> read;
  std::function<bool(const ::fsutil::types::Packet&)> write;
  std::function<bool()> cancelled;
};

// Blocks until the script or the stream is over.
void RunPacketScript(const std::vector<std::string>& script, const PacketEnds& ends);

}  // namespace kiln
