// Compressors, and the media types that name them. Readers are decompress.cc.
#include "oci/compress.h"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "oci/estargz.h"

namespace kiln::oci {
namespace {

// Part of the format of what we write: another size gives other digests.
constexpr size_t kMemberBytes = 1 << 20;
constexpr unsigned kMaxThreads = 8;

class PlainCompressor : public Compressor {
 public:
  explicit PlainCompressor(WriteFn out) : out_(std::move(out)) {}
  Status Write(std::string_view bytes) override { return out_(bytes); }
  Status Finish() override { return OkStatus(); }

 private:
  WriteFn out_;
};

std::string GzipMember(libdeflate_compressor* deflate, std::string_view bytes) {
  std::string out(libdeflate_gzip_compress_bound(deflate, bytes.size()), '\0');
  out.resize(libdeflate_gzip_compress(deflate, bytes.data(), bytes.size(), out.data(), out.size()));
  return out;
}

// Members are compressed by threads that start with the second one, and written in order.
class GzipCompressor : public Compressor {
 public:
  GzipCompressor(std::optional<int> level, WriteFn out)
      : level_(DeflateLevel(level)), out_(std::move(out)) {}
  ~GzipCompressor() override {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  Status Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      if (chunk_.size() == kMemberBytes) RETURN_IF_ERROR(Submit());
      size_t count = std::min(bytes.size(), kMemberBytes - chunk_.size());
      chunk_ += bytes.substr(0, count);
      bytes.remove_prefix(count);
    }
    return OkStatus();
  }

  Status Finish() override {
    if (threads_.empty()) {
      libdeflate_compressor* deflate = libdeflate_alloc_compressor(level_);
      std::string member = GzipMember(deflate, chunk_);
      libdeflate_free_compressor(deflate);
      return out_(member);
    }
    if (!chunk_.empty()) RETURN_IF_ERROR(Submit());
    while (!members_.empty()) RETURN_IF_ERROR(WriteFirst());
    return OkStatus();
  }

 private:
  struct Member {
    std::string in, out;
    bool taken = false, done = false;
  };

  Status Submit() {
    size_t limit = 2 * std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads);
    while (members_.size() >= limit) RETURN_IF_ERROR(WriteFirst());
    {
      std::lock_guard lock(mutex_);
      members_.push_back(std::make_unique<Member>());
      members_.back()->in = std::move(chunk_);
    }
    wake_.notify_one();
    if (threads_.size() * 2 < limit) threads_.emplace_back([this] { Work(); });
    chunk_.clear();
    chunk_.reserve(kMemberBytes);
    return OkStatus();
  }

  Status WriteFirst() {
    std::unique_ptr<Member> first;
    {
      std::unique_lock lock(mutex_);
      finished_.wait(lock, [this] { return members_.front()->done; });
      first = std::move(members_.front());
      members_.pop_front();
    }
    return out_(first->out);
  }

  void Work() {
    libdeflate_compressor* deflate = libdeflate_alloc_compressor(level_);
    std::unique_lock lock(mutex_);
    for (;;) {
      auto next = std::find_if(members_.begin(), members_.end(),
                               [](const auto& member) { return !member->taken; });
      if (next == members_.end()) {
        if (ending_) break;
        wake_.wait(lock);
        continue;
      }
      Member& member = **next;
      member.taken = true;
      lock.unlock();
      member.out = GzipMember(deflate, member.in);
      lock.lock();
      member.done = true;
      finished_.notify_one();
    }
    libdeflate_free_compressor(deflate);
  }

  const int level_;
  WriteFn out_;
  std::string chunk_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, finished_;
  std::deque<std::unique_ptr<Member>> members_;  // guarded by mutex_
  bool ending_ = false;                          // guarded by mutex_
};

