// libfuse's low-level API speaks the protocol; mounting is our own call, since a layer's
// programs may be set-id and it may hold devices, which libfuse's would not allow.
#include "cache/afar/fuse_mounts.h"

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "base/job_pool.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "base/user_namespace.h"

namespace kiln::cache {
namespace {

using oci::EstargzNode;

constexpr size_t kReaders = 16;  // they wait for the network
constexpr double kForever = 86400;  // seconds; nothing changes
constexpr std::string_view kOpaqueMark = "trusted.overlay.opaque";

mode_t TypeBits(EstargzNode::Kind kind) {
  switch (kind) {
    case EstargzNode::Kind::kFolder: return S_IFDIR;
    case EstargzNode::Kind::kFile: return S_IFREG;
    case EstargzNode::Kind::kSymlink: return S_IFLNK;
    case EstargzNode::Kind::kCharDevice: return S_IFCHR;
    case EstargzNode::Kind::kBlockDevice: return S_IFBLK;
    case EstargzNode::Kind::kFifo: return S_IFIFO;
  }
  return S_IFREG;
}

// One mounted layer. Requests that are being answered keep it.
struct Channel {
  std::shared_ptr<AfarLayer> layer;
  std::weak_ptr<Channel> self;
  uint64_t inodes = 0;  // added to the numbers that are shown
  fuse_session* fuse = nullptr;
  std::mutex mutex;              // held while a request is taken
  JobPool* readers = nullptr;    // null: nothing is answered any more
  fuse_buf buffer{};             // both guarded by it
  ~Channel() {
    if (fuse != nullptr) fuse_session_destroy(fuse);  // closes the device: who is inside gets out
    std::free(buffer.mem);
  }
  int fd() const { return fuse_session_fd(fuse); }
};

Channel& ChannelOf(fuse_req_t request) {
  return *static_cast<Channel*>(fuse_req_userdata(request));
}
// To the kernel inodes are indices, and its root is 1. What is shown is unique beyond the
// layer: in an overlay of several, tools take equal numbers for names of one file.
uint32_t IndexOf(fuse_ino_t inode) { return static_cast<uint32_t>(inode - 1); }

struct stat StatOf(const Channel& channel, uint32_t index) {
  const EstargzNode& node = channel.layer->tree().nodes()[index];
  struct stat st{};
  st.st_ino = channel.inodes + index + 1;
  st.st_mode = TypeBits(node.kind) | node.mode;
  st.st_nlink = node.kind == EstargzNode::Kind::kFolder ? 1 : node.links;
  st.st_uid = node.uid;
  st.st_gid = node.gid;
  st.st_size = static_cast<off_t>(node.kind == EstargzNode::Kind::kSymlink ? node.target.size()
                                                                           : node.size);
  st.st_blocks = (st.st_size + 511) / 512;
  st.st_blksize = 4096;
  st.st_rdev = ::makedev(node.dev_major, node.dev_minor);
  st.st_mtim = {node.mtime, static_cast<long>(node.mtime_nanos)};
  st.st_atim = st.st_ctim = st.st_mtim;
  return st;
}

void Init(void*, fuse_conn_info* connection) {
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ);
  connection->want |= connection->capable & FUSE_CAP_CACHE_SYMLINKS;
  connection->max_background = static_cast<unsigned>(2 * kReaders);
}

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const Channel& channel = ChannelOf(request);
  fuse_entry_param entry{};
  entry.attr_timeout = entry.entry_timeout = kForever;
  if (uint32_t found = channel.layer->tree().Find(IndexOf(parent), name); found != 0) {
    entry.ino = found + 1;
    entry.attr = StatOf(channel, found);
  }
  fuse_reply_entry(request, &entry);
}

void GetAttr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat st = StatOf(ChannelOf(request), IndexOf(inode));
  fuse_reply_attr(request, &st, kForever);
}

void ReadLink(fuse_req_t request, fuse_ino_t inode) {
  fuse_reply_readlink(
      request, ChannelOf(request).layer->tree().nodes()[IndexOf(inode)].target.c_str());
}

// The kernel keeps what it has read: no file ever changes.
void Open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  if ((file->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(request, EROFS);
    return;
  }
  file->keep_cache = 1;
  fuse_reply_open(request, file);
}

void OpenDir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  file->keep_cache = 1;
  file->cache_readdir = 1;
  fuse_reply_open(request, file);
}

