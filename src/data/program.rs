//! What this program is: its version, where it was built from, for what, and whose releases it trusts.

use std::sync::LazyLock;

/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that it was built from, as `dist/build` found it.
pub const COMMIT: &str = match option_env!("AUTHENTIK_INSTALL_COMMIT") {
    Some(commit) => commit,
    None => "unknown commit",
};
/// Public half of the key that releases are signed with (minisign's, in base64); none in a build that
/// is no release.
pub const KEY: Option<&str> = option_env!("AUTHENTIK_INSTALL_PUBLIC_KEY");
/// What it was built for.
pub const TARGET: &str = if cfg!(all(target_arch = "x86_64", target_env = "musl")) {
    "x86_64-unknown-linux-musl"
} else if cfg!(all(target_arch = "aarch64", target_env = "musl")) {
    "aarch64-unknown-linux-musl"
} else {
    "unknown target"
};
/// Where releases are.
pub const RELEASES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/releases");

/// What `--version` says after the name.
pub fn version_line() -> &'static str {
    static LINE: LazyLock<String> = LazyLock::new(|| format!("{VERSION} ({COMMIT}, {TARGET})"));
    &LINE
}
