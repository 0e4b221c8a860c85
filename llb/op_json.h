// OpJson: an op as the reference's programs show it in JSON (provenance, dumps).
//
// Members are the message's fields under their names in the .proto, in the order
// of the file; the oneofs of ops and file actions are nested under "Op" and "Action".
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace kiln::llb {

// Compact. Any message of ops.proto.
std::string OpJson(const google::protobuf::Message& message);

}  // namespace kiln::llb
