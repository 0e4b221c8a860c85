// Decompression of layers, and reading ahead on a thread. See compress.h.
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "oci/compress.h"
#include "oci/isal_inflate.h"

namespace kiln::oci {
namespace {

constexpr size_t kBufferBytes = 128 << 10;

// Input with some bytes in hand.
class Input {
 public:
  explicit Input(ReadFn in) : in_(std::move(in)), buffer_(kBufferBytes, '\0') {}
  // Makes sure that there are `count` bytes, unless the input ends before.
  Status Need(size_t count) {
    while (end_ - begin_ < count && !ended_) {
      if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
      }
      ASSIGN_OR_RETURN(size_t got, in_(std::span<char>(buffer_).subspan(end_)));
      ended_ = got == 0;
      end_ += got;
    }
    return OkStatus();
  }
  std::string_view bytes() const { return std::string_view(buffer_).substr(begin_, end_ - begin_); }
  char* data() { return buffer_.data() + begin_; }
  void Skip(size_t count) { begin_ += count; }

 private:
  ReadFn in_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;
  bool ended_ = false;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual StatusOr<size_t> Read(Input& in, std::span<char> out) = 0;
};

class PlainDecoder : public Decoder {
 public:
  StatusOr<size_t> Read(Input& in, std::span<char> out) override {
    RETURN_IF_ERROR(in.Need(1));
    size_t count = std::min(out.size(), in.bytes().size());
    std::memcpy(out.data(), in.data(), count);
    in.Skip(count);
    return count;
  }
};

class GzipDecoder : public Decoder {
 public:
  GzipDecoder() { ok_ = ::inflateInit2(&stream_, 15 + 16) == Z_OK; }
  ~GzipDecoder() override { ::inflateEnd(&stream_); }
  StatusOr<size_t> Read(Input& in, std::span<char> out) override {
    if (!ok_) return InternalError("zlib: no memory");
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(out.size(), 1 << 30));
    uInt room = stream_.avail_out;
    while (stream_.avail_out == room) {
      RETURN_IF_ERROR(in.Need(1));
      std::string_view bytes = in.bytes();
      if (bytes.empty()) {
        if (between_) return size_t{0};
        return DataLossError("unexpected EOF");
      }
      if (between_) ::inflateReset(&stream_);
      between_ = false;
      stream_.next_in = reinterpret_cast<Bytef*>(in.data());
      stream_.avail_in = static_cast<uInt>(bytes.size());
      int rc = ::inflate(&stream_, Z_NO_FLUSH);
      in.Skip(bytes.size() - stream_.avail_in);
      if (rc == Z_STREAM_END) {
        between_ = true;
      } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return DataLossError(StrCat("gzip: invalid data: ", stream_.msg ? stream_.msg : "corrupt"));
      }
    }
    return static_cast<size_t>(room - stream_.avail_out);
  }

 private:
  z_stream stream_{};
  bool ok_ = false;
  bool between_ = false;  // a member ended, and perhaps another follows
};

class IsalDecoder : public Decoder {
 public:
  explicit IsalDecoder(const IsalInflate& isal)
      : isal_(isal), state_(std::make_unique_for_overwrite<inflate_state>()) {
    isal_.init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }
  StatusOr<size_t> Read(Input& in, std::span<char> out) override {
    const auto room = static_cast<uint32_t>(std::min<size_t>(out.size(), 1 << 30));
    for (;;) {
      RETURN_IF_ERROR(in.Need(1));
      const size_t size = in.bytes().size();
      if (between_) {
        if (size == 0) return size_t{0};
        isal_.reset(state_.get());
        between_ = false;
      }
      state_->next_in = reinterpret_cast<uint8_t*>(in.data());
      state_->avail_in = static_cast<uint32_t>(size);
      state_->next_out = reinterpret_cast<uint8_t*>(out.data());
      state_->avail_out = room;
      const int answer = isal_.inflate(state_.get());
      if (answer < 0) return DataLossError(StrCat("gzip: invalid data: ", IsalFault(answer)));
      in.Skip(size - state_->avail_in);
      const size_t made = room - state_->avail_out;
      between_ = state_->block_state == ISAL_BLOCK_FINISH;
      // Of the last bytes of the input it may have some in hand.
      if (size == 0 && made == 0 && !between_) return DataLossError("unexpected EOF");
      if (made != 0) return made;
    }
  }

 private:
  const IsalInflate& isal_;
  const std::unique_ptr<inflate_state> state_;
  bool between_ = false;  // a member ended, and perhaps another follows
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 27);  // 128 MiB
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  StatusOr<size_t> Read(Input& in, std::span<char> out) override {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    while (to.pos == 0) {
      RETURN_IF_ERROR(in.Need(1));
      std::string_view bytes = in.bytes();
      if (bytes.empty() && between_) return size_t{0};
      ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
      size_t left = ZSTD_decompressStream(context_, &to, &from);
      if (ZSTD_isError(left)) {
        return DataLossError(StrCat("zstd: invalid data: ", ZSTD_getErrorName(left)));
      }
      in.Skip(from.pos);
      between_ = left == 0;
      if (bytes.empty() && to.pos == 0 && !between_) return DataLossError("unexpected EOF");
    }
    return to.pos;
  }

 private:
  ZSTD_DCtx* context_;
  bool between_ = true;
};

