// Each thread unwinds itself in a signal handler, because only it can do so safely.
#include "cmd/buildkitd/thread_stacks.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

constexpr int kMostFrames = 64;
constexpr int kHandlerFrames = 2;  // the handler and the kernel's trampoline
constexpr long kPatienceNanos = 200'000'000;

int StackSignal() { return SIGRTMIN + 5; }

// Where the thread that is being asked leaves its answer.
struct Answer {
  std::array<void*, kMostFrames> frames{};
  int count = 0;
  std::atomic<pid_t> wanted{0};
  sem_t done{};
};
Answer& TheAnswer() {
  static Answer answer;
  return answer;
}

void OnSignal(int) {
  int saved = errno;
  Answer& answer = TheAnswer();
  // A thread that answers too late must not write over another's stack.
  pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  if (answer.wanted.compare_exchange_strong(self, 0)) {
    answer.count = backtrace(answer.frames.data(), kMostFrames);
    sem_post(&answer.done);
  }
  errno = saved;
}

std::vector<pid_t> Threads() {
  std::vector<pid_t> threads;
  auto names = ListDir("/proc/self/task");
  if (!names.ok()) return threads;
  for (const std::string& name : *names) {
    if (int64_t id = 0; ParseInt64(name, &id)) threads.push_back(static_cast<pid_t>(id));
  }
  std::sort(threads.begin(), threads.end());
  return threads;
}

std::string TaskText(pid_t thread, std::string_view file) {
  auto text = ReadFile(StrCat("/proc/self/task/", thread, "/", file));
  return text.ok() ? std::string(TrimSpace(*text)) : "";
}

std::string Hex(uintptr_t number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%zx", static_cast<size_t>(number));
  return text.data();
}

std::string Frame(void* address) {
  Dl_info info{};
  auto at = reinterpret_cast<uintptr_t>(address);
  if (dladdr(address, &info) == 0) return StrCat("unknown()\n\tunknown+", Hex(at), "\n");
  std::string name = info.dli_sname == nullptr ? "??" : info.dli_sname;
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> plain(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  if (plain != nullptr) name = plain.get();
  if (!Contains(name, "(")) name += "()";
  return StrCat(name, "\n\t", info.dli_fname == nullptr ? "??" : info.dli_fname, "+",
                Hex(at - reinterpret_cast<uintptr_t>(info.dli_fbase)), "\n");
}

// False if the thread does not answer in time (it may be gone, or in the kernel for good).
bool Ask(pid_t thread) {
  Answer& answer = TheAnswer();
  answer.wanted = thread;
  if (syscall(SYS_tgkill, getpid(), thread, StackSignal()) != 0) return false;
  timespec until{};
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += kPatienceNanos;
  until.tv_sec += until.tv_nsec / 1'000'000'000;
  until.tv_nsec %= 1'000'000'000;
  while (sem_timedwait(&answer.done, &until) != 0) {
    if (errno == EINTR) continue;
    pid_t still = thread;
    if (answer.wanted.compare_exchange_strong(still, 0)) return false;
    // It is writing just now.
    while (sem_wait(&answer.done) != 0) {
    }
    return true;
  }
  return true;
}

}  // namespace

void PrepareThreadStacks() {
  sem_init(&TheAnswer().done, 0, 0);
  void* warm[1];
  backtrace(warm, 1);  // loads what it needs, which a handler must not do
  struct sigaction action{};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(StackSignal(), &action, nullptr);
}

std::string ThreadStacks() {
  std::string out;
  for (pid_t thread : Threads()) {
    std::string where = TaskText(thread, "wchan");
    if (where.empty() || where == "0") where = "running";
    out += StrCat("goroutine ", thread, " [", where, "]: ", TaskText(thread, "comm"), "\n");
    if (Ask(thread)) {
      const Answer& answer = TheAnswer();
      for (int i = kHandlerFrames; i < answer.count; ++i) {
        out += Frame(answer.frames[static_cast<size_t>(i)]);
      }
    }
    out += "\n";
  }
  return out;
}

int ThreadCount() { return static_cast<int>(Threads().size()); }

}  // namespace kiln::buildkitd
