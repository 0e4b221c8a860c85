// Dockerfiles that were written to hurt: they are answered within bounds of time and
// memory. Sizes are such that a quadratic step would show.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "cmd/dockerfile2llb/compile.h"

namespace kiln::dockerfile2llb {
namespace {

constexpr double kMaxSeconds = 20;  // of CPU, in a build without optimisation

std::string Repeat(std::string_view text, int times) {
  std::string out;
  out.reserve(text.size() * static_cast<size_t>(times));
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// "ARG A0=0\nARG A1=1\n…"
std::string Numbered(std::string_view before, std::string_view between, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += StrCat(before, i, between, i, "\n");
  return out;
}

double CpuSeconds() {
  timespec time = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

int64_t PeakMegabytes() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

Status CompileText(const std::string& text) {
  std::string file = (std::filesystem::temp_directory_path() / "hostile-XXXXXX").string();
  ::close(::mkstemp(file.data()));
  std::ofstream(file, std::ios::binary) << text;
  Settings settings;
  settings.images = dockerfile::ImageCatalog::Any();
  settings.worker_platforms = {Platform{"linux", "amd64", "", "", {}}};
  const double start = CpuSeconds();
  Status status = Compile(file, settings).status;
  EXPECT_LT(CpuSeconds() - start, kMaxSeconds);
  EXPECT_LT(PeakMegabytes(), 2500);
  std::filesystem::remove(file);
  return status;
}

TEST(HostileDockerfile, ALineOfAMegabyteIsRefused) {
  EXPECT_EQ(CompileText("FROM alpine\nRUN " + std::string(1 << 20, 'a') + "\n").message(),
            "dockerfile line greater than max allowed size of 65535");
}

TEST(HostileDockerfile, ManyNestedSubstitutionsAreRefused) {
  const std::string line = Repeat("${a:-", 1000) + "\\\n";
  EXPECT_FALSE(CompileText("FROM alpine\nENV A=" + Repeat(line, 100) + "\n").ok());
}

TEST(HostileDockerfile, VeryManyArgumentsCompile) {
  EXPECT_TRUE(CompileText("FROM alpine\n" + Numbered("ARG A", "=", 30000)).ok());
}

TEST(HostileDockerfile, VeryManyVariablesCompile) {
  EXPECT_TRUE(CompileText("FROM alpine\n" + Numbered("ENV A", "=", 20000)).ok());
}

TEST(HostileDockerfile, VeryManyMistakesCompile) {
  EXPECT_TRUE(CompileText("FROM alpine\n" + Numbered("ARG A", "=$B", 3000)).ok());
}

TEST(HostileDockerfile, OddBytesAreNotTakenForText) {
  EXPECT_TRUE(CompileText(std::string("FROM alpine\nRUN a\0b\0\nENV A=\0\n", 29)).ok());
  EXPECT_TRUE(CompileText("FROM alpine\nRUN \xff\xfe\nENV A=\xff\x80\xc3\n").ok());
}

TEST(HostileDockerfile, AnOpenHeredocIsRefused) {
  EXPECT_EQ(CompileText("FROM alpine\nRUN <<EOF\n" + Repeat("echo x\n", 1000000)).message(),
            "unterminated heredoc");
}

TEST(HostileDockerfile, AFileOfAHundredMegabytesIsRefused) {
  EXPECT_EQ(CompileText("FROM alpine\n" + Repeat("RUN echo hello world\n", 5 << 20)).message(),
            "dockerfile greater than max allowed size of 33554432");
}

TEST(HostileDockerfile, VariablesThatDoubleAreRefused) {
  EXPECT_EQ(CompileText("FROM alpine\nENV A=aaaaaaaaaa\n" + Repeat("ENV A=$A$A$A$A\n", 40))
                .message(),
            StrCat("failed to process ", Quote("$A$A$A$A"),
                   ": variables expand to too long texts"));
}

TEST(HostileDockerfile, StepsWithVeryManyVariablesAreRefused) {
  EXPECT_EQ(CompileText("FROM alpine\n" + Numbered("ENV A", "=", 20000) + Repeat("RUN x\n", 5000))
                .message(),
            "variables expand to too long texts");
}

}  // namespace
}  // namespace kiln::dockerfile2llb