std::unique_ptr<Decoder> DecoderFor(std::string_view magic, Inflater inflater) {
  if (magic.starts_with("\x1f\x8b")) {
    const IsalInflate* isal = inflater == Inflater::kFastest ? LoadIsalInflate() : nullptr;
    if (isal != nullptr) return std::make_unique<IsalDecoder>(*isal);
    return std::make_unique<GzipDecoder>();
  }
  bool skippable = magic.size() >= 4 && (static_cast<unsigned char>(magic[0]) & 0xf0) == 0x50 &&
                   magic.substr(1, 3) == "\x2a\x4d\x18";
  if (skippable || magic.starts_with("\x28\xb5\x2f\xfd")) return std::make_unique<ZstdDecoder>();
  return std::make_unique<PlainDecoder>();
}

// A buffer that is used again and again, and never cleared.
struct Chunk {
  std::unique_ptr<char[]> bytes;
  size_t size = 0;
};

struct Ahead {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Chunk> full;
  std::vector<Chunk> spare;
  Status status;
  bool ended = false, dropped = false;
  Chunk current;
  size_t used = 0;
  std::thread thread;

  ~Ahead() {
    {
      std::lock_guard lock(mutex);
      dropped = true;
    }
    changed.notify_all();
    if (thread.joinable()) thread.join();
  }
};

// Whole buffers only, but for the last: each costs a change of threads.
StatusOr<bool> FillChunk(const ReadFn& in, size_t capacity, Chunk* chunk) {
  for (chunk->size = 0; chunk->size < capacity;) {
    ASSIGN_OR_RETURN(size_t count, in({chunk->bytes.get() + chunk->size, capacity - chunk->size}));
    if (count == 0) return false;
    chunk->size += count;
  }
  return true;
}

void FillAhead(Ahead& ahead, const ReadFn& in, size_t buffer_bytes, size_t buffers) {
  for (;;) {
    Chunk chunk;
    {
      std::unique_lock lock(ahead.mutex);
      ahead.changed.wait(lock, [&] { return ahead.dropped || ahead.full.size() < buffers; });
      if (ahead.dropped) return;
      if (!ahead.spare.empty()) {
        chunk = std::move(ahead.spare.back());
        ahead.spare.pop_back();
      }
    }
    if (chunk.bytes == nullptr) chunk.bytes = std::make_unique_for_overwrite<char[]>(buffer_bytes);
    StatusOr<bool> more = FillChunk(in, buffer_bytes, &chunk);
    std::lock_guard lock(ahead.mutex);
    if (!more.ok()) ahead.status = more.status();
    ahead.ended = !more.ok() || !*more;
    if (chunk.size > 0) ahead.full.push_back(std::move(chunk));
    ahead.changed.notify_all();
    if (ahead.ended) return;
  }
}

}  // namespace

ReadFn Decompress(ReadFn in, Inflater inflater) {
  struct State {
    Input input;
    std::unique_ptr<Decoder> decoder;
  };
  auto state = std::make_shared<State>(State{Input(std::move(in)), nullptr});
  return [state, inflater](std::span<char> out) -> StatusOr<size_t> {
    if (out.empty()) return size_t{0};
    if (state->decoder == nullptr) {
      RETURN_IF_ERROR(state->input.Need(4));
      state->decoder = DecoderFor(state->input.bytes(), inflater);
    }
    return state->decoder->Read(state->input, out);
  };
}

ReadFn ReadAhead(ReadFn in, size_t buffer_bytes, int buffers) {
  auto ahead = std::make_shared<Ahead>();
  ahead->thread = std::thread([state = ahead.get(), in = std::move(in), buffer_bytes, buffers] {
    FillAhead(*state, in, buffer_bytes, static_cast<size_t>(buffers));
  });
  return [ahead](std::span<char> out) -> StatusOr<size_t> {
    if (ahead->used == ahead->current.size) {
      std::unique_lock lock(ahead->mutex);
      ahead->changed.wait(lock, [&] { return ahead->ended || !ahead->full.empty(); });
      if (ahead->full.empty()) {
        if (!ahead->status.ok()) return ahead->status;
        return size_t{0};
      }
      if (ahead->current.bytes != nullptr) ahead->spare.push_back(std::move(ahead->current));
      ahead->current = std::move(ahead->full.front());
      ahead->full.pop_front();
      ahead->used = 0;
      ahead->changed.notify_all();
    }
    size_t count = std::min(out.size(), ahead->current.size - ahead->used);
    std::memcpy(out.data(), ahead->current.bytes.get() + ahead->used, count);
    ahead->used += count;
    return count;
  };
}

}  // namespace kiln::oci
