#!/bin/sh
# Installs authentik-install, a single static binary, and hands over to it:
#
#   curl --proto '=https' --tlsv1.2 -fsSL URL/install.sh | sh
#   curl … URL/install.sh | sh -s -- [--version V] [--allow-downgrade] [-- ARGS]
#
# Without ARGS it installs the program and runs `authentik-install check`, which changes nothing.
# With ARGS it runs `authentik-install ARGS` and ends with its exit code. Its own failures end with 1,
# wrong usage with 2. Nothing is executed before its SHA-256 was compared.
#
# Variables: AUTHENTIK_INSTALL_VERSION, AUTHENTIK_INSTALL_BASE_URL (a mirror of the releases),
# TMPDIR, and the usual http_proxy, https_proxy, no_proxy.

set -u

NAME=authentik-install
BASE=https://github.com/authentik-install/authentik-install/releases
BIN=/usr/local/bin
# Public half of the key that releases are signed with; without it their sums alone are compared.
KEY=

say() { printf '%s\n' "$NAME: $*" >&2; }
die() { say "$1"; [ $# -lt 2 ] || printf '  next: %s\n' "$2" >&2; exit 1; }
misused() { say "$1"; printf '  next: sh install.sh --help\n' >&2; exit 2; }
has() { command -v "$1" >/dev/null 2>&1; }

usage() {
  printf '%s\n' "Usage: install.sh [--version V] [--allow-downgrade] [-- ARGS]" \
    "Installs $NAME into $BIN and runs '$NAME ARGS'; without ARGS '$NAME check'." \
    "Example: install.sh -- install --domain auth.example.com"
}

target() {
  [ "$(uname -s)" = Linux ] || die "this is $(uname -s), and $NAME is for Linux"
  case $(uname -m) in
    x86_64 | amd64) echo x86_64-unknown-linux-musl ;;
    aarch64 | arm64) echo aarch64-unknown-linux-musl ;;
    *) die "there is no release for $(uname -m): x86_64 and aarch64 only" ;;
  esac
}

# A private folder on a file system that lets programs run.
workplace() {
  for place in "${TMPDIR:-/tmp}" /var/tmp /run /root; do
    work=$(mktemp -d "$place/$NAME.XXXXXX" 2>/dev/null) || continue
    chmod 700 "$work"
    printf '#!/bin/sh\nexit 0\n' >"$work/try" 2>/dev/null && chmod 700 "$work/try" && "$work/try" 2>/dev/null && return 0
    rm -rf "$work"
  done
  work=
  die "no folder to work in: none of ${TMPDIR:-/tmp}, /var/tmp, /run and /root can be written to and lets programs run" \
    "TMPDIR=/a/folder sh install.sh"
}

cleanup() { [ -z "${work:-}" ] || rm -rf "$work"; }

# Plain http is for a server on this very machine.
secured() {
  case $1 in
    *@*) die "refusing to download from $1: a user in an address hides whose it is" ;;
    https://*) return 0 ;;
    http://127.0.0.1 | http://127.0.0.1[:/]* | http://localhost | http://localhost[:/]* | http://\[::1\]*) return 1 ;;
    *) die "refusing to download from $1: it is not https" ;;
  esac
}

by_curl() { # URL FILE
  url=$1 file=$2
  set -- -q --fail --silent --show-error --location --retry 3 --retry-max-time 20 \
    --connect-timeout 15 --speed-limit 500 --speed-time 20
  if secured "$url"; then
    set -- "$@" --proto '=https' --proto-redir '=https' --tlsv1.2
  else
    set -- "$@" --proto '=http' --max-redirs 0 --noproxy '*'
  fi
  curl "$@" --output "$file" -- "$url" 2>"$work/said"
}

# wget follows a redirect to plain http, so each step is taken by itself.
by_wget() { # URL FILE
  url=$1
  steps=0
  while [ "$steps" -lt 6 ]; do
    if secured "$url"; then tls=--secure-protocol=TLSv1_2; else tls=--no-proxy; fi
    wget -S --no-verbose --tries=2 --timeout=20 --max-redirect=0 "$tls" -O "$2" "$url" 2>"$work/said" && return 0
    onward=$(sed -n 's/^ *[Ll]ocation: *\([^ ]*\).*/\1/p' "$work/said" | tail -n 1 | tr -d '\r')
    [ -n "$onward" ] || return 1
    case $onward in https://*) ;; *) printf 'it leads on to %s, which is not https\n' "$onward" >"$work/said"; return 1 ;; esac
    url=$onward
    steps=$((steps + 1))
  done
  return 1
}

fetch() { # NAME
  url=$from/$1
  if has curl; then
    by_curl "$url" "$work/$1" && return 0
  elif has wget && wget --version 2>/dev/null | grep -q GNU; then
    by_wget "$url" "$work/$1" && return 0
  else
    die "neither curl nor GNU wget is installed" "apt-get install curl"
  fi
  rm -f "$work/$1"
  return 1
}

fetched() {
  fetch "$1" || die "downloading $from/$1 failed: $(tail -n 1 "$work/said")" \
    "curl -I $from/$1; is the version right?"
}

sum_of() { # FILE
  if has sha256sum; then set -- "$1" sha256sum
  elif has shasum; then set -- "$1" shasum -a 256
  elif has openssl; then set -- "$1" openssl dgst -sha256 -r
  elif has busybox; then set -- "$1" busybox sha256sum
  else die "nothing here computes SHA-256: sha256sum, shasum, openssl and busybox are missing" "apt-get install coreutils"
  fi
  file=$1
  shift
  "$@" "$file" | cut -d' ' -f1
}

