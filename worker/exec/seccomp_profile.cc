// The default seccomp profile of a build step, as data.
//
// A list of allowed calls and a few rules on arguments; what is not named fails
// with EPERM. It is the profile that Docker and BuildKit give their containers.
#include "worker/exec/seccomp_profile.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kAllowed =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
    "chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
    "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
    "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir "
    "fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr "
    "flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 "
    "fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv "
    "futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 "
    "getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid "
    "getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit "
    "get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid "
    "gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init "
    "inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents "
    "io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat "
    "listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr "
    "lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir "
    "mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify "
    "mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
    "mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at "
    "nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal "
    "pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv "
    "preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read "
    "readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg "
    "remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall "
    "riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sched_getaffinity sched_getattr sched_getparam sched_get_priority_max "
    "sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
    "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
    "setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority "
    "setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
    "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid "
    "setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd "
    "signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 "
    "statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
    "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat "
    "uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid "
    "write writev ";

// Bits that make clone(2) create a namespace.
constexpr uint64_t kNamespaceFlags = 2114060288;

ordered_json Allow(std::vector<std::string> names) {
  return {{"names", std::move(names)}, {"action", "SCMP_ACT_ALLOW"}};
}

ordered_json AllowIf(const char* name, uint64_t value, const char* op) {
  ordered_json rule = Allow({name});
  rule["args"] = ordered_json::array({{{"index", 0}, {"value", value}, {"op", op}}});
  return rule;
}

void AppendArchitecture(std::string_view architecture, ordered_json& rules) {
  if (architecture == "amd64") {
    rules.push_back(Allow({"arch_prctl"}));
    rules.push_back(Allow({"modify_ldt"}));
  } else if (architecture == "arm64" || architecture == "arm") {
    rules.push_back(Allow({"arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2",
                           "breakpoint", "cacheflush", "set_tls"}));
  }
}

ordered_json Architectures(std::string_view architecture) {
  if (architecture == "amd64") {
    return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  }
  if (architecture == "arm64") {
    return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
  }
  return ordered_json::array();
}

}  // namespace

ordered_json DefaultSeccompProfile(std::string_view architecture) {
  ordered_json rules = ordered_json::array();
  std::vector<std::string> allowed;
  for (std::string_view name : StrSplit(TrimSpace(kAllowed), ' ')) {
    if (!name.empty()) allowed.emplace_back(name);
  }
  rules.push_back(Allow(std::move(allowed)));
  rules.push_back(Allow({"process_vm_readv", "process_vm_writev", "ptrace"}));
  // All address families but AF_ALG (38) and AF_VSOCK (40).
  rules.push_back(AllowIf("socket", 38, "SCMP_CMP_LT"));
  rules.push_back(AllowIf("socket", 39, "SCMP_CMP_EQ"));
  rules.push_back(AllowIf("socket", 40, "SCMP_CMP_GT"));
  for (uint64_t personality : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xffffffffULL}) {
    rules.push_back(AllowIf("personality", personality, "SCMP_CMP_EQ"));
  }
  AppendArchitecture(architecture, rules);
  rules.push_back(AllowIf("clone", kNamespaceFlags, "SCMP_CMP_MASKED_EQ"));
  // clone3 hides its flags from the filter: ENOSYS makes libc fall back to clone.
  rules.push_back({{"names", {"clone3"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 38}});
  rules.push_back(Allow({"chroot"}));
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", 1},
          {"architectures", Architectures(architecture)},
          {"syscalls", std::move(rules)}};
}

}  // namespace kiln::worker::exec