class ZstdCompressor : public Compressor {
 public:
  ZstdCompressor(std::optional<int> level, WriteFn out)
      : context_(ZSTD_createCCtx()), out_(std::move(out)), buffer_(ZSTD_CStreamOutSize(), '\0') {
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel,
                           std::clamp(level.value_or(3), 1, 19));
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
    // One or more workers give the same bytes; none gives others.
    ZSTD_CCtx_setParameter(
        context_, ZSTD_c_nbWorkers,
        static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 4u)));
  }
  ~ZstdCompressor() override { ZSTD_freeCCtx(context_); }

  Status Write(std::string_view bytes) override { return Run(bytes, ZSTD_e_continue); }
  Status Finish() override { return Run({}, ZSTD_e_end); }

 private:
  Status Run(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      size_t left = ZSTD_compressStream2(context_, &out, &in, directive);
      if (ZSTD_isError(left)) return InternalError(StrCat("zstd: ", ZSTD_getErrorName(left)));
      if (out.pos > 0) RETURN_IF_ERROR(out_(std::string_view(buffer_).substr(0, out.pos)));
      bool done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
      if (done) return OkStatus();
    }
  }

  ZSTD_CCtx* context_;
  WriteFn out_;
  std::string buffer_;
};

struct TypePair {
  std::string_view docker, oci;
};
constexpr std::array<TypePair, 5> kLayerTypes = {{
    {kDockerLayer, kOciLayer},
    {kDockerLayerGzip, kOciLayerGzip},
    {kDockerLayerZstd, kOciLayerZstd},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar",
     "application/vnd.oci.image.layer.nondistributable.v1.tar"},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
     "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
}};

}  // namespace

int DeflateLevel(std::optional<int> level) {
  if (!level || *level == -1) return 6;
  return std::clamp(*level, 0, 9);
}

std::unique_ptr<Compressor> NewCompressor(Compression type, std::optional<int> level, WriteFn out) {
  switch (type) {
    case Compression::kEstargz: return NewEstargzCompressor(level, std::move(out));
    case Compression::kGzip: return std::make_unique<GzipCompressor>(level, std::move(out));
    case Compression::kZstd: return std::make_unique<ZstdCompressor>(level, std::move(out));
    case Compression::kUncompressed:
    case Compression::kUnknown: break;
  }
  return std::make_unique<PlainCompressor>(std::move(out));
}

std::string_view LayerMediaType(Compression type, bool oci_types) {
  switch (type) {
    case Compression::kGzip:
    case Compression::kEstargz: return oci_types ? kOciLayerGzip : kDockerLayerGzip;
    case Compression::kZstd: return oci_types ? kOciLayerZstd : kDockerLayerZstd;
    case Compression::kUncompressed:
    case Compression::kUnknown: break;
  }
  return oci_types ? kOciLayer : kDockerLayer;
}

std::string ConvertLayerMediaType(std::string_view media_type, bool oci_types) {
  for (const TypePair& pair : kLayerTypes) {
    if (media_type == pair.docker || media_type == pair.oci) {
      return std::string(oci_types ? pair.oci : pair.docker);
    }
  }
  return std::string(media_type);
}

std::string DistributableLayerMediaType(std::string_view media_type) {
  std::string type = ReplaceAll(media_type, "layer.nondistributable.", "layer.");
  return ReplaceAll(type, "rootfs.foreign.diff.", "rootfs.diff.");
}

bool IsIndexType(std::string_view media_type) {
  return media_type == kOciIndex || media_type == kDockerIndex;
}

bool IsManifestType(std::string_view media_type) {
  return media_type == kOciManifest || media_type == kDockerManifest;
}

bool IsLayerType(std::string_view media_type) {
  return CompressionOf(media_type) != Compression::kUnknown;
}

Compression CompressionOf(std::string_view media_type) {
  for (const TypePair& pair : kLayerTypes) {
    if (media_type != pair.docker && media_type != pair.oci) continue;
    if (pair.oci.ends_with("gzip")) return Compression::kGzip;
    return pair.oci.ends_with("zstd") ? Compression::kZstd : Compression::kUncompressed;
  }
  if (media_type == "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd") {
    return Compression::kZstd;
  }
  return Compression::kUnknown;
}

}  // namespace kiln::oci