compare_sum() { # FILE
  wanted=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$1\$/\1/p" "$work/SHA256SUMS")
  case $wanted in
    '' | *[!0-9a-f]*) die "SHA256SUMS of $from does not name $1 once" ;;
  esac
  found=$(sum_of "$work/$1") || exit 1
  [ "$found" = "$wanted" ] || die "$1 is not what was released: its SHA-256 is $found, not $wanted" \
    "try again; if it stays so, do not use it"
}

# By whoever can here: minisign, or the release that is installed.
compare_signature() {
  if [ -n "$KEY" ] && has minisign; then
    fetched SHA256SUMS.minisig
    minisign -Vqm "$work/SHA256SUMS" -P "$KEY" >"$work/said" 2>&1 ||
      die "SHA256SUMS is not signed by the key of the releases: $(tail -n 1 "$work/said")" "do not use it"
  elif "$BIN/$NAME" self verify-download --help >/dev/null 2>&1; then
    fetch SHA256SUMS.minisig || :
    ended=0
    "$BIN/$NAME" self verify-download "$work/SHA256SUMS" >"$work/said" 2>&1 || ended=$?
    # 9: the one that is installed knows no key.
    case $ended in
      0 | 9) ;;
      *) die "SHA256SUMS is not signed by the key of the releases: $(head -n 1 "$work/said")" "do not use it" ;;
    esac
  fi
}

version_of() { "$1" --version 2>/dev/null | sed -n "s/^$NAME \([0-9][^ ]*\).*/\1/p"; }

# Is the first version older than the second?
older() {
  printf '%s %s\n' "$1" "$2" | awk '{
    n = split($1, a, "."); m = split($2, b, ".")
    for (i = 1; i <= n || i <= m; i++) if (a[i] + 0 != b[i] + 0) exit !(a[i] + 0 < b[i] + 0)
    exit 1 }'
}

elevation() {
  [ "$(id -u)" -ne 0 ] || return 0
  for elevate in sudo doas; do has "$elevate" && return 0; done
  elevate=
  die "this has to be root's work, and neither sudo nor doas is installed" "run it as root"
}

# As root, with no variables but our own: none of them holds a secret.
as_root() {
  if [ -n "$elevate" ]; then
    for name in $(env | sed -n "s/^\(AUTHENTIK_INSTALL_[A-Z_]*\)=.*/\1/p"); do
      eval "set -- \"$name=\$$name\" \"\$@\""
    done
    "$elevate" env "$@"
  else
    "$@"
  fi
}

# Under another name first, so that the program is there whole at each moment; the one before is kept.
# shellcheck disable=SC2016
place() { # FILE
  as_root sh -c '
    umask 022
    new=$2/.$3.$$
    trap "rm -f \"$new\"" EXIT
    mkdir -p "$2" && cp "$1" "$new" && chown 0:0 "$new" && chmod 755 "$new" || exit 1
    if [ -e "$2/$3" ] && ! cmp -s "$new" "$2/$3"; then ln -f "$2/$3" "$2/$3.previous" || exit 1; fi
    sync "$new" 2>/dev/null || sync
    mv -f "$new" "$2/$3"' sh "$1" "$BIN" "$NAME" 2>"$work/said" ||
    die "$BIN/$NAME could not be written: $(tail -n 1 "$work/said")" "df -h $BIN; ls -ld $BIN"
}

main() {
  LC_ALL=C
  export LC_ALL
  umask 077
  version=${AUTHENTIK_INSTALL_VERSION:-} downgrade='' elevate='' work=''
  while [ $# -gt 0 ]; do
    case $1 in
      --version) [ $# -gt 1 ] || misused "--version needs a value"; version=$2; shift ;;
      --version=*) version=${1#*=} ;;
      --allow-downgrade) downgrade=yes ;;
      --help | -h) usage; exit 0 ;;
      --) shift; break ;;
      *) misused "there is no option $1" ;;
    esac
    shift
  done
  version=${version#v}
  case $version in *[!0-9A-Za-z.-]*) misused "'$version' is no version" ;; esac
  from=${AUTHENTIK_INSTALL_BASE_URL:-$BASE}
  from=${from%/}/${version:+download/v}${version:-latest/download}
  asset=$NAME-$(target) || exit 1
  elevation
  trap cleanup EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  workplace

  fetched SHA256SUMS
  compare_signature
  fetched "$asset"
  compare_sum "$asset"
  chmod 700 "$work/$asset"
  new=$(version_of "$work/$asset")
  [ -n "$new" ] || die "$asset does not run here" "uname -a"
  case $version in '' | "$new") ;; *) die "$from/$asset says that it is $new" ;; esac
  here=$(version_of "$BIN/$NAME")
  if [ -n "$here" ] && [ -z "$downgrade" ] && older "$new" "$here"; then
    die "$NAME $here is installed, which is newer than $new" "--allow-downgrade, if that is what you want"
  fi
  place "$work/$asset"
  say "$NAME $new is at $BIN/$NAME"
  cleanup
  work=

  [ $# -gt 0 ] || set -- check
  # The script came in by standard input: who is asked something answers at the terminal.
  if [ ! -t 0 ] && [ -t 2 ] && (: </dev/tty) 2>/dev/null; then
    as_root "$BIN/$NAME" "$@" </dev/tty
  else
    as_root "$BIN/$NAME" "$@"
  fi
  exit $?
}

# Nothing runs of a script that was cut off, wherever that was.
if :; then main "$@"; fi
