#!/usr/bin/env bash
# Installs the Debian 12 packages that building and testing qcc and qrt needs.
#
#   scripts/setup.sh [PACKAGE...]     further packages to install with them
#
# Run it as root or as a user with sudo. It is idempotent: where everything is
# there already, it only asks dpkg and returns at once. LLVM 22 comes from
# Debian's security archive; where apt does not know that archive, a source
# beside the machine's own Debian mirror is added.
set -euo pipefail

case "${1:-}" in
-h | --help)
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
  exit 0
  ;;
-*)
  echo "setup: error: unknown option '$1'; see --help" >&2
  exit 2
  ;;
esac

packages=(
  # Build tools.
  ca-certificates ccache cmake g++ git ninja-build pkg-config
  # The compiler: MLIR, LLVM, clang for the CPU kernels, lld as a library.
  clang-22 liblld-22-dev libmlir-22-dev llvm-22-dev mlir-22-tools
  # Static links of LLVM (scripts/gpu_bundle.sh).
  libpolly-22-dev
  # Libraries of the compiler and of the runtime.
  flatbuffers-compiler libcli11-dev libedit-dev libflatbuffers-dev libopenblas-dev
  libpcre2-dev libutf8proc-dev nlohmann-json3-dev zlib1g-dev
  # Tests: GoogleTest; lit and FileCheck, which need Python.
  libgmock-dev libgtest-dev llvm-22-tools python3
  # The fuzz targets: libFuzzer and the sanitizers' runtimes.
  libclang-rt-22-dev
  "$@"
)
llvm_package=libmlir-22-dev
public_mirror=http://deb.debian.org/debian
security_list=/etc/apt/sources.list.d/qcc-bookworm-security.list

say() { echo "setup: $*"; }
fail() {
  echo "setup: error: $*" >&2
  exit 1
}

# Prints those of $packages that are not installed.
missing() {
  local installed
  installed=" $(dpkg-query -W -f='${Package}/${db:Status-Status} ' \
    "${packages[@]}" 2>/dev/null || true)"
  local package
  for package in "${packages[@]}"; do
    [[ $installed == *" $package/installed "* ]] || echo "$package"
  done
}

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  else
    sudo "$@"
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

# Reads all that apt-cache prints: `grep -q` would close the pipe at the first
# match, and with pipefail the writer's SIGPIPE would count as 'not found'.
has_candidate() {
  local policy
  policy=$(apt-cache policy "$1")
  [[ $policy == *"Candidate: "[^\(]* ]]
}

# Prints the address of the security archive beside the Debian mirror that apt
# is set up with, and the public one where that cannot be told.
security_uri() {
  local uri
  # shellcheck disable=SC2016  # apt expands the names, not the shell.
  uri=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' \
    'Created-By: Packages' 2>/dev/null |
    sed -n 's,^bookworm \(.*/debian\)/*$,\1,p' | head -n 1)
  echo "${uri:-$public_mirror}-security"
}

# Adds the security archive at address $1; takes it back where that does not
# bring LLVM 22.
add_security() {
  say "adding the security archive $1"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1" \
    "bookworm-security main" | as_root tee "$security_list" >/dev/null
  apt update && has_candidate "$llvm_package" && return
  as_root rm -f "$security_list"
  return 1
}

mapfile -t wanted < <(missing)
if [[ ${#wanted[@]} -eq 0 ]]; then
  say "all ${#packages[@]} packages are installed"
  exit 0
fi
if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
  fail "needs root to install: ${wanted[*]}; run it as root or install sudo"
fi

say "reading the package lists"
apt update
if ! has_candidate "$llvm_package"; then
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
  if [[ $codename != bookworm ]]; then
    fail "apt has no $llvm_package, and this is '$codename', not Debian 12" \
      "(bookworm); add a package source of LLVM 22 and run it again"
  fi
  add_security "$(security_uri)" || add_security "$public_mirror-security" ||
    fail "found no $llvm_package in Debian's security archive"
fi
say "installing ${#wanted[@]} packages: ${wanted[*]}"
apt install --no-install-recommends -y "${wanted[@]}" >/dev/null
say "done"
