// Digest: the name of a piece of content, "sha256:" and 64 hex digits.
//
// Follows the OCI digest grammar. Only sha256 is computed here; sha512 and
// others parse, so that a foreign document can be carried along.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln {

// A plain value; empty means "none". Ordered and hashable by its text.
class Digest {
 public:
  Digest() = default;
  // INVALID_ARGUMENT ("invalid checksum digest format" and the like, as go-digest says it).
  static StatusOr<Digest> Parse(std::string_view text);
  // Digest of `bytes` under sha256.
  static Digest Of(std::string_view bytes);
  // From a raw 32-byte sha256.
  static Digest FromRaw(std::span<const uint8_t, 32> raw);
  // No check: for texts that are known to be digests.
  static Digest Trusted(std::string text) { return Digest(std::move(text)); }

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  std::string_view algorithm() const;
  std::string_view hex() const;

  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// Digest of a layer's uncompressed tar. A type of its own, never mixed with the blob's Digest.
struct DiffId {
  Digest digest;
  auto operator<=>(const DiffId&) const = default;
};

// ChainID of OCI image-spec: identity of a stack of layers. Empty input gives an empty digest.
Digest ChainId(std::span<const DiffId> diff_ids);

// A running sha256. Not thread-safe. Copying forks the state.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256& other);
  Sha256& operator=(const Sha256& other);
  void Update(std::string_view bytes);
  void Update(std::span<const std::byte> bytes);
  // Digest of all so far; the state stays usable.
  Digest Finish() const;
  std::array<uint8_t, 32> FinishRaw() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string HexEncode(std::string_view bytes);
StatusOr<std::string> HexDecode(std::string_view hex);

}  // namespace kiln

template <>
struct std::hash<kiln::Digest> {
  size_t operator()(const kiln::Digest& digest) const noexcept {
    return std::hash<std::string>()(digest.text());
  }
};