void Read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  std::shared_ptr<Channel> channel = ChannelOf(request).self.lock();
  JobPool& readers = *channel->readers;  // a request is being taken
  readers.Submit([=, channel = std::move(channel)] {
    std::string buffer(size, '\0');
    StatusOr<size_t> count =
        channel->layer->Read(IndexOf(inode), static_cast<uint64_t>(offset), buffer);
    if (count.ok()) {
      fuse_reply_buf(request, buffer.data(), *count);
    } else {
      fuse_reply_err(request, EIO);
    }
  });
}

void ReadDir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  const Channel& channel = ChannelOf(request);
  const auto& children = channel.layer->tree().nodes()[IndexOf(inode)].children;
  std::string buffer(size, '\0');
  size_t used = 0;
  for (auto at = static_cast<size_t>(offset); at < children.size() + 2; ++at) {
    const bool dots = at < 2;
    const uint32_t index = dots ? IndexOf(inode) : children[at - 2].second;
    const char* name = at == 0 ? "." : at == 1 ? ".." : children[at - 2].first.c_str();
    const struct stat st = StatOf(channel, index);
    const size_t room = fuse_add_direntry(request, buffer.data() + used, size - used, name, &st,
                                          static_cast<off_t>(at + 1));
    if (room > size - used) break;
    used += room;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

void ReplyText(fuse_req_t request, std::string_view text, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, text.size());
  } else if (size < text.size()) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, text.data(), text.size());
  }
}

void GetXattr(fuse_req_t request, fuse_ino_t inode, const char* name, size_t size) {
  const EstargzNode& node = ChannelOf(request).layer->tree().nodes()[IndexOf(inode)];
  if (node.opaque && name == kOpaqueMark) return ReplyText(request, "y", size);
  for (const auto& [key, value] : node.xattrs) {
    if (key == name) return ReplyText(request, value, size);
  }
  fuse_reply_err(request, ENODATA);
}

void ListXattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  const EstargzNode& node = ChannelOf(request).layer->tree().nodes()[IndexOf(inode)];
  std::string names;
  if (node.opaque) names += StrCat(kOpaqueMark, '\0');
  for (const auto& [key, value] : node.xattrs) names += StrCat(key, '\0');
  ReplyText(request, names, size);
}

fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops operations{};
  operations.init = Init;
  operations.lookup = Lookup;
  operations.getattr = GetAttr;
  operations.readlink = ReadLink;
  operations.open = Open;
  operations.read = Read;
  operations.opendir = OpenDir;
  operations.readdir = ReadDir;
  operations.getxattr = GetXattr;
  operations.listxattr = ListXattr;
  return operations;
}

void LogLine(fuse_log_level, const char* format, va_list arguments) {
  char line[512];
  if (std::vsnprintf(line, sizeof line, format, arguments) > 0) {
    log::Debug(StrCat("fuse: ", TrimSpace(line)));
  }
}

// Waits for requests of all mounts, and answers them.
class Server {
 public:
  static StatusOr<std::shared_ptr<Server>> Start() {
    auto server = std::make_shared<Server>();
    server->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    server->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!server->epoll_.valid() || !server->wake_.valid()) return ErrnoStatus(errno, "epoll");
    RETURN_IF_ERROR(server->Watch(server->wake_.get()));
    server->thread_ = std::jthread([raw = server.get()](std::stop_token stop) { raw->Loop(stop); });
    return server;
  }
  ~Server() {
    thread_.request_stop();
    const uint64_t one = 1;
    if (::write(wake_.get(), &one, sizeof one) < 0) log::Debug("fuse: cannot wake the server");
  }
  Status Add(const std::shared_ptr<Channel>& channel) {
    std::lock_guard lock(mutex_);
    channels_[channel->fd()] = channel;
    return Watch(channel->fd());
  }
  void Remove(int fd) {
    std::lock_guard lock(mutex_);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    channels_.erase(fd);
  }

 private:
  Status Watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return OkStatus();
    return ErrnoStatus(errno, "epoll_ctl");
  }
  void Loop(const std::stop_token& stop) {
    epoll_event events[32];
    while (!stop.stop_requested()) {
      const int count = ::epoll_wait(epoll_.get(), events, std::size(events), -1);
      for (int i = 0; i < count; ++i) Serve(events[i].data.fd);
    }
  }
  void Serve(int fd) {
    std::shared_ptr<Channel> channel;
    {
      std::lock_guard lock(mutex_);
      auto found = channels_.find(fd);
      if (found == channels_.end()) return;
      channel = found->second;
    }
    std::lock_guard lock(channel->mutex);
    if (channel->readers == nullptr) return;
    const int bytes = fuse_session_receive_buf(channel->fuse, &channel->buffer);
    if (bytes == -EINTR || bytes == -EAGAIN) return;
    if (bytes <= 0) return Remove(fd);  // the mount is gone
    fuse_session_process_buf(channel->fuse, &channel->buffer);
  }

  UniqueFd epoll_, wake_;
  std::mutex mutex_;
  std::map<int, std::shared_ptr<Channel>> channels_;
  std::jthread thread_;  // last: it uses all the above
};

