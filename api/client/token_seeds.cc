// A JSON file under a lock: {"HOST": {"Seed": "base64"}}.
#include "api/client/token_seeds.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "api/client/docker_config.h"
#include "base/digest.h"
#include "base/file.h"

namespace kiln::api {
namespace {

constexpr size_t kSeedBytes = 16;

}  // namespace

StatusOr<std::string> TokenSeed(const std::string& host) {
  std::string dir = DockerConfigDir();
  RETURN_IF_ERROR(MakeDirs(dir, 0755));
  // Two clients that start at once must agree; a read-only folder has no writers.
  StatusOr<UniqueFd> lock =
      OpenFile(JoinPath(dir, ".token_seed.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock.ok()) ::flock(lock->get(), LOCK_EX);
  std::string path = JoinPath(dir, ".token_seed");
  StatusOr<std::string> text = ReadFile(path);
  // What a crash left half written counts as nothing.
  auto seeds = nlohmann::json::parse(text.value_or("{}"), nullptr, false);
  if (!seeds.is_object()) seeds = nlohmann::json::object();
  std::string seed;
  if (auto found = seeds.find(host); found != seeds.end() && found->is_object()) {
    auto value = found->find("Seed");
    if (value != found->end() && value->is_string()) {
      Base64Decode(value->get<std::string>(), &seed);
    }
  }
  if (seed.empty()) {
    seed.resize(kSeedBytes);
    if (::getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
      return ErrnoStatus(errno, "getrandom");
    }
    seeds[host] = {{"Seed", Base64Encode(seed)}};
    if (lock.ok()) WriteFileAtomic(path, seeds.dump(2), 0600).IgnoreError();
  }
  return seed;
}

}  // namespace kiln::api
