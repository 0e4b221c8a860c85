// Protobuf messages as JSON in the two ways that the reference uses: through Go's
// struct tags, and as protojson. Members in order of declaration, maps sorted.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace kiln::dockerfile {

enum class MessageStyle {
  kStructTags,  // field names as declared, 64-bit integers as numbers
  kProtoJson,   // camel case, 64-bit integers as strings
};
std::string MessageJson(const google::protobuf::Message& message, MessageStyle style);

}  // namespace kiln::dockerfile