class Mounted : public FuseMount {
 public:
  Mounted(std::shared_ptr<Server> server, std::shared_ptr<JobPool> readers,
          std::shared_ptr<Channel> channel, std::string folder)
      : server_(std::move(server)),
        readers_(std::move(readers)),
        channel_(std::move(channel)),
        folder_(std::move(folder)) {}
  ~Mounted() override {
    channel_->layer->Stop();
    ::umount2(folder_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    server_->Remove(channel_->fd());
    std::lock_guard lock(channel_->mutex);
    channel_->readers = nullptr;
  }

 private:
  const std::shared_ptr<Server> server_;
  const std::shared_ptr<JobPool> readers_;
  const std::shared_ptr<Channel> channel_;
  const std::string folder_;
};

class Mounts : public FuseMounts {
 public:
  explicit Mounts(std::shared_ptr<Server> server)
      : server_(std::move(server)), readers_(std::make_shared<JobPool>("layer reads", kReaders)) {}
  StatusOr<std::unique_ptr<FuseMount>> Mount(std::shared_ptr<AfarLayer> layer,
                                             const std::string& folder) override;

 private:
  const std::shared_ptr<Server> server_;
  const std::shared_ptr<JobPool> readers_;
  std::atomic<uint64_t> mounted_ = 0;
};

StatusOr<std::unique_ptr<FuseMount>> Mounts::Mount(std::shared_ptr<AfarLayer> layer,
                                                   const std::string& folder) {
  static const fuse_lowlevel_ops kOperations = Operations();
  auto channel = std::make_shared<Channel>();
  channel->self = channel;
  channel->layer = std::move(layer);
  channel->readers = readers_.get();
  channel->inodes = (1 + mounted_++ % 0xffff) << 32;  // beyond those of disks, within 48 bits
  char name[] = "stargz";
  char* argv[] = {name, nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, argv);
  channel->fuse = fuse_session_new(&arguments, &kOperations, sizeof kOperations, channel.get());
  fuse_opt_free_args(&arguments);
  if (channel->fuse == nullptr) return InternalError("fuse: no channel");
  UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!device.valid()) return ErrnoStatus(errno, "open /dev/fuse");
  const std::string options =
      StrCat("fd=", device.get(), ",rootmode=40000,user_id=0,group_id=0,",
             "default_permissions,allow_other");
  if (::mount("stargz", folder.c_str(), "fuse.stargz", MS_RDONLY | MS_NOATIME, options.c_str()) !=
      0) {
    return ErrnoStatus(errno, StrCat("mount fuse at ", folder));
  }
  // Takes the device over.
  if (fuse_session_mount(channel->fuse, StrCat("/dev/fd/", device.Release()).c_str()) != 0) {
    ::umount2(folder.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    return InternalError("fuse: no mount");
  }
  auto mounted = std::make_unique<Mounted>(server_, readers_, channel, folder);
  RETURN_IF_ERROR(server_->Add(channel));
  // The first request is answered only after the two sides have agreed on how to speak.
  struct stat st{};
  if (::stat(folder.c_str(), &st) != 0) return ErrnoStatus(errno, StrCat("stat ", folder));
  return std::unique_ptr<FuseMount>(std::move(mounted));
}

}  // namespace

StatusOr<std::unique_ptr<FuseMounts>> OpenFuseMounts() {
  if (InUserNamespace()) {
    return UnimplementedError("layers are not mounted by FUSE in a user namespace");
  }
  UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.valid()) return ErrnoStatus(errno, "open /dev/fuse");
  fuse_set_log_func(LogLine);
  ASSIGN_OR_RETURN(std::shared_ptr<Server> server, Server::Start());
  return std::unique_ptr<FuseMounts>(std::make_unique<Mounts>(std::move(server)));
}

}  // namespace kiln::cache
