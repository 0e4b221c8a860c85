// Gzip streams of moderate size, taken into memory and inflated in one piece. That takes
// less than half the time of inflating a stream; whatever does not fit, or is not right,
// goes the way of all others (decompress.cc), which has the words for what is wrong.
#include <libdeflate.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>

#include "oci/compress.h"

namespace kiln::oci {
namespace {

constexpr size_t kMostMemory = 256 << 20;  // for all streams together
constexpr size_t kLeastOutput = 4 << 20;   // a member of a stream of many fits
constexpr size_t kPiece = 1 << 20;
// While slower input comes in there is the time to inflate it as a stream.
constexpr std::chrono::milliseconds kFirstLook{300};
constexpr size_t kFastBytesPerMilli = 24'000;

// A part of the memory that all streams together may take.
class Reserved {
 public:
  Reserved() = default;
  Reserved(const Reserved&) = delete;
  Reserved& operator=(const Reserved&) = delete;
  ~Reserved() { taken_ -= bytes_; }
  bool Add(size_t bytes) {
    static const size_t limit = std::min<size_t>(
        kMostMemory, static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) *
                         static_cast<size_t>(::sysconf(_SC_PAGESIZE)) / 32);
    if (bytes > limit) return false;
    size_t before = taken_.fetch_add(bytes);
    if (before + bytes > limit) {
      taken_ -= bytes;
      return false;
    }
    bytes_ += bytes;
    return true;
  }

 private:
  static inline std::atomic<size_t> taken_ = 0;
  size_t bytes_ = 0;
};

struct Memory {
  std::unique_ptr<char[]> bytes;
  size_t size = 0;
  void Allocate(size_t room) {
    bytes = std::make_unique_for_overwrite<char[]>(room);
    size = room;
  }
  void Free() { *this = Memory(); }
};

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* it) const { libdeflate_free_decompressor(it); }
};

class WholeGzip {
 public:
  WholeGzip(ReadFn in, uint64_t size) : in_(std::move(in)), size_(size) {}

  StatusOr<size_t> Read(std::span<char> out) {
    if (!started_) {
      started_ = true;
      RETURN_IF_ERROR(Start());
    }
    while (!stream_ && taken_ == ready_ && !ended_) NextMember();
    if (stream_) return (*stream_)(out);
    size_t count = std::min(out.size(), ready_ - taken_);
    std::memcpy(out.data(), output_.bytes.get() + taken_, count);
    taken_ += count;
    return count;
  }

 private:
  // Takes the input, if that is fast, and makes room for what it becomes.
  Status Start() {
    if (!reserved_.Add(size_)) return Stream();
    input_.Allocate(size_);
    const auto begin = std::chrono::steady_clock::now();
    while (have_ < size_) {
      size_t room = std::min(kPiece, size_ - have_);
      ASSIGN_OR_RETURN(size_t count, in_({input_.bytes.get() + have_, room}));
      have_ += count;
      if (count == 0 || IsSlow(begin)) return Stream();
      if (have_ >= 2 && std::memcmp(input_.bytes.get(), "\x1f\x8b", 2) != 0) return Stream();
    }
    if (size_ < 18) return Stream();
    // How long the last member, most often the only one, is when inflated.
    const auto* end = reinterpret_cast<const unsigned char*>(input_.bytes.get()) + size_ - 4;
    size_t length = size_t{end[0]} | size_t{end[1]} << 8 | size_t{end[2]} << 16 |
                    size_t{end[3]} << 24;
    length = std::max(length, kLeastOutput);
    if (!reserved_.Add(length)) return Stream();
    output_.Allocate(length);
    inflate_.reset(libdeflate_alloc_decompressor());
    return inflate_ == nullptr ? Stream() : OkStatus();
  }

  bool IsSlow(std::chrono::steady_clock::time_point begin) const {
    auto time = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begin);
    return time > kFirstLook && have_ / static_cast<size_t>(time.count()) < kFastBytesPerMilli;
  }

  void NextMember() {
    if (at_ == have_) {
      ended_ = true;
      input_.Free();
      return;
    }
    size_t used = 0;
    size_t made = 0;
    if (libdeflate_gzip_decompress_ex(inflate_.get(), input_.bytes.get() + at_, have_ - at_,
                                      output_.bytes.get(), output_.size, &used,
                                      &made) != LIBDEFLATE_SUCCESS) {
      Stream().IgnoreError();
      return;
    }
    at_ += used;
    taken_ = 0;
    ready_ = made;
  }

  // The rest as a stream: what was read, then what was not.
  Status Stream() {
    output_.Free();
    stream_ = Decompress([this](std::span<char> out) -> StatusOr<size_t> {
      if (at_ == have_) {
        input_.Free();
        return in_(out);
      }
      size_t count = std::min(out.size(), have_ - at_);
      std::memcpy(out.data(), input_.bytes.get() + at_, count);
      at_ += count;
      return count;
    });
    return OkStatus();
  }

  ReadFn in_;
  const size_t size_;
  bool started_ = false;
  Reserved reserved_;
  Memory input_;
  size_t have_ = 0;  // of the input, so far
  size_t at_ = 0;    // begin of what has not been inflated
  Memory output_;
  size_t taken_ = 0, ready_ = 0;  // of one member
  bool ended_ = false;
  std::unique_ptr<libdeflate_decompressor, FreeDecompressor> inflate_;
  std::optional<ReadFn> stream_;
};

}  // namespace

ReadFn DecompressWhole(ReadFn in, uint64_t size) {
  auto whole = std::make_shared<WholeGzip>(std::move(in), size);
  return [whole](std::span<char> out) { return whole->Read(out); };
}

}  // namespace kiln::oci
