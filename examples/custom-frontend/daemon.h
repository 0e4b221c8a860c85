// The daemon as a frontend in a container sees it: calls over stdin and stdout, options
// in the environment.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "llb/state.h"

namespace recipe {

class StdioChannel;

// What an image is known by and starts with.
struct ResolvedImage {
  std::string digest;
  std::string config;  // JSON
};

// What a frontend made: a graph, and the config of the image that it becomes.
struct Made {
  kiln::llb::State state;
  std::string config;  // JSON
};

struct SourceText;

// Calls block. Not thread-safe.
class Daemon {
 public:
  // Connects; stdin and stdout belong to the connection from now on.
  static kiln::StatusOr<std::unique_ptr<Daemon>> Connect();
  ~Daemon();

  // Of the request for this build; "" if it is not there.
  std::string Option(const std::string& key) const;
  const std::string& session() const { return session_; }

  // Graphs that the client passed in, by name.
  kiln::StatusOr<std::map<std::string, kiln::llb::State>> Inputs();
  // Makes a result of a graph; it is built when it is first needed.
  kiln::StatusOr<std::string> Solve(const kiln::llb::State& state);
  // Has another recipe built by this same frontend: `filename` in the place of ours, and
  // `so_far` as the input of that name, with the config of its image.
  kiln::StatusOr<Made> Delegate(const std::string& filename, const kiln::llb::State& so_far,
                                const std::string& image_config);
  // A file of a result.
  kiln::StatusOr<std::string> ReadFile(const std::string& ref, const std::string& path);
  // `oci_store`: the client's OCI layout that has it; "": a registry.
  kiln::StatusOr<ResolvedImage> Resolve(const std::string& reference,
                                        const std::string& oci_store);
  // Tells the user of a build about a line of a file that was read by `reading`.
  kiln::Status Warn(const kiln::llb::State& reading, const SourceText& source, int line,
                    const std::string& text);
  // The end of the build: a result with the config of its image, or why there is none.
  kiln::Status Return(const std::string& ref, const std::string& image_config);
  kiln::Status Fail(const kiln::Status& why);

 private:
  Daemon();

  std::map<std::string, std::string> options_;
  std::string session_;
  std::unique_ptr<StdioChannel> stdio_;
};

}  // namespace recipe
